"""What type checkers are to see of a task. Never run: `test_typing.py` has it checked.

Each error that is expected is ignored by its code, and an ignore that nothing needs is an error itself.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import assert_type

from django.contrib.auth.models import Group

from reinhardt_tasks import Task, TaskContext, TaskResult, task
from reinhardt_tasks.testing import CapturedTasks


@task
def add(a: int, b: int = 1) -> int:
    return a + b


@task(queue_name="reports", max_attempts=3, on_missing="skip")
async def build(group: Group, *, at: datetime) -> str:
    return f"{group} {at}"


@task(takes_context=True)
def tell(context: TaskContext, words: str) -> None:
    context.progress(1, 2)


def use() -> None:
    result = add.enqueue(1, b=2)
    assert_type(result, TaskResult[int])
    assert_type(result.return_value, int)
    assert_type(add.call(1), int)
    assert_type(add.enqueue_many([((1,), {})]), list[TaskResult[int]])
    assert_type(add.using(priority=3, run_after=timedelta(hours=1)).enqueue(1), TaskResult[int])
    assert_type(tell.enqueue("words"), TaskResult[None])
    add.enqueue_on_commit(1, b=2)
    add.enqueue_on_commit(1, using="replica")
    kept: Task[[int, int], int] = add
    kept.enqueue(1, 2)

    add.enqueue("1")  # type: ignore[arg-type]
    add.enqueue()  # type: ignore[call-arg]
    add.enqueue(1, c=2)  # type: ignore[call-arg]
    add.enqueue_on_commit("1")  # type: ignore[call-overload]
    add.enqueue_on_commit(1, c=2)  # type: ignore[call-overload]
    add.call("1")  # type: ignore[arg-type]
    tell.enqueue(1)  # type: ignore[arg-type]
    add.using(colour="red")  # type: ignore[call-arg]
    task(on_missing="ignore")  # type: ignore[call-overload]


async def ause(tasks: CapturedTasks, group: Group) -> None:
    assert_type(await build.aenqueue(group, at=datetime.now()), TaskResult[str])
    assert_type(await add.acall(1), int)
    tasks.assert_enqueued(build, args=[group], kwargs={"at": datetime.now()})

    await build.aenqueue(1, at=datetime.now())  # type: ignore[arg-type]
    await build.aenqueue(group)  # type: ignore[call-arg]
