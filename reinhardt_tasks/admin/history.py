"""The admin's own history of who did what: an entry for each task, whichever store it is in."""

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


def happened(request: HttpRequest, row: Model, words: str, flag: int = CHANGE) -> None:
    """Record that the request's user did something to a row; `words` in English."""
    _record(request, [row], flag, words)


def tasks_were(
    request: HttpRequest, ids: Iterable[str], words: str, detail: str = "", *, names: Mapping[str, str]
) -> None:
    """Record that the request's user did something to tasks; `words` in English."""
    rows = [JobRow(id=uuid.UUID(id_), name=names.get(id_, "")) for id_ in ids]
    _record(request, rows, DELETION if words.startswith("Discarded") else CHANGE, _joined(words, detail))


def queue_was(request: HttpRequest, alias: str, queue: str, words: str, detail: str = "") -> None:
    """Record that the request's user did something to a queue; `words` in English."""
    _record(request, [PauseRow(lane=lane_of(alias, queue))], CHANGE, _joined(words, detail))


def store_was(request: HttpRequest, alias: str, words: str, detail: str = "") -> None:
    """Record that the request's user did something to all of a backend; `words` in English."""
    queue_was(request, alias, "", words, detail)


def of_task(id_: str) -> list[tuple[LogEntry, str]]:
    """Return the newest entries about a task, each with its words in the language of whoever reads them."""
    return of_row(JobRow(pk=id_))


def of_row(row: Model) -> list[tuple[LogEntry, str]]:
    kind = ContentType.objects.get_for_model(row)
    entries = LogEntry.objects.filter(content_type=kind, object_id=str(row.pk)).select_related("user")
    return [(entry, _told(entry.change_message)) for entry in entries[:50]]


def _joined(words: str, detail: str) -> str:
    return f"{words}\n{detail}" if detail else words


def _told(message: str) -> str:
    """Return an entry's words in the language of whoever reads them; what follows is names and numbers."""
    words, _, detail = message.partition("\n")
    return " ".join(filter(None, [gettext(words) if words else "", f"({detail})" if detail else ""]))


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
