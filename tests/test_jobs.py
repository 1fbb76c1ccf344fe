"""Ids, priorities and states: the small values that everything else is made of."""

from __future__ import annotations

import copy
import json
import pickle
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from reinhardt_tasks import jobs
from reinhardt_tasks._compat import TASK_MAX_PRIORITY, TASK_MIN_PRIORITY, TaskResultStatus
from reinhardt_tasks.jobs import Attempt, Job, TaskId, TaskPriority, TaskStatus, new_id

THE_ID = "018f3f1e-6b2a-7c3d-9e4f-5a6b7c8d9e0f"


def attempt(worker: str = "w1", *, lost: bool = False) -> Attempt:
    now = datetime.now(UTC)
    return Attempt(
        worker=worker, started_at=now, finished_at=now, exception="builtins.ValueError", traceback="", lost=lost
    )


def job(**values: Any) -> Job:
    return Job(**{"id": THE_ID, "name": "app.tasks.add", "payload": "[[],{}]", "backend": "default", **values})


# TaskId


def test_a_new_task_id_has_the_version_and_the_variant_of_rfc_9562() -> None:
    for _ in range(1_000):
        made = TaskId()
        assert made.version == 7
        assert made.variant == uuid.RFC_4122


def test_a_task_id_begins_with_the_milliseconds_of_its_making() -> None:
    before = time.time_ns() // 1_000_000
    made = TaskId()
    # Ids made in a hurry run ahead of the clock by a 4096th of a millisecond each, so there is some room above.
    assert before <= made.int >> 80 <= time.time_ns() // 1_000_000 + 1_000


def test_a_task_id_prints_as_canonical_text_and_reads_it_back() -> None:
    assert str(TaskId(THE_ID)) == THE_ID
    assert str(TaskId(THE_ID.upper())) == THE_ID
    assert TaskId(str(made := TaskId())) == made
    assert TaskId(uuid.UUID(THE_ID)) == TaskId(THE_ID)
    assert json.loads(json.dumps(str(made))) == str(made)


@pytest.mark.parametrize("text", ["", "no id", THE_ID[:-1], THE_ID + "0", 7])
def test_what_is_no_uuid_is_no_task_id(text: Any) -> None:
    with pytest.raises(ValueError, match="badly formed"):
        TaskId(text)


def test_task_ids_are_values() -> None:
    made = TaskId()
    assert made == TaskId(str(made))
    assert made == uuid.UUID(str(made))
    assert made != TaskId()
    assert {made: 1}[TaskId(str(made))] == 1
    assert copy.copy(made) == pickle.loads(pickle.dumps(made)) == made
    assert isinstance(pickle.loads(pickle.dumps(made)), TaskId)


def test_later_ids_sort_later_as_text_and_as_task_ids() -> None:
    made = [new_id() for _ in range(10_000)]
    assert made == sorted(set(made))
    ids = [TaskId() for _ in range(100)]
    assert ids == sorted(ids)


def test_ids_sort_on_when_the_clock_stands_still_or_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    start = time.time_ns()
    # Written out, since the module's own stamp may have run ahead of the clock.
    monkeypatch.setattr(jobs, "_last_stamp", 0)
    clock = iter([start, start, start, start - 3_600 * 10**9, start - 1, start + 10**9])
    monkeypatch.setattr(jobs.time, "time_ns", lambda: next(clock))
    made = [new_id() for _ in range(6)]
    assert made == sorted(set(made))


