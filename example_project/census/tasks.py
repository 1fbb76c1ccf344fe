"""The tasks of a census. Each may run more than once and leaves the same behind: delivery is at least once."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.utils import timezone

from reinhardt_tasks import CronSchedule, RetryStrategy, scheduled, task

from .counting import count_source, in_batches, package_of, python_files
from .models import FileCount, Letter, Run
from .postoffice import LETTER_HEADER

#: What is logged here is kept with each task: see its page. LOGGING in the settings lets INFO through.
logger = logging.getLogger(__name__)

#: Steps that a census is made of at most, the few that are not for files among them: a workflow takes 10,000.
MOST_BATCHES = 9_000


class NothingToCount(Exception):
    """The folder holds no Python file."""


def every_second(exception: BaseException, task_result: Any) -> timedelta:
    """A backoff of one's own is any callable of this form."""
    return timedelta(seconds=1)


@task(max_attempts=1)
async def scan_tree(run_id: int) -> list[list[str]]:
    """Return the files to count, in batches of mostly one: each is a step of its own then.

    A coroutine, so it waits for the disk without holding a thread of the worker.
    """
    run = await Run.objects.aget(pk=run_id)
    root = Path(run.root)
    paths = await asyncio.to_thread(python_files, root)
    if not paths:
        raise NothingToCount(f"There is no Python file below {root}.")
    sizes = await asyncio.gather(*(asyncio.to_thread(_size, root / path) for path in paths))
    await Run.objects.filter(pk=run_id).aupdate(size=sum(sizes))
    batches = in_batches(paths, MOST_BATCHES)
    logger.info("%d Python files of %d bytes below %s, in %d batches", len(paths), sum(sizes), root, len(batches))
    return batches


@task(queue_name="files")
def count_files(run_id: int, paths: list[str]) -> list[list[Any]]:
    """Count some files and store what was found; return of each its number of lines and its path."""
    run = Run.objects.get(pk=run_id)
    return [[_count_file(run, path), path] for path in paths]


@task(max_attempts=2, backoff=every_second)
def count_missing_file(run_id: int, path: str) -> int:
    """Count a file that is not there. It fails, twice, and is meant to: it shows what a failure looks like."""
    run = Run.objects.get(pk=run_id)
    return count_source((Path(run.root) / path).read_bytes()).lines


@task
def merge_counts(batches: list[list[list[Any]]]) -> dict[str, Any]:
    """Sum up what the steps for the files have returned: all of it comes as one list, in the order of the files."""
    counts = [count for batch in batches for count in batch]
    most, longest = max(counts, key=lambda count: count[0])
    return {"files": len(counts), "lines": sum(lines for lines, _ in counts), "longest": longest, "most": most}


@task
def render_headline(run_id: int, merged: dict[str, Any]) -> str:
    """Say the whole census in a sentence. What it needs of the steps before is among its arguments."""
    run = Run.objects.get(pk=run_id)
    headline = (
        f"{run.name} has {merged['lines']:,} lines in {merged['files']:,} Python files of {run.size:,} bytes; "
        f"the longest, {merged['longest']}, has {merged['most']:,}."
    )
    Run.objects.filter(pk=run_id).update(headline=headline)
    return headline


@task(queue_name="emails", max_attempts=4, backoff=RetryStrategy.fixed_delay(timedelta(seconds=1)))
def send_letter(letter_id: int, headline: str) -> str:
    """Mail one reader what came out; the post office turns the first tries away.

    A worker may die between sending and writing that down: then the letter is handed in a second time, under the number by
    which the post office knows it.
    """
    letter = Letter.objects.select_related("run").get(pk=letter_id)
    if letter.sent_at:
        return "sent before"
    message = EmailMessage(
        subject=str(letter.run),
        body=headline,
        to=[letter.recipient],
        headers={LETTER_HEADER: str(letter.pk)},
    )
    logger.info("Handing in letter %d", letter.pk)
    message.send()
    logger.info("The post office took it")
    Letter.objects.filter(pk=letter_id).update(sent_at=timezone.now())
    return "sent"


@scheduled(
    CronSchedule(settings.CENSUS_NIGHTLY, tz="Europe/Berlin", seconds=True), name="nightly-census", overlap="skip"
)
@task(takes_context=True)
def begin_nightly_census(context: Any) -> str:
    """Begin a census of the site's tree every night; once, though this may run twice."""
    # It needs the tasks above.
    from .runs import start

    root = Path(settings.CENSUS_ROOT)
    begun = Run.objects.filter(root=str(root.resolve()), started_at__gte=context.scheduled_for).first()
    return str(begun or start(root))


def _count_file(run: Run, path: str) -> int:
    count = count_source((Path(run.root) / path).read_bytes())
    if count.problem:
        logger.warning("%s cannot be parsed: %s", path, count.problem)
    else:
        logger.info("%s has %d lines", path, count.lines)
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


def _size(path: Path) -> int:
    return path.stat().st_size
