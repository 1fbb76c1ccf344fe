"""The tasks that the tests of the testing kit enqueue."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group
from django.db import transaction
from django.utils import timezone

from reinhardt_tasks import Debounce, RetryStrategy, TaskContext, task

#: What tasks were called with, in this process.
noted: list[Any] = []


@task
def note(value: Any, more: int = 0) -> Any:
    noted.append(value)
    return value


@task(unique=True)
def note_once(value: Any) -> None:
    noted.append(value)


@task(debounce=Debounce(10, key="last"))
def note_last(value: Any) -> None:
    noted.append(value)


@task
async def anote(value: Any) -> str:
    noted.append(value)
    return threading.current_thread().name


@task(queue_name="emails", priority=5)
def send(address: str, *, subject: str = "", **headers: Any) -> None:
    noted.append(address)


@task(redact=["password"], max_attempts=1)
def sign_up(name: str, password: str) -> None:
    raise ValueError(name)


@task(takes_context=True, max_attempts=3, backoff=RetryStrategy.fixed_delay(timedelta(minutes=10)))
def succeed_at(context: TaskContext, attempt: int) -> int:
    noted.append(context.attempt)
    if context.attempt < attempt:
        raise OSError(f"attempt {context.attempt}")
    return context.attempt


@task(max_attempts=1)
def fail(words: str) -> None:
    raise ValueError(words)


@task
def count_down(number: int) -> int:
    noted.append(number)
    if number:
        count_down.enqueue(number - 1)
    return number


@task
def go_on_for_ever() -> None:
    go_on_for_ever.enqueue()


@task(rate_limit="1/m")
def note_slowly(value: Any) -> None:
    noted.append(value)


@task
def tell_time() -> str:
    return timezone.now().isoformat()


@task
def make_group(name: str) -> None:
    Group.objects.create(name=name)


@task(max_attempts=1)
def note_and_make_group(name: str) -> None:
    with transaction.atomic():
        note.enqueue(name)
    Group.objects.create(name=name)


@task
async def amake_group(name: str) -> None:
    await Group.objects.acreate(name=name)


@task(atomic=True)
def make_group_atomically(name: str) -> None:
    Group.objects.create(name=name)
    noted.append(name)


@task(max_attempts=2, backoff=RetryStrategy.fixed_delay(0))
def make_group_once(name: str) -> int:
    """Fail where the group is there already, as a task does that is not idempotent."""
    noted.append(name)
    Group.objects.create(name=name)
    return Group.objects.count()


@task
def note_on_commit(value: Any) -> None:
    transaction.on_commit(lambda: note.enqueue(value))


@task
async def thread_of_the_orm() -> str:
    return await sync_to_async(lambda: threading.current_thread().name)()
