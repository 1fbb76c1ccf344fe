"""Waiting tasks that the code of today could not run: names that are gone, arguments that do not fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from .._compat import CoreTask
from ..arguments import converter_of
from ..brokers.lookups import Query
from ..calls import check_call
from ..exceptions import SerializationFailed, TaskNotFound
from ..jobs import WAITING, Job
from ..registry import registry
from ..serialization import decode_call
from ..workflow_states import filled_later
from .stores import Store

#: Waiting tasks that are looked at, unless a caller says otherwise.
LOOKED_AT = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that is wrong with waiting tasks of one name. `examples` are the newest few of `count`."""

    name: str
    problem: str
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueCheck:
    """What was looked at, and what was found so far. The last one has all."""

    looked_at: int
    findings: tuple[Finding, ...] = ()
    #: There is more that waits than was to be looked at.
    is_cut: bool = False


def check_queue(store: Store, queue: str | None = None, *, limit: int = LOOKED_AT) -> Iterator[QueueCheck]:
    """Look at the newest waiting tasks, up to `limit`; yield after each batch what was found so far."""
    found: dict[tuple[str, str], tuple[int, tuple[str, ...]]] = {}
    looked_at, after = 0, None
    while True:
        page = store.broker.search(Query(queue=queue, statuses=WAITING), after, min(500, limit - looked_at))
        for job in page.jobs:
            if (problem := problem_of(job)) is not None:
                count, examples = found.get((job.name, problem), (0, ()))
                found[job.name, problem] = (count + 1, (*examples, job.id)[:_EXAMPLES])
        looked_at += len(page.jobs)
        after = page.after
        findings = (
            Finding(name=name, problem=problem, count=count, examples=examples)
            for (name, problem), (count, examples) in sorted(found.items())
        )
        is_over = after is None or looked_at >= limit
        yield QueueCheck(looked_at=looked_at, findings=tuple(findings), is_cut=is_over and after is not None)
        if is_over:
            return


def problem_of(job: Job) -> str | None:
    """Return why the code of this process could not run a job, or None where it could."""
    try:
        task = registry.get(job.name)
        args, kwargs, headers = decode_call(job.payload)
        check_call(task, args, kwargs)
        return _misfit(task, args, kwargs, headers)
    except (TaskNotFound, SerializationFailed, TypeError) as exc:
        return str(exc)
    except RecursionError:
        return _("Its arguments are nested too deeply to be read.")


def _misfit(task: CoreTask, args: list[Any], kwargs: dict[str, Any], headers: Mapping[str, Any]) -> str | None:
    converter = converter_of(task)
    # What a workflow puts in when it runs is not there yet.
    left = {f"args[{place}]" if isinstance(place, int) else place for place in filled_later(headers)}
    found = None if converter is None else converter.misfit(args, kwargs, left)
    if found is None:
        return None
    # Without the value: it may be redacted, and each would be a finding of its own.
    words = _(
        "The stored argument {path} of {task} is no {type}: it was stored for other annotations, or changed since."
    )
    return words.format(path=found.path, task=task.module_path, type=found)


_EXAMPLES = 3
