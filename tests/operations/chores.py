"""Tasks that people look at, and do things to."""

from __future__ import annotations

from datetime import date
from typing import Any

from reinhardt_tasks.tasks import task


@task
def add(a: int, b: int = 0) -> int:
    return a + b


@task(queue_name="emails", redact=["password"])
def log_in(name: str, password: str, *, remember: bool = False) -> str:
    return name


@task(queue_name="emails", redact=["token"])
def log_in_by_token(name: str, token: str) -> str:
    return name


@task
def greet(name: str, greeting: str = "hello") -> None:
    return None


@task(redact=True)
def whisper(*words: str, **more: Any) -> None:
    return None


@task(redact=["words"])
def murmur(first: str, *words: str) -> None:
    return None


@task(redact=["more"], takes_context=True)
def mutter(context: Any, first: str, **more: Any) -> None:
    return None


@task(redact=["on"])
def remember(name: str, on: date) -> None:
    return None
