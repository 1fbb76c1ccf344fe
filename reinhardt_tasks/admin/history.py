"""The admin's own history of who did what: an entry for each task, whichever store it is in.

Words and the names of details are kept in English, and told in the language of whoever reads them.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any, cast

from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model
from django.http import HttpRequest
from django.utils.translation import gettext

from ..models import JobRow, PauseRow, lane_of

#: Name → value, of what is to be known beside the words; names in English, values as they are.
Details = Mapping[str, object]

#: Entries that a page shows; of those about queues, which all of these share.
SHOWN, OF_QUEUES = 50, 20


def happened(request: HttpRequest, row: Model, words: str, flag: int = CHANGE) -> None:
    """Record that the request's user did something to a row; `words` in English."""
    _record(request, [row], flag, words)


def tasks_were(
    request: HttpRequest, ids: Iterable[str], words: str, details: Details | None = None, *, names: Mapping[str, str]
) -> None:
    """Record that the request's user did something to tasks; `words` in English."""
    rows = [JobRow(id=uuid.UUID(id_), name=names.get(id_, "")) for id_ in ids]
    _record(request, rows, DELETION if words.startswith("Discarded") else CHANGE, _joined(words, details))


def queue_was(request: HttpRequest, alias: str, queue: str, words: str, details: Details | None = None) -> None:
    """Record that the request's user did something to a queue; `words` in English."""
    _record(request, [PauseRow(lane=lane_of(alias, queue))], CHANGE, _joined(words, details))


def store_was(request: HttpRequest, alias: str, words: str, details: Details | None = None) -> None:
    """Record that the request's user did something to all of a backend; `words` in English."""
    queue_was(request, alias, "", words, details)


def of_task(id_: str) -> list[tuple[LogEntry, str]]:
    """Return the newest entries about a task, each with its words in the language of whoever reads them."""
    return of_row(JobRow(pk=id_))


def of_row(row: Model) -> list[tuple[LogEntry, str]]:
    return _newest(row, SHOWN, object_id=str(row.pk))


def of_queues() -> list[tuple[LogEntry, str]]:
    """Return the newest entries about queues and whole backends; what each is about is its `object_repr`."""
    return _newest(PauseRow(), OF_QUEUES)


def _newest(row: Model, number: int, **conditions: str) -> list[tuple[LogEntry, str]]:
    kind = ContentType.objects.get_for_model(row)
    entries = LogEntry.objects.filter(content_type=kind, **conditions).select_related("user")
    return [(entry, _told(entry.change_message)) for entry in entries[:number]]


def _joined(words: str, details: Details | None) -> str:
    """Return what an entry keeps: the words, and a line for each detail, with a tab behind its name."""
    lines = [f"{name}\t{' '.join(str(value).split())}" for name, value in (details or {}).items()]
    return "\n".join([words, *lines])


def _told(message: str) -> str:
    """Return an entry's words and details in the language of whoever reads them."""
    words, *lines = message.split("\n")
    details = "; ".join(_detail(line) for line in lines if line)
    return " ".join(filter(None, [gettext(words) if words else "", f"({details})" if details else ""]))


def _detail(line: str) -> str:
    name, tab, value = line.partition("\t")
    if not tab:
        # Of an entry that is older than their names.
        return line
    return f"{gettext(name)}: {value}" if value else gettext(name)


def _record(request: HttpRequest, rows: list[Any], flag: int, words: str) -> None:
    if not rows:
        return
    kind = ContentType.objects.get_for_model(rows[0])
    LogEntry.objects.bulk_create(
        [
            LogEntry(
                user_id=cast(int, request.user.pk),
                content_type=kind,
                object_id=str(row.pk),
                object_repr=str(row).strip()[:200],
                action_flag=flag,
                change_message=words,
            )
            for row in rows
        ],
        batch_size=500,
    )
