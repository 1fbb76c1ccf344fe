"""The tasks of these measurements. Each run adds a line to a file: word, number, moment, process."""

from __future__ import annotations

import asyncio
import os
import time

from reinhardt_tasks.tasks import task

from .burning import compute


def _note(path: str, word: str, number: int) -> None:
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, f"{word} {number} {time.time()!r} {os.getpid()}\n".encode())
    finally:
        os.close(file)


@task
def burn(path: str, number: int, loops: int) -> int:
    _note(path, "began", number)
    total = compute(loops)
    _note(path, "ended", number)
    return total


@task
def rest(path: str, number: int, seconds: float) -> None:
    _note(path, "began", number)
    time.sleep(seconds)
    _note(path, "ended", number)


@task
async def rest_in_loop(path: str, number: int, seconds: float) -> None:
    _note(path, "began", number)
    await asyncio.sleep(seconds)
    _note(path, "ended", number)
