"""What the errands do. Not for the tests' own process: some of these end the process that runs them."""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import time
from typing import Any

from django.db import connections

from reinhardt_tasks.contexts import TaskContext
from reinhardt_tasks.exceptions import WorkerLost
from reinhardt_tasks.retries import RetryStrategy
from reinhardt_tasks.tasks import task

#: Names the file to which every run adds its lines.
LEDGER = "REINHARDT_TEST_LEDGER"
#: The table into which atomic tasks write, in the database that holds the tasks.
EFFECTS = "chaos_effects"

SOON = RetryStrategy.fixed_delay(0.2)

_leaked: list[bytearray] = []


def _note(word: str, context: TaskContext, number: int) -> None:
    """Add a line, in one write: the lines of several processes do not mix, and what is written outlives its writer."""
    line = f"{word} {number} {os.getpid()} {context.task_result.worker_ids[-1]}\n"
    file = os.open(os.environ[LEDGER], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


def _failures(context: TaskContext) -> int:
    """Return how often this task has failed by its own doing."""
    return len(context.task_result.errors) - context.task_result.losses


@task(takes_context=True)
def short(context: TaskContext, number: int) -> int:
    _note("began", context, number)
    _note("ended", context, number)
    return number


@task(takes_context=True)
def long(context: TaskContext, number: int, seconds: float) -> int:
    """Work in Python code."""
    _note("began", context, number)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.02)
    _note("ended", context, number)
    return number


@task(takes_context=True)
def sleep(context: TaskContext, number: int, seconds: float) -> int:
    """Sleep in one call, where no exception arrives."""
    _note("began", context, number)
    time.sleep(seconds)
    _note("ended", context, number)
    return number


@task(takes_context=True)
def hold_the_global_lock(context: TaskContext, number: int, seconds: float) -> int:
    """Sleep in C, and let no other thread of the process go on."""
    _note("began", context, number)
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))
    _note("ended", context, number)
    return number


@task(takes_context=True)
async def later(context: TaskContext, number: int, seconds: float) -> int:
    _note("began", context, number)
    await asyncio.sleep(seconds)
    _note("ended", context, number)
    return number


@task(takes_context=True, max_attempts=3, backoff=SOON)
def fail(context: TaskContext, number: int, times: int) -> int:
    """Raise so many times, then return."""
    _note("began", context, number)
    if _failures(context) < times:
        raise ValueError(f"task {number}")
    _note("ended", context, number)
    return number


@task(takes_context=True, max_attempts=3, backoff=SOON)
async def fail_later(context: TaskContext, number: int, times: int) -> int:
    _note("began", context, number)
    await asyncio.sleep(0)
    if _failures(context) < times:
        raise ValueError(f"task {number}")
    _note("ended", context, number)
    return number


@task(takes_context=True, max_attempts=2, backoff=SOON)
def leave(context: TaskContext, number: int) -> None:
    _note("began", context, number)
    raise SystemExit(3)


@task(takes_context=True, timeout=0.3, max_attempts=1)
def dawdle(context: TaskContext, number: int) -> None:
    """Go on for longer than allowed."""
    _note("began", context, number)
    while True:
        time.sleep(0.01)


@task(takes_context=True)
def tell_what_cannot_be_told(context: TaskContext, number: int) -> Any:
    """Return what JSON cannot hold."""
    _note("began", context, number)
    return {number}


@task(takes_context=True)
def leak(context: TaskContext, number: int, megabytes: int) -> int:
    """Keep memory for good."""
    _note("began", context, number)
    _leaked.append(bytearray(os.urandom(1024 * 1024) * megabytes))
    _note("ended", context, number)
    return number


@task(takes_context=True)
def exit_once(context: TaskContext, number: int) -> int:
    """End the process as no library should, unless a worker has been lost by it before."""
    _note("began", context, number)
    lost = f"{WorkerLost.__module__}.{WorkerLost.__qualname__}"
    if all(error.exception_class_path != lost for error in context.task_result.errors):
        os._exit(3)
    _note("ended", context, number)
    return number


@task(takes_context=True)
def exit_always(context: TaskContext, number: int) -> None:
    _note("began", context, number)
    os._exit(3)


@task(takes_context=True)
def segfault(context: TaskContext, number: int) -> None:
    _note("began", context, number)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.string_at(0)


@task(takes_context=True, atomic=True, max_attempts=8, backoff=SOON)
def write(context: TaskContext, number: int, database: str, times: int, seconds: float) -> int:
    """Write a row, and raise afterwards so many times: only the success may leave one."""
    _note("began", context, number)
    with connections[database].cursor() as cursor:
        cursor.execute(f"INSERT INTO {EFFECTS} (number) VALUES (%s)", [number])
    time.sleep(seconds)
    if _failures(context) < times:
        raise ValueError(f"task {number}")
    _note("ended", context, number)
    return number
