"""Steps for workflows. What ran in other processes is read from files."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from reinhardt_tasks import task
from tests.tasks import append

#: What ran in this process.
ran: list[Any] = []


@task
def say_words(task: str, what: str, callback: str) -> str:
    """Takes the words that are near at hand in a workflow's own methods."""
    words = task + what + callback
    ran.append(words)
    return words


@task
def say(word: Any) -> Any:
    ran.append(word)
    return word


@task
async def say_later(word: Any) -> Any:
    ran.append(word)
    return word


@task
def add(*numbers: Any) -> Any:
    ran.append(numbers)
    return sum(numbers)


@task
def total(numbers: list[Any]) -> Any:
    ran.append("total")
    return sum(numbers)


@task
def spread(values: list[Any]) -> list[Any]:
    """Return a list to be worked item by item."""
    ran.append("spread")
    return values


@task
def read_list(path: str) -> Any:
    """Return what a file has for a value."""
    with open(path) as file:
        return json.load(file)


@task
def note(number: int, what: str, *values: int) -> int:
    """Write down that a part began ("begin"), ended ("end"), or did both at once."""
    ran.append((what, number))
    return number + sum(values)


@task(max_attempts=1)
def fail_noted(number: int, what: str) -> None:
    ran.append((what, number))
    raise ValueError(number)


@task
def spread_noted(number: int, items: int) -> list[int]:
    ran.append(("begin", number))
    return list(range(items))


@task
def note_total(number: int, values: list[int]) -> int:
    ran.append(("end", number))
    return sum(values)


@task
def half(number: int) -> float:
    ran.append(number)
    return 6 / number


@task
def keep(value: Any, *, also: Any = None) -> Any:
    """Return what was given, to be looked at."""
    return {"value": value, "also": also}


@task(max_attempts=1)
def fail(words: str = "it had to be") -> None:
    ran.append("fail")
    raise ValueError(words)


@task(max_attempts=1)
async def fail_later() -> None:
    raise ValueError("later")


@task(max_attempts=3, backoff=lambda exception, result: 0)
def fail_twice(key: str) -> str:
    ran.append(key)
    if ran.count(key) < 3:
        raise ValueError("not yet")
    return key


@task(max_attempts=1)
def fail_if(path: str) -> str:
    """Fail while there is a file."""
    if os.path.exists(path):
        raise ValueError("the file is there")
    return "done"


@task
def note_step(path: str, name: str, seconds: float, before: Any = None) -> str:
    """Write lines around some time, and return the name."""
    append(path, f"began {name} {os.getpid()}")
    time.sleep(seconds)
    append(path, f"ended {name} {os.getpid()}")
    return name


@task
def note_list(path: str, name: str, values: list[Any]) -> list[Any]:
    """Write lines, and return a list."""
    append(path, f"began {name} {os.getpid()}")
    append(path, f"ended {name} {os.getpid()}")
    return values


@task(atomic=True)
def say_atomically(word: str) -> str:
    ran.append(word)
    return word


@task(atomic=True, max_attempts=1)
def fail_atomically() -> None:
    raise ValueError("atomic")


@task
def linger(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.01)
