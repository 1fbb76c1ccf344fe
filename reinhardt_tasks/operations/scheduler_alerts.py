"""What somebody should look at about schedules: late ones, those that no scheduler ever took over, those that are broken."""

from __future__ import annotations

from collections.abc import Sequence

from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .. import spans
from ..scheduling.collecting import collect
from ..scheduling.databases import schedules_database
from ..scheduling.planning import COUNTED
from ..scheduling.watching import Unattended, unattended
from .alerts import Alert
from .stores import STORE_ERRORS

#: Schedules that are named in one sentence.
NAMED = 3


def scheduler_alerts(alias: str) -> list[Alert]:
    """Return what is to be looked at about the schedules, which lie by the backend `alias`; a few statements ask it.

    Where they cannot be read, that is said to projects only that declare some: others may never have made the tables.
    """
    database = schedules_database()
    try:
        return _of(alias, unattended(database))
    except STORE_ERRORS as exc:
        if not collect()[0]:
            return []
        message = _("The schedules in the database {database} cannot be read: {reason}")
        return [
            Alert(
                code="no_scheduler",
                backend=alias,
                message=message.format(database=repr(database), reason=exc),
                hint=_("None of them is fired meanwhile."),
            )
        ]
    except (ImproperlyConfigured, NotImplementedError):
        # The project has no database, or one that cannot keep schedules.
        return []


def _of(alias: str, found: Unattended) -> list[Alert]:
    messages = []
    if found.late:
        number = len(found.late)
        words = ngettext(
            "{number} schedule is due, {name} for {span}, and nobody fires it.",
            "{number} schedules are due, {name} for {span}, and nobody fires them.",
            number,
        )
        messages.append(
            words.format(
                number=f"{number}+" if number >= COUNTED else number,
                name=repr(found.late[0]),
                span=spans.in_words(found.late_for.total_seconds()),
            )
        )
    if found.not_taken_over:
        names = found.not_taken_over
        words = ngettext(
            "{number} schedule is declared, and no scheduler has taken it over: {names}.",
            "{number} schedules are declared, and no scheduler has taken them over: {names}.",
            len(names),
        )
        messages.append(words.format(number=len(names), names=_named(names)))
    hint = _(
        "Start a scheduler, or start it again: `manage.py runscheduler`, or a worker by "
        "`manage.py runworker --with-scheduler`."
    )
    alerts = [Alert(code="no_scheduler", backend=alias, message=message, hint=hint) for message in messages]
    return [*alerts, *([_broken(alias, found.broken)] if found.broken else [])]


def _broken(alias: str, names: Sequence[str]) -> Alert:
    words = ngettext(
        "{number} schedule was switched off by an error: {names}.",
        "{number} schedules were switched off by an error: {names}.",
        len(names),
    )
    number = f"{len(names)}+" if len(names) >= COUNTED else len(names)
    return Alert(
        code="broken_schedule",
        backend=alias,
        message=words.format(number=number, names=_named(names)),
        hint=_(
            "`manage.py tasks schedules show` tells the error. Mend it and switch it on again; switched off by hand, it is "
            "no longer told of."
        ),
    )


def _named(names: Sequence[str]) -> str:
    return ", ".join([*map(repr, names[:NAMED]), *(["…"] if len(names) > NAMED else [])])
