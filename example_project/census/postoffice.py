"""An e-mail backend that writes letters to files, but greylists first, as many real servers do.

It makes a step that fails its first times every time, for a reason that is on record: `Letter.refusals_ahead`. A letter that
is handed in twice is one letter, as for servers that know a message by its Message-ID.
"""

from __future__ import annotations

import os
import smtplib
from collections.abc import Sequence
from pathlib import Path

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.db.models import F

from .models import Letter

LETTER_HEADER = "X-Census-Letter"


class GreylistingBackend(BaseEmailBackend):
    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Write the letters to files, or raise as an SMTP server does that wants one of them to come again later."""
        for message in email_messages:
            _refuse_if_greylisted(message)
        for message in email_messages:
            _deliver(message)
        return len(email_messages)


def _refuse_if_greylisted(message: EmailMessage) -> None:
    letter_id = message.extra_headers.get(LETTER_HEADER)
    greylisted = Letter.objects.filter(pk=letter_id, refusals__lt=F("refusals_ahead"))
    if greylisted.update(refusals=F("refusals") + 1):
        raise smtplib.SMTPResponseException(451, f"Greylisted: try {message.to[0]} again later")


def _deliver(message: EmailMessage) -> None:
    folder = Path(settings.EMAIL_FILE_PATH)
    folder.mkdir(parents=True, exist_ok=True)
    name = f"letter-{message.extra_headers[LETTER_HEADER]}.eml"
    # All of it is there, or nothing; and the second time it takes the place of the first.
    unfinished = folder / f".{name}.{os.getpid()}"
    unfinished.write_bytes(message.message().as_bytes())
    unfinished.replace(folder / name)
