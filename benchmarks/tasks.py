"""The tasks that every system with Django's task API runs."""

from __future__ import annotations

from django.tasks import task

from .delays import write_delay


@task
def nothing() -> None:
    pass


@task
def stamp(path: str, called_at: float) -> None:
    write_delay(path, called_at)
