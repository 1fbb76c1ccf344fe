"""Tasks as a Celery project has them; only the import is ours."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from reinhardt_tasks.contrib.celery import MaxRetriesExceededError, shared_task

#: What the tasks have seen.
seen: list[Any] = []


class Down(Exception):
    pass


class DownForGood(Down):
    pass


@shared_task
def add(a: int, b: int = 1) -> int:
    return a + b


@shared_task(bind=True, queue="emails", name="shop.send-mail")
def send(self: Any, to: str) -> str:
    seen.append((self.request.id, self.request.retries, list(self.request.args), dict(self.request.kwargs)))
    return to


@shared_task
def fail() -> None:
    seen.append("fail")
    raise Down("the bank is down")


@shared_task(
    autoretry_for=(Down,), dont_autoretry_for=(DownForGood,), retry_backoff=10, retry_jitter=False, max_retries=3
)
def fetch(for_good: bool = False) -> None:
    seen.append("fetch")
    raise DownForGood if for_good else Down


@shared_task(autoretry_for=Down, retry_kwargs={"max_retries": 1, "countdown": 7})
def poll() -> None:
    seen.append("poll")
    raise Down


@shared_task(bind=True, max_retries=2, default_retry_delay=30)
def ask_again(self: Any, countdown: float | None = None) -> None:
    seen.append(self.request.retries)
    try:
        raise Down("still")
    except Down as exc:
        raise self.retry(exc=exc, countdown=countdown)  # noqa: B904 - as Celery's manual writes it


@shared_task(bind=True, max_retries=1)
def ask_at(self: Any) -> None:
    try:
        self.retry(eta=datetime.now(UTC) + timedelta(hours=1))
    except MaxRetriesExceededError:
        seen.append("over")
        raise


@shared_task(bind=True)
def wrongly(self: Any, how: str) -> None:
    match how:
        case "args":
            self.retry(args=[1])
        case "max_retries":
            self.retry(max_retries=9)
        case "update_state":
            self.update_state(state="PROGRESS")


@shared_task(bind=True)
def chase(self: Any, left: int) -> int:
    if left:
        self.apply_async((left - 1,))
    return left


@shared_task(bind=True)
def on(self: Any, day: date) -> str:
    return f"{day:%A}"
