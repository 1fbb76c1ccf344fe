"""Waiting tasks of django-tasks-db, which took over the tables of the backport's database backend too."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, router, transaction
from django.utils.translation import gettext as _

from .._compat import CoreTask, InvalidTask
from ..arguments import passed_call
from ..exceptions import OperationRefused, TaskError
from ..jobs import Job
from ..operations import Store, store_of
from ..registry import registry
from .choices import Choices
from .findings import Found, NotTaken, Verdict, refused
from .moments import aware

logger = logging.getLogger("reinhardt_tasks")

APP = "django_tasks_database"

_WAITING = "READY"
#: What stands there for "at once".
_NEVER = 9999
#: Tasks that are moved in one transaction.
_AT_ONCE = 200


def import_tasks(source: str, choices: Choices, *, is_rehearsal: bool) -> Iterator[Found]:
    """Yield what becomes of each waiting task. What is taken over keeps its id, and is deleted there.

    A row is locked, deleted and enqueued in one transaction of its database, so that a worker there that goes on takes what
    this did not take, and nothing else. Where the tasks go to another store, they are there before that transaction
    commits: who dies in between leaves a task in both, and the next import takes away the first.
    """
    model: Any = apps.get_model(APP, "DBTaskResult")
    database = router.db_for_write(model)
    table = model.objects.using(database)
    ids = iter(list(table.filter(status=_WAITING).order_by("enqueued_at", "pk").values_list("pk", flat=True)))
    while batch := list(itertools.islice(ids, _AT_ONCE)):
        rows = table.filter(pk__in=batch, status=_WAITING).order_by("enqueued_at", "pk")
        if is_rehearsal:
            yield from [found for _store, _job, found in _judged(source, rows, choices)]
            continue
        with transaction.atomic(using=database):
            if connections[database].features.has_select_for_update:
                skip = connections[database].features.has_select_for_update_skip_locked
                rows = rows.select_for_update(skip_locked=skip)
            taken = _move(table, _judged(source, rows, choices))
        yield from taken


def _move(table: Any, judged: list[tuple[Store | None, Job | None, Found]]) -> list[Found]:
    moved: dict[str, tuple[Store, list[Job]]] = {}
    for store, job, _found in judged:
        if store is not None and job is not None:
            moved.setdefault(store.alias, (store, []))[1].append(job)
    renamed: dict[str, str] = {}
    for store, jobs in moved.values():
        number, _each = table.filter(pk__in=[job.id for job in jobs], status=_WAITING).delete()
        if number != len(jobs):
            raise OperationRefused(_("Somebody else took some of the tasks meanwhile: try again."))
        for job, stored in zip(jobs, store.broker.enqueue(jobs), strict=True):
            logger.info("Task id=%s path=%s imported: backend=%s", job.id, job.name, store.alias)
            if stored.id != job.id:
                renamed[job.id] = stored.id
    return [_told(found, renamed.get(found.name)) for _store, _job, found in judged]


def _told(found: Found, other: str | None) -> Found:
    if other is None:
        return found
    return replace(
        found, verdict=Verdict.PRESENT, reason=_("Task {id} has its unique key already.").format(id=other), words=""
    )


def _judged(source: str, rows: Any, choices: Choices) -> list[tuple[Store | None, Job | None, Found]]:
    return [_judge(source, row, choices) for row in rows]


def _judge(source: str, row: Any, choices: Choices) -> tuple[Store | None, Job | None, Found]:
    name = choices.renames.get(row.task_path, row.task_path)
    common: dict[str, Any] = {"source": source, "kind": "task", "name": str(row.pk), "task": name}
    try:
        store = _store(row, choices)
        job = _job(row, registry.get(choices.task(row.task_path)), store, choices)
    except NotTaken as exc:
        return None, None, Found(**common, verdict=exc.verdict, reason=exc.reason)
    except (InvalidTask, TaskError, ImproperlyConfigured, TypeError, ValueError) as exc:
        return None, None, Found(**common, verdict=Verdict.REFUSED, reason=str(exc))
    words = _("queue {name} of {alias}").format(name=job.queue, alias=store.alias)
    return store, job, Found(**{**common, "task": job.name}, verdict=Verdict.IMPORTED, words=words)


def _store(row: Any, choices: Choices) -> Store:
    try:
        return store_of(choices.backend or row.backend_name)
    except OperationRefused as exc:
        raise refused(_("{problem} Say where it is to go: --backend.").format(problem=exc)) from exc


def _job(row: Any, task: CoreTask, store: Store, choices: Choices) -> Job:
    """Return the job that enqueueing it here would store, under the id that it had."""
    args, kwargs = row.args_kwargs["args"], row.args_kwargs["kwargs"]
    # What may run at once is due since it was enqueued: so it keeps its place among its like.
    run_after = row.enqueued_at if row.run_after.year == _NEVER else row.run_after
    here = task.using(
        backend=store.alias,
        queue_name=choices.queue(row.queue_name),
        priority=row.priority,
        run_after=aware(run_after),
    )
    job = store.backend.jobs_of(here, [passed_call(here, args, kwargs)], stored=[(args, kwargs)])[0]
    return replace(job, id=str(row.pk))
