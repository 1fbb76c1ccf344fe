"""Tasks that other systems' tables name."""

from __future__ import annotations

from datetime import date

from reinhardt_tasks import task


@task
def report(day: str = "today", *, full: bool = False) -> str:
    return day


@task(queue_name="emails")
def remind(user: int) -> int:
    return user


@task
def bill(day: date) -> str:
    return day.isoformat()


@task(redact=["day"])
def confess(day: date) -> None:
    return None


@task(unique=True)
def index(name: str) -> str:
    return name


REPORT, REMIND, CONFESS = report.module_path, remind.module_path, confess.module_path
