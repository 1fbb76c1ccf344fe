"""Tasks that crash their process, leave it, grow it, or do not let themselves be stopped. Not for the tests' own process."""

from __future__ import annotations

import ctypes
import logging
import os
import resource
import signal
from logging.config import dictConfig
from pathlib import Path

from reinhardt_tasks.tasks import task
from tests.tasks import append, await_file, note

logger = logging.getLogger(__name__)
_leaked: list[bytearray] = []


@task
def hold(path: str, word: str, go: str) -> int:
    """Write "began", and "ended" when there is a file `go`, each with word and process; return the process."""
    append(path, f"began {word} {os.getpid()}")
    await_file(go)
    append(path, f"ended {word} {os.getpid()}")
    return os.getpid()


@task
async def hold_later(path: str, go: str) -> None:
    import asyncio

    append(path, "began")
    while not Path(go).exists():
        await asyncio.sleep(0.2)


@task
def tell_process(path: str, seconds: float = 0.0) -> int:
    """Write which process runs this."""
    append(path, str(os.getpid()))
    if seconds:
        ctypes.CDLL(None).usleep(int(seconds * 1e6))
    return os.getpid()


@task
def log_process() -> int:
    """Log a line, which nobody prints but Python itself; then more, under a LOGGING that comes late."""
    logger.warning("in process %d", os.getpid())
    dictConfig({"version": 1, "disable_existing_loggers": False, "root": {"level": "INFO", "handlers": []}})
    logger.info("and in the same one")
    return os.getpid()


@task
def segfault(path: str) -> None:
    append(path, f"segfault {os.getpid()}")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.string_at(0)


@task
def leave_without_a_word(path: str, code: int) -> None:
    """End the process as no library should: the first time only."""
    is_first = not Path(path).exists()
    append(path, f"began {os.getpid()}")
    if is_first:
        os._exit(code)


@task
def die_and_leave_a_child(path: str, go: str) -> None:
    """Fork, and end the process; its child lives on until there is a file `go`. The first time only."""
    is_first = not Path(path).exists()
    append(path, f"began {os.getpid()}")
    if is_first:
        if os.fork():
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            await_file(go)
        finally:
            os._exit(0)


@task(timeout=0.2, max_attempts=1)
def sleep_in_c(path: str) -> None:
    """Sleep where no exception arrives."""
    append(path, f"began {os.getpid()}")
    ctypes.CDLL(None).sleep(300)


@task(max_attempts=1)
def sleep_in_c_without_limit(path: str) -> None:
    append(path, f"began {os.getpid()}")
    ctypes.CDLL(None).sleep(300)


@task
def hold_the_global_lock(path: str, seconds: int) -> None:
    append(path, f"began {os.getpid()}")
    ctypes.PyDLL(None).sleep(seconds)
    append(path, f"ended {os.getpid()}")


@task
def stop_if_told(path: str, go: str) -> None:
    """Run until there is a file `go`, in Python code, which can be stopped."""
    append(path, f"began {os.getpid()}")
    await_file(go)


@task
def leak(path: str, megabytes: int) -> int:
    """Keep memory for good; return the process."""
    _leaked.append(bytearray(os.urandom(1024 * 1024) * megabytes))
    append(path, str(os.getpid()))
    return os.getpid()


@task
def hold_memory(path: str, megabytes: int, go: str) -> None:
    """Need memory until there is a file `go`."""
    needed = os.urandom(1024 * 1024) * megabytes
    append(path, f"began {os.getpid()}")
    await_file(go)
    append(path, f"ended {os.getpid()} {len(needed)}")


@task
def enqueue_note(path: str) -> None:
    """Enqueue a task from within a task."""
    note.enqueue(path, "from within")
