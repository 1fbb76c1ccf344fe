"""A task that was renamed runs what was enqueued under its old name, while both versions of the code are at work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from reinhardt_tasks._compat import InvalidTask
from reinhardt_tasks.brokers.memory import MemoryBroker
from reinhardt_tasks.jobs import Job, TaskStatus, new_id
from reinhardt_tasks.options import BackendOptions
from reinhardt_tasks.registry import registry
from reinhardt_tasks.serialization import encode_call
from reinhardt_tasks.tasks import task
from reinhardt_tasks.worker import Worker, WorkerConfig

from .running import Door

OLD_NAME = "shop.jobs.double"


def twice(number: int) -> int:
    return 2 * number


def thrice(number: int) -> int:
    return 3 * number


@pytest.fixture(autouse=True)
def known_names() -> Iterator[None]:
    before = registry.list()
    yield
    for name in set(registry.list()) - set(before):
        registry.unregister(name)


def _run(name: str) -> Job:
    broker = MemoryBroker()
    job = Job(id=new_id(), name=name, payload=encode_call(name, [21], {}), backend="default")
    broker.enqueue([job])
    Worker(broker, BackendOptions(), Door, WorkerConfig(burst=True)).run()
    return broker.get([job.id])[job.id]


def test_what_was_enqueued_under_the_old_name_is_run_by_the_new_task() -> None:
    renamed = task(aliases=[OLD_NAME])(twice)
    for name in (OLD_NAME, renamed.module_path):
        done = _run(name)
        assert (done.status, done.result) == (TaskStatus.SUCCESS, "42")


def test_a_name_that_neither_version_of_the_code_knows_waits_for_one_that_does() -> None:
    assert _run(OLD_NAME).status is TaskStatus.SCHEDULED
    task(aliases=[OLD_NAME])(twice)
    assert _run(OLD_NAME).status is TaskStatus.SUCCESS


def test_two_tasks_cannot_have_had_one_name() -> None:
    task(aliases=[OLD_NAME])(twice)
    with pytest.raises(Exception, match="Two tasks are called 'shop.jobs.double'"):
        task(aliases=[OLD_NAME])(thrice)


@pytest.mark.parametrize("names", ["shop.jobs.double", ["double"], [3]])
def test_what_is_no_list_of_names_is_refused(names: Any) -> None:
    with pytest.raises(InvalidTask, match="aliases must be a sequence of names"):
        task(aliases=names)(twice)
