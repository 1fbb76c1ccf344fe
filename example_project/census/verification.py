"""Holds a finished run against a direct count of the same tree: what the tasks stored must be what is there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from django.db.models import Count as HowMany
from django.db.models import Sum

from .counting import count_source, python_files
from .models import Run

_FIELDS = ("lines", "classes", "functions", "imports", "problem")


def totals_of(run: Run) -> dict[str, int]:
    """Return the sums of what the tasks stored, by name."""
    sums = {name: Sum(name, default=0) for name in _FIELDS[:4]}
    return run.file_counts.aggregate(files=HowMany("pk"), **sums)


def differences(run: Run, mail_folder: Path) -> list[str]:
    """Return a sentence for everything that is not as it must be; an empty list is success."""
    return [*_files(run), *_errands(run), *_letters(run, mail_folder)]


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


def _errands(run: Run) -> Iterator[str]:
    if not run.headline:
        yield "the headline was not written"
    for step in run.steps.all():
        expected = "FAILURE" if step.is_meant_to_fail else "SUCCESS"
        if step.state != expected:
            yield f"{step} ended as {step.state}, not as {expected}: {step.error}"
        elif step.is_meant_to_fail and "FileNotFoundError" not in step.error:
            yield f"{step} failed of something else than it must: {step.error}"


def _letters(run: Run, mail_folder: Path) -> Iterator[str]:
    letters = list(run.letters.all())
    for letter in letters:
        if letter.sent_at is None or letter.refusals != letter.refusals_ahead:
            yield f"{letter}: refused {letter.refusals} of {letter.refusals_ahead} times, sent {letter.sent_at}"
    texts = [path.read_text() for path in mail_folder.glob("*")]
    for letter in letters:
        if not any(f"To: {letter.recipient}" in text for text in texts):
            yield f"no letter to {letter} lies in {mail_folder}"