def test_ids_of_one_millisecond_keep_the_order_of_its_fractions(monkeypatch: pytest.MonkeyPatch) -> None:
    start = 1_700_000_000_000 * 1_000_000
    for nanoseconds, fraction in [(0, "000"), (500_000, "800"), (999_999, "fff")]:
        monkeypatch.setattr(jobs, "_last_stamp", 0)
        monkeypatch.setattr(jobs.time, "time_ns", lambda now=start + nanoseconds: now)
        assert new_id()[:18] == f"018bcfe5-6800-7{fraction}"


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Let threads change places as often as the interpreter can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_threads_get_ids_that_are_unique_and_sorted_within_each(
    hasty_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # At one moment, so that every id is the step after the last one.
    now = time.time_ns()
    monkeypatch.setattr(jobs.time, "time_ns", lambda: now)
    made: list[list[str]] = [[] for _ in range(8)]
    start = threading.Barrier(len(made))

    def make(into: list[str]) -> None:
        start.wait()
        into.extend(new_id() for _ in range(2_000))

    threads = [threading.Thread(target=make, args=(into,)) for into in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(into == sorted(into) for into in made)
    # Even the stamps, without the random part, are never used twice.
    assert len({text[:18] for into in made for text in into}) == 8 * 2_000


# TaskPriority


def test_the_default_priority_is_5_which_is_djangos_own_default() -> None:
    assert TaskPriority().value == int(TaskPriority()) == 5
    assert TaskPriority().django == 0


def test_priorities_are_laid_over_djangos_scale() -> None:
    scale = [TaskPriority(value).django for value in range(10)]
    assert scale == [-100, -80, -60, -40, -20, 0, 25, 50, 75, 100]
    assert (scale[0], scale[-1]) == (TASK_MIN_PRIORITY, TASK_MAX_PRIORITY)


def test_djangos_priorities_come_back_as_the_nearest() -> None:
    for value in range(10):
        assert TaskPriority.from_django(TaskPriority(value).django) == TaskPriority(value)
    nearest = {-100: 0, -99: 0, -91: 0, -89: 1, -9: 5, 12: 5, 13: 6, 88: 9, 99: 9}
    assert {priority: TaskPriority.from_django(priority).value for priority in nearest} == nearest
    for priority in range(TASK_MIN_PRIORITY, TASK_MAX_PRIORITY + 1):
        assert 0 <= TaskPriority.from_django(priority).value <= 9


@pytest.mark.parametrize("value", [-1, 10, 100, -100])
def test_a_priority_outside_its_range_is_an_error_that_names_the_range(value: int) -> None:
    with pytest.raises(ValueError, match=rf"between 0 and 9 \(9 runs first\); {value} does not"):
        TaskPriority(value)


@pytest.mark.parametrize("value", [5.0, "5", None, True])
def test_a_priority_is_a_whole_number(value: Any) -> None:
    with pytest.raises(TypeError, match="whole number from 0 to 9"):
        TaskPriority(value)


def test_priorities_are_ordered_the_more_urgent_the_larger() -> None:
    assert TaskPriority(0) < TaskPriority() < TaskPriority(9)
    assert max(TaskPriority(3), TaskPriority(7)) == TaskPriority(7)
    assert len({TaskPriority(3), TaskPriority(3)}) == 1


# TaskStatus


def test_djangos_four_statuses_are_a_view_of_ours() -> None:
    view = {status.name: status.django for status in TaskStatus}
    assert view == {
        "PENDING": TaskResultStatus.READY,
        "SCHEDULED": TaskResultStatus.READY,
        "RETRY": TaskResultStatus.READY,
        "RUNNING": TaskResultStatus.RUNNING,
        "SUCCESS": TaskResultStatus.SUCCESSFUL,
        "FAILURE": TaskResultStatus.FAILED,
        "CANCELLED": TaskResultStatus.FAILED,
    }


def test_each_status_waits_runs_or_is_finished() -> None:
    finished = {status for status in TaskStatus if status.is_finished}
    waiting = {status for status in TaskStatus if status.is_waiting}
    assert finished == {TaskStatus.SUCCESS, TaskStatus.FAILURE, TaskStatus.CANCELLED}
    assert waiting == {TaskStatus.PENDING, TaskStatus.SCHEDULED, TaskStatus.RETRY}
    assert set(TaskStatus) - finished - waiting == {TaskStatus.RUNNING}


def test_a_status_is_its_own_name_as_text() -> None:
    assert [str(status) for status in TaskStatus] == [status.name for status in TaskStatus]
    assert TaskStatus("RETRY") is TaskStatus.RETRY
    with pytest.raises(ValueError, match="retrying"):
        TaskStatus("retrying")


# Job


def test_lost_workers_are_counted_apart_from_failures() -> None:
    tried = job(history=(attempt(), attempt(lost=True), attempt()))
    assert (tried.failures, tried.losses) == (2, 1)
    assert (job().failures, job().losses) == (0, 0)


@pytest.mark.parametrize(
    ("status", "workers"),
    [
        (TaskStatus.RUNNING, ["w1", "w2"]),
        (TaskStatus.SUCCESS, ["w1", "w2"]),
        (TaskStatus.RETRY, ["w1"]),
        (TaskStatus.FAILURE, ["w1"]),
    ],
)
def test_a_job_names_one_worker_for_each_attempt(status: TaskStatus, workers: list[str]) -> None:
    assert job(history=(attempt("w1"),), worker="w2", status=status).worker_ids == workers


def test_jobs_do_not_change() -> None:
    with pytest.raises(AttributeError):
        job().queue = "other"  # type: ignore[misc]
