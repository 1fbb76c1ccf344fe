"""Holds a finished run against a direct count of the same tree: what the tasks stored must be what is there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from django.db.models import Count as HowMany
from django.db.models import Sum

from reinhardt_tasks import ChainStatus, WorkflowRun, get_workflow
from reinhardt_tasks.workflows import StepStatus, StepView

from .counting import count_source, python_files
from .models import Run
from .postoffice import LETTER_HEADER

_FIELDS = ("lines", "classes", "functions", "imports", "problem")


def totals_of(run: Run) -> dict[str, int]:
    """Return the sums of what the tasks stored, by name."""
    sums = {name: Sum(name, default=0) for name in _FIELDS[:4]}
    return run.file_counts.aggregate(files=HowMany("pk"), **sums)


def differences(run: Run, mail_folder: Path) -> list[str]:
    """Return a sentence for everything that is not as it must be; an empty list is success."""
    return [*_files(run), *_steps(run), *_letters(run, mail_folder)]


def _files(run: Run) -> Iterator[str]:
    root = Path(run.root)
    direct = {path: (root / path).read_bytes() for path in python_files(root)}
    stored = {row["path"]: row for row in run.file_counts.values("path", *_FIELDS)}
    for path in sorted(direct.keys() ^ stored.keys()):
        yield f"{path} is {'there, but was not counted' if path in direct else 'counted, but not there'}"
    for path in sorted(direct.keys() & stored.keys()):
        expected = {"path": path, **asdict(count_source(direct[path]))}
        if stored[path] != expected:
            yield f"{path}: the task stored {stored[path]}, a direct count gives {expected}"
    size = sum(map(len, direct.values()))
    if run.size != size:
        yield f"the tree has {size} bytes, the coroutine found {run.size}"


def _steps(run: Run) -> Iterator[str]:
    if not run.headline:
        yield "the headline was not written"
    workflow = get_workflow(run.workflow_id)
    if workflow.status is not ChainStatus.COMPLETED:
        yield f"the workflow is {workflow.status}"
    for step in _all_steps(workflow):
        expected = StepStatus.FAILURE if step.name == "missing" else StepStatus.SUCCESS
        if step.state != expected:
            yield f"{step.name} ended as {step.state}, not as {expected}: {step.error}"
        elif expected is StepStatus.FAILURE and "FileNotFoundError" not in step.error:
            yield f"{step.name} failed of something else than it must: {step.error}"


def _all_steps(workflow: WorkflowRun) -> Iterator[StepView]:
    page = workflow.steps(limit=1000)
    while page:
        yield from page
        page = workflow.steps(after=page[-1].position, limit=1000)


def _letters(run: Run, mail_folder: Path) -> Iterator[str]:
    texts = [path.read_text() for path in mail_folder.glob("*.eml")]
    for letter in run.letters.all():
        if letter.sent_at is None or letter.refusals != letter.refusals_ahead:
            yield f"{letter}: refused {letter.refusals} of {letter.refusals_ahead} times, sent {letter.sent_at}"
        found = [
            text for text in texts if f"To: {letter.recipient}" in text and f"{LETTER_HEADER}: {letter.pk}" in text
        ]
        if len(found) != 1:
            yield f"{len(found)} letters to {letter} lie in {mail_folder}, and not one"
