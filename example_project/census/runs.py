"""How a census begins, and how the site learns from the queue what has become of its tasks."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import django
from django.db import transaction
from django.utils import timezone

from reinhardt_tasks import TaskChain, TaskChainBuilder, group, previous_result, result_of, step
from reinhardt_tasks.workflows import StepView, steps_of

from .counting import python_files
from .models import ENDED, Letter, Run, Step
from .tasks import count_file, count_missing_file, merge_counts, scan_tree, send_letter, write_headline

DEFAULT_ROOT = Path(django.__file__).parent
READERS = {"ada@example.org": 1, "grace@example.org": 2, "barbara@example.org": 3}
MISSING_FILE = "this/file/is/missing.py"

#: The tasks that are on their own; all others are steps of the run's workflow.
_ERRANDS = {Step.Kind.LETTER: send_letter, Step.Kind.MISSING: count_missing_file}
#: The steps of the workflow that are not a file: their names, and what they are for people.
_NAMED = {
    "scan": (Step.Kind.SCAN, "size of the tree, a coroutine"),
    "merge": (Step.Kind.MERGE, "the counts of all files become one"),
    "headline": (Step.Kind.HEADLINE, "of what was merged, not before five seconds have passed"),
}


class NothingToCount(Exception):
    """The folder holds no Python file."""


class Stalled(Exception):
    """No task of the run has moved for too long."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    states: Counter[str]
    total: int
    attempts: int

    @property
    def done(self) -> int:
        return sum(self.states[state] for state in ENDED)

    @property
    def has_ended(self) -> bool:
        return self.done == self.total


def start(root: Path) -> Run:
    """Record a run, and enqueue its tasks, in one transaction: afterwards all are there, or nothing."""
    root = root.resolve()
    paths = python_files(root)
    if not paths:
        raise NothingToCount(f"There is no Python file below {root}.")
    with transaction.atomic():
        run = Run.objects.create(root=str(root), name=root.name)
        steps = _enqueue_errands(run)
        started = workflow_of(run, paths).start()
        Run.objects.filter(pk=run.pk).update(workflow_id=started.id)
        run.workflow_id = started.id
        files = iter(paths)
        Step.objects.bulk_create(steps + [_step_of(run, view, files) for view in _views(run)])
    return run


def workflow_of(run: Run, paths: list[str]) -> TaskChain:
    """Return the census as a chain: scan, count all files side by side, merge the counts, say it in a sentence."""
    return (
        TaskChainBuilder(str(run))
        .add_task(step(scan_tree, run.pk).named("scan"))
        .add_task(group((step(count_file, run.pk, path) for path in paths), name="files"))
        .add_task(step(merge_counts, previous_result).named("merge"))
        .add_task(
            step(write_headline, run.pk, result_of("merge"), size=result_of("scan"))
            .named("headline")
            .using(run_after=timedelta(seconds=5))
        )
        .build()
    )


def refresh(run: Run, batch: int = 200) -> None:
    """Write down what has become of the steps still open: those of the workflow by its pages, errands by their results.

    Files are counted in the order in which they were enqueued, so once a page shows no change the rest has none.
    """
    errands = run.steps.filter(kind__in=_ERRANDS).exclude(state__in=ENDED)
    changed = [each for each in errands if _take_over(each, _ERRANDS[Step.Kind(each.kind)].get_result(each.result_id))]
    _save(changed)
    open_steps = run.steps.exclude(kind__in=_ERRANDS).exclude(state__in=ENDED)
    first = open_steps.order_by("position").first()
    while first is not None and (views := steps_of(run.workflow_id, after=first.position - 1, limit=batch)):
        rows = {row.position: row for row in open_steps.filter(position__lte=views[-1].position)}
        changed = [
            rows[view.position] for view in views if view.position in rows and _take_view(rows[view.position], view)
        ]
        _save(changed)
        if not changed:
            break
        first = open_steps.filter(position__gt=views[-1].position).order_by("position").first()
    if run.finished_at is None and not run.steps.exclude(state__in=ENDED).exists():
        Run.objects.filter(pk=run.pk, finished_at=None).update(finished_at=timezone.now())
        run.refresh_from_db()


def progress_of(run: Run) -> Progress:
    """Return how many of the run's tasks are in which state, as of the last `refresh`."""
    rows = list(run.steps.values_list("state", "attempts"))
    return Progress(states=Counter(state for state, _ in rows), total=len(rows), attempts=sum(n for _, n in rows))


def follow(run: Run, *, patience: float, pause: float = 0.25) -> Iterator[Progress]:
    """Yield the run's progress until its last task has ended; raise `Stalled` after `patience` seconds without any."""
    seen, moved_at = None, time.monotonic()
    while True:
        refresh(run)
        progress = progress_of(run)
        if progress != seen:
            seen, moved_at = progress, time.monotonic()
        yield progress
        if progress.has_ended:
            return
        if time.monotonic() - moved_at > patience:
            raise Stalled(f"Nothing moved for {patience:.0f} seconds: {progress.done} of {progress.total} are done.")
        time.sleep(pause)


def _enqueue_errands(run: Run) -> list[Step]:
    """Enqueue the tasks on their own: first, so that their waits pass while the files are counted."""
    steps = []
    for recipient, refusals in READERS.items():
        letter = Letter.objects.create(run=run, recipient=recipient, refusals_ahead=refusals)
        label = f"to {recipient}, turned away {refusals}×"
        steps.append(_step(run, Step.Kind.LETTER, label, send_letter.using(priority=50).enqueue(letter.pk)))
    missing = count_missing_file.using(priority=50).enqueue(run.pk, path=MISSING_FILE)
    steps.append(_step(run, Step.Kind.MISSING, f"{MISSING_FILE}, always fails", missing))
    return steps


def _step(run: Run, kind: Step.Kind, label: str, result: Any) -> Step:
    return Step(run=run, kind=kind, label=label, result_id=result.id, state=str(result.state))


def _step_of(run: Run, view: StepView, files: Iterator[str]) -> Step:
    """Return the row of a step of the workflow; the files come in the order in which they were written."""
    kind, label = _NAMED.get(view.name) or (Step.Kind.FILE, next(files))
    return Step(run=run, kind=kind, label=label, position=view.position, result_id=view.job_id, state=_state(view))


def _views(run: Run) -> list[StepView]:
    views: list[StepView] = []
    while page := steps_of(run.workflow_id, after=views[-1].position if views else -1, limit=1000):
        views += page
    return views


def _state(view: StepView) -> str:
    # A step whose turn has not come is, to readers of the page, one that waits.
    return "CANCELLED" if view.state == "SKIPPED" else "PENDING" if view.state in ("WAITING", "READY") else view.state


def _take_view(row: Step, view: StepView) -> bool:
    before = (row.state, row.attempts)
    row.state, row.attempts, row.error, row.traceback = _state(view), view.attempts, view.error, view.traceback
    return before != (row.state, row.attempts)


def _save(changed: list[Step]) -> None:
    Step.objects.bulk_update(changed, ["state", "attempts", "error", "traceback"], batch_size=200)


def _take_over(step: Step, result: Any) -> bool:
    """Copy what the queue knows onto the step; return whether that is news."""
    before = (step.state, step.attempts)
    step.state, step.attempts = str(result.state), result.attempts
    if result.errors:
        step.traceback = result.errors[-1].traceback
        step.error = step.traceback.strip().rpartition("\n")[2]
    return before != (step.state, step.attempts)
