"""An e-mail backend that writes letters to files, but greylists first, as many real servers do.

It makes a step that fails its first times every time, for a reason that is on record: `Letter.refusals_ahead`.
"""

from __future__ import annotations

import smtplib
from collections.abc import Sequence

from django.core.mail import EmailMessage
from django.core.mail.backends.filebased import EmailBackend
from django.db.models import F

from .models import Letter

LETTER_HEADER = "X-Census-Letter"


class GreylistingBackend(EmailBackend):
    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Write the messages to files, or raise as an SMTP server does that wants one of them to come again later."""
        for message in email_messages:
            self._refuse_if_greylisted(message)
        return super().send_messages(email_messages)

    def _refuse_if_greylisted(self, message: EmailMessage) -> None:
        letter_id = message.extra_headers.get(LETTER_HEADER)
        greylisted = Letter.objects.filter(pk=letter_id, refusals__lt=F("refusals_ahead"))
        if greylisted.update(refusals=F("refusals") + 1):
            raise smtplib.SMTPResponseException(451, f"Greylisted: try {message.to[0]} again later")
