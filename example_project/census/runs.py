"""How a census begins, and how the site learns from its workflow how far it is."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from django.db import transaction

from reinhardt_tasks import (
    TaskChain,
    TaskChainBuilder,
    WorkflowNotFound,
    WorkflowRun,
    get_workflow,
    group,
    item,
    previous_result,
    result_of,
    step,
)

from .models import Letter, Run
from .tasks import count_files, count_missing_file, merge_counts, render_headline, scan_tree, send_letter

READERS = {"ada@example.org": 1, "grace@example.org": 2, "barbara@example.org": 3}
MISSING_FILE = "this/file/is/missing.py"


class Stalled(Exception):
    """No step of the run has moved for too long."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How many of a run's steps are in which state. How many there are is known when the tree has been scanned."""

    states: Counter[str]
    has_ended: bool

    @property
    def total(self) -> int:
        return self.states.total()

    @property
    def done(self) -> int:
        return self.total - self.states["WAITING"] - self.states["READY"]


def start(root: Path) -> Run:
    """Record a run, its letters and its workflow in one transaction: afterwards all are there, or nothing."""
    root = root.resolve()
    with transaction.atomic():
        run = Run.objects.create(root=str(root), name=root.name)
        letters = [
            Letter.objects.create(run=run, recipient=recipient, refusals_ahead=refusals)
            for recipient, refusals in READERS.items()
        ]
        run.workflow_id = workflow_of(run, letters).start().id
        run.save(update_fields=["workflow_id"])
    return run


def workflow_of(run: Run, letters: Sequence[Letter]) -> TaskChain:
    """Return the census as a chain: scan, count each file, merge the counts, render them as a sentence, mail that."""
    count = step(count_files, run.pk, item).named("files").for_each(previous_result)
    missing = step(count_missing_file, run.pk, path=MISSING_FILE).named("missing").on_failure("continue")
    headline = step(render_headline, run.pk, previous_result).named("headline").using(run_after=timedelta(seconds=5))
    return (
        TaskChainBuilder(str(run))
        .add_task(step(scan_tree, run.pk).named("scan"))
        .add_task(group(count, missing))
        .add_task(step(merge_counts, result_of("files")).named("merge"))
        .add_task(headline)
        .add_task(
            group(step(send_letter, letter.pk, previous_result).named(f"letter to {letter}") for letter in letters)
        )
        .build()
    )


def workflow_run(run: Run) -> WorkflowRun | None:
    """Return a run's workflow; None where that has been deleted, a week after its end."""
    try:
        return get_workflow(run.workflow_id)
    except WorkflowNotFound:
        return None


def progress_of(run: Run) -> Progress:
    """Return how far a run is, and write down when it has ended."""
    workflow = workflow_run(run)
    if workflow is None:
        return Progress(states=Counter(), has_ended=True)
    if run.finished_at is None and workflow.is_finished:
        Run.objects.filter(pk=run.pk, finished_at=None).update(finished_at=workflow.finished_at)
        run.refresh_from_db()
    states = Counter({str(status): number for status, number in workflow.counts().items()})
    return Progress(states=states, has_ended=workflow.is_finished)


def follow(run: Run, *, patience: float, pause: float = 0.25) -> Iterator[Progress]:
    """Yield the run's progress until its workflow has ended; raise `Stalled` after `patience` seconds without any."""
    seen, moved_at = None, time.monotonic()
    while True:
        progress = progress_of(run)
        if progress != seen:
            seen, moved_at = progress, time.monotonic()
        yield progress
        if progress.has_ended:
            return
        if time.monotonic() - moved_at > patience:
            raise Stalled(f"Nothing moved for {patience:.0f} seconds: {progress.done} of {progress.total} are done.")
        time.sleep(pause)
