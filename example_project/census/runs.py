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

from .counting import python_files
from .models import ENDED, Letter, Run, Step
from .tasks import count_file, count_missing_file, measure_tree, send_letter, write_headline

DEFAULT_ROOT = Path(django.__file__).parent
READERS = {"ada@example.org": 1, "grace@example.org": 2, "barbara@example.org": 3}
MISSING_FILE = "this/file/is/missing.py"

_TASKS = {
    Step.Kind.LETTER: send_letter,
    Step.Kind.MISSING: count_missing_file,
    Step.Kind.MEASURE: measure_tree,
    Step.Kind.HEADLINE: write_headline,
    Step.Kind.FILE: count_file,
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
    """Record a run and enqueue its tasks in one transaction: afterwards both are there, or neither."""
    root = root.resolve()
    paths = python_files(root)
    if not paths:
        raise NothingToCount(f"There is no Python file below {root}.")
    with transaction.atomic():
        run = Run.objects.create(root=str(root), name=root.name)
        steps = _enqueue_errands(run)
        results = count_file.enqueue_many([((run.pk, path), {}) for path in paths])
        steps += [_step(run, Step.Kind.FILE, path, result) for path, result in zip(paths, results, strict=True)]
        Step.objects.bulk_create(steps)
    return run


def refresh(run: Run, batch: int = 100) -> None:
    """Write down what the queue says of the steps still open; costs one batch of look-ups and whatever has changed.

    Files are counted in the order in which they were enqueued, so once a batch shows no change the rest has none.
    """
    last = 0
    while steps := list(run.steps.exclude(state__in=ENDED).filter(pk__gt=last)[:batch]):
        last = steps[-1].pk
        changed = [step for step in steps if _take_over(step, _TASKS[Step.Kind(step.kind)].get_result(step.result_id))]
        Step.objects.bulk_update(changed, ["state", "attempts", "error", "traceback"])
        if not changed:
            break
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
    """Enqueue all that is not a file: first, so that their waits pass while the files are counted."""
    steps = []
    for recipient, refusals in READERS.items():
        letter = Letter.objects.create(run=run, recipient=recipient, refusals_ahead=refusals)
        label = f"to {recipient}, turned away {refusals}×"
        steps.append(_step(run, Step.Kind.LETTER, label, send_letter.using(priority=50).enqueue(letter.pk)))
    missing = count_missing_file.using(priority=50).enqueue(run.pk, path=MISSING_FILE)
    steps.append(_step(run, Step.Kind.MISSING, f"{MISSING_FILE}, always fails", missing))
    steps.append(_step(run, Step.Kind.MEASURE, "size of the tree, a coroutine", measure_tree.enqueue(run.pk)))
    headline = write_headline.using(run_after=timedelta(seconds=5)).enqueue(run.pk)
    steps.append(_step(run, Step.Kind.HEADLINE, "not before five seconds have passed", headline))
    return steps


def _step(run: Run, kind: Step.Kind, label: str, result: Any) -> Step:
    return Step(run=run, kind=kind, label=label, result_id=result.id, state=str(result.state))


def _take_over(step: Step, result: Any) -> bool:
    """Copy what the queue knows onto the step; return whether that is news."""
    before = (step.state, step.attempts)
    step.state, step.attempts = str(result.state), result.attempts
    if result.errors:
        step.traceback = result.errors[-1].traceback
        step.error = step.traceback.strip().rpartition("\n")[2]
    return before != (step.state, step.attempts)
