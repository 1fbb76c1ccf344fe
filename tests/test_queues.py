"""Queues by name and rule: what a QueueConfig may be, and what a TaskQueue gives to the tasks it enqueues."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from reinhardt_tasks.queues import QueueConfig, TaskQueue
from reinhardt_tasks.retries import RetryStrategy
from reinhardt_tasks.tasks import task


@task
def add(a: int, b: int) -> int:
    return a + b


@task
def take_words(task: int, what: int) -> int:
    return task + what


def five_seconds(exception: BaseException, result: Any) -> int:
    return 5


@pytest.fixture(autouse=True)
def dummy(settings: Any) -> None:
    settings.TASKS = {"default": {"BACKEND": "reinhardt_tasks.backends.DummyBackend", "QUEUES": ["default", "reports"]}}


def test_a_queue_is_called_default_and_retries_three_times() -> None:
    assert QueueConfig() == QueueConfig(name="default", max_retries=3)
    assert TaskQueue().config == QueueConfig()


def test_a_queue_named_alone_keeps_its_three_retries() -> None:
    assert (QueueConfig("reports").name, QueueConfig("reports").max_retries) == ("reports", 3)
    assert QueueConfig("reports", max_retries=0).max_retries == 0


@pytest.mark.parametrize("name", ["", None, 5])
def test_a_queues_name_is_a_text(name: Any) -> None:
    with pytest.raises(ValueError, match="A queue's name is a text"):
        QueueConfig(name)


@pytest.mark.parametrize("max_retries", [-1, 1.5, "3", True])
def test_a_queues_retries_are_a_whole_number(max_retries: Any) -> None:
    with pytest.raises(ValueError, match=f"max_retries of queue 'reports' must be .* not {max_retries!r}"):
        QueueConfig("reports", max_retries)


def test_a_queue_that_leaves_retries_to_the_backend_says_nothing_of_them() -> None:
    assert TaskQueue(QueueConfig("reports", max_retries=None)).enqueue(add, 1, 2).task.max_attempts is None


def test_a_timeout_that_no_worker_would_read_is_refused() -> None:
    with pytest.raises(ValueError, match=r"timeout: .* 'reports' in its settings.*OPTIONS\['QUEUES'\]"):
        TaskQueue(QueueConfig("reports", timeout=60))


@pytest.mark.parametrize("limit", [{"concurrency": 1}, {"rate_limit": "1/h"}])
def test_a_limit_that_the_settings_do_not_know_is_refused(limit: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"the {next(iter(limit))} of queue 'reports'.*OPTIONS\['QUEUES'\]"):
        TaskQueue(QueueConfig("reports", **limit))


def test_a_task_goes_to_the_queue_with_the_queues_retries() -> None:
    result = TaskQueue(QueueConfig("reports", max_retries=5)).enqueue(add, 1, b=2)
    assert (result.args, result.kwargs) == ([1], {"b": 2})
    assert (result.task.queue_name, result.task.max_attempts) == ("reports", 6)


def test_a_coroutine_enqueues_the_same() -> None:
    result = asyncio.run(TaskQueue(QueueConfig("reports", max_retries=0)).aenqueue(add, 1, b=2))
    assert (result.args, result.kwargs) == ([1], {"b": 2})
    assert (result.task.queue_name, result.task.max_attempts) == ("reports", 1)


def test_no_word_is_taken_from_a_tasks_own_arguments() -> None:
    queue, words = TaskQueue(QueueConfig("reports")), {"task": 1, "what": 2}
    assert queue.enqueue(take_words, **words).kwargs == words
    assert asyncio.run(queue.aenqueue(take_words, **words)).kwargs == words


def test_a_tasks_own_attempts_come_before_the_queues() -> None:
    result = TaskQueue(QueueConfig("reports", max_retries=5)).enqueue(replace(add, max_attempts=2), 1, 2)
    assert result.task.max_attempts == 2


def test_a_tasks_own_strategy_comes_before_the_queue() -> None:
    own = replace(add, backoff=RetryStrategy.exponential_backoff(max_retries=9))
    assert TaskQueue(QueueConfig("reports", max_retries=1)).enqueue(own, 1, 2).task.max_attempts in (None, 10)


def test_a_backoff_that_names_no_number_leaves_it_to_the_queue() -> None:
    own = replace(add, backoff=five_seconds)
    assert TaskQueue(QueueConfig("reports", max_retries=1)).enqueue(own, 1, 2).task.max_attempts == 2


def test_the_task_itself_stays_as_it_was() -> None:
    TaskQueue(QueueConfig("reports")).enqueue(add, 1, 2)
    assert (add.queue_name, add.max_attempts) == ("default", None)
