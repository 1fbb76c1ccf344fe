"""The tasks of a census. Each may run more than once and leaves the same behind: delivery is at least once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.mail import EmailMessage
from django.db.models import Sum
from django.utils import timezone

from reinhardt_tasks import CronSchedule, RetryStrategy, scheduled, task

from .counting import count_source, package_of, python_files
from .models import FileCount, Letter, Run, Step
from .postoffice import LETTER_HEADER


class NotCountedYet(Exception):
    """The headline waits: files are still being counted."""


def every_second(exception: BaseException, task_result: Any) -> timedelta:
    """A backoff of one's own is any callable of this form."""
    return timedelta(seconds=1)


@task(queue_name="files")
def count_file(run_id: int, path: str) -> int:
    """Count one file and store what was found; return its number of lines."""
    run = Run.objects.get(pk=run_id)
    count = count_source((Path(run.root) / path).read_bytes())
    FileCount.objects.update_or_create(
        run=run,
        path=path,
        defaults={
            "package": package_of(run.name, path),
            "lines": count.lines,
            "classes": count.classes,
            "functions": count.functions,
            "imports": count.imports,
            "problem": count.problem,
        },
    )
    return count.lines


@task(queue_name="emails", max_attempts=4, backoff=RetryStrategy.fixed_delay(timedelta(seconds=1)))
def send_letter(letter_id: int) -> str:
    """Tell one reader that the census has begun; the post office turns the first tries away."""
    letter = Letter.objects.select_related("run").get(pk=letter_id)
    if letter.sent_at:
        return "sent before"
    message = EmailMessage(
        subject=f"{letter.run} has begun",
        body=f"The files below {letter.run.root} are being counted.",
        to=[letter.recipient],
        headers={LETTER_HEADER: str(letter.pk)},
    )
    message.send()
    Letter.objects.filter(pk=letter_id).update(sent_at=timezone.now())
    return "sent"


@task
async def measure_tree(run_id: int) -> int:
    """Add up the size of the files: a coroutine, so it waits for the disk without holding a thread of the worker."""
    run = await Run.objects.aget(pk=run_id)
    root = Path(run.root)
    paths = await asyncio.to_thread(python_files, root)
    sizes = await asyncio.gather(*(asyncio.to_thread(_size, root / path) for path in paths))
    await Run.objects.filter(pk=run_id).aupdate(size=sum(sizes))
    return sum(sizes)


@task(max_attempts=600, backoff=every_second, unique=True)
def write_headline(run_id: int) -> str:
    """Sum up the census in a sentence once every file is counted; until then, come again in a second."""
    run = Run.objects.get(pk=run_id)
    expected = run.steps.filter(kind=Step.Kind.FILE).count()
    counted = run.file_counts.count()
    if counted < expected:
        raise NotCountedYet(f"{counted} of {expected} files are counted")
    lines = run.file_counts.aggregate(total=Sum("lines"))["total"]
    largest = run.file_counts.order_by("-lines", "path")[0]
    headline = (
        f"{run.name} has {lines:,} lines in {counted:,} Python files; "
        f"the longest, {largest.path}, has {largest.lines:,}."
    )
    Run.objects.filter(pk=run_id).update(headline=headline)
    return headline


@task(max_attempts=2, backoff=RetryStrategy.fixed_delay(timedelta(seconds=1)))
def count_missing_file(run_id: int, path: str) -> int:
    """Count a file that is not there. It fails, twice, and is meant to: it shows what a failure looks like."""
    run = Run.objects.get(pk=run_id)
    return count_source((Path(run.root) / path).read_bytes()).lines


@scheduled(CronSchedule("0 3 * * *", tz="Europe/Berlin"), name="nightly-census", overlap="skip")
@task(takes_context=True)
def begin_nightly_census(context: Any) -> str:
    """Begin a census of the installed Django every night; once, though this may run twice."""
    # It needs the tasks above.
    from .runs import DEFAULT_ROOT, start

    begun = Run.objects.filter(root=str(DEFAULT_ROOT.resolve()), started_at__gte=context.scheduled_for).first()
    return str(begun or start(DEFAULT_ROOT))


def _size(path: Path) -> int:
    return path.stat().st_size
