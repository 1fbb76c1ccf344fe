"""Tasks for workers in processes of their own: what they did is read from files."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

from reinhardt_tasks.tasks import task


def append(path: str, line: str) -> None:
    """Add a line to a file. The lines of several processes do not mix."""
    number = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(number, f"{line}\n".encode())
    finally:
        os.close(number)


def await_file(path: str) -> None:
    while not Path(path).exists():
        time.sleep(0.005)


@task
def note(path: str, line: str) -> str:
    """Write a line."""
    append(path, line)
    return line


@task
async def note_later(path: str, line: str) -> str:
    append(path, line)
    return line


@task
def note_around(path: str, number: int, seconds: float) -> int:
    """Write "began" and "ended" lines around some time."""
    append(path, f"began {number} {os.getpid()}")
    time.sleep(seconds)
    append(path, f"ended {number} {os.getpid()}")
    return number


@task
def note_and_wait(path: str, word: str, go: str) -> str:
    """Write a line, and end when there is a file `go`."""
    append(path, f"began {word}")
    await_file(go)
    append(path, f"ended {word}")
    return word


@task
def speak(words: str, level: str) -> None:
    logging.getLogger(__name__).log(logging.getLevelNamesMapping()[level], words)


@task(max_attempts=1)
def fail(words: str) -> None:
    raise ValueError(words)
