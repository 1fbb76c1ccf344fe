"""The records that a ResultBackend keeps, and the one that keeps them in memory."""

from __future__ import annotations

import pickle
import threading
import time
from typing import Any

import pytest

from reinhardt_tasks.jobs import TaskId, TaskStatus
from reinhardt_tasks.result_backends import MemoryResultBackend, TaskOutput, TaskResultMetadata

THE_ID = "018f3f1e-6b2a-7c3d-9e4f-5a6b7c8d9e0f"


# TaskOutput, TaskResultMetadata


def test_an_output_is_an_id_and_a_text() -> None:
    output = TaskOutput(THE_ID, "3")
    assert (output.task_id, output.result) == (THE_ID, "3")
    assert output == TaskOutput(task_id=THE_ID, result="3")
    with pytest.raises(AttributeError):
        output.result = "4"  # type: ignore[misc]


def test_a_record_of_a_result_has_no_error() -> None:
    before = int(time.time())
    record = TaskResultMetadata(THE_ID, TaskStatus.SUCCESS, "3")
    assert (record.task_id, record.status, record.result, record.error) == (THE_ID, TaskStatus.SUCCESS, "3", None)
    assert isinstance(record.created_at, int)
    assert before <= record.created_at <= time.time()


def test_a_record_made_from_an_error_is_a_failure_without_a_result() -> None:
    made = TaskId()
    record = TaskResultMetadata.with_error(made, "no")
    assert (record.task_id, record.status, record.result, record.error) == (str(made), TaskStatus.FAILURE, None, "no")


def test_setting_the_error_changes_nothing_else() -> None:
    record = TaskResultMetadata(THE_ID, TaskStatus.SUCCESS, "3", created_at=7)
    record.set_error("late")
    assert record == TaskResultMetadata(THE_ID, TaskStatus.SUCCESS, "3", "late", 7)


def test_records_pickle() -> None:
    record = TaskResultMetadata(THE_ID, TaskStatus.SUCCESS, "3")
    assert pickle.loads(pickle.dumps(record)) == record


# MemoryResultBackend


@pytest.fixture
def memory() -> MemoryResultBackend:
    return MemoryResultBackend()


def test_what_was_stored_is_got_back(memory: MemoryResultBackend) -> None:
    record = TaskResultMetadata(THE_ID, TaskStatus.SUCCESS, "3")
    memory.store_result(record)
    assert memory.get_result(THE_ID) == record
    assert memory.get_result(TaskId(THE_ID)) == record  # type: ignore[arg-type]


def test_a_later_result_takes_the_earlier_ones_place(memory: MemoryResultBackend) -> None:
    memory.store_result(TaskResultMetadata.with_error(THE_ID, "no"))
    memory.store_result(later := TaskResultMetadata(THE_ID, TaskStatus.SUCCESS, "3"))
    assert memory.get_result(THE_ID) == later


def test_getting_what_is_absent_gives_none(memory: MemoryResultBackend) -> None:
    assert memory.get_result(THE_ID) is None


def test_deleting_what_is_absent_is_no_error(memory: MemoryResultBackend) -> None:
    memory.delete_result(THE_ID)
    memory.store_result(TaskResultMetadata(THE_ID, TaskStatus.SUCCESS))
    for _ in range(2):
        memory.delete_result(THE_ID)
        assert memory.get_result(THE_ID) is None


def test_a_stored_record_is_not_changed_from_outside(memory: MemoryResultBackend) -> None:
    record = TaskResultMetadata(THE_ID, TaskStatus.SUCCESS, "3")
    memory.store_result(record)
    record.set_error("later")
    assert (got := memory.get_result(THE_ID)) is not None and got.error is None
    got.set_error("later still")
    assert (again := memory.get_result(THE_ID)) is not None and again.error is None


def test_backends_are_apart(memory: MemoryResultBackend) -> None:
    memory.store_result(TaskResultMetadata(THE_ID, TaskStatus.SUCCESS))
    assert MemoryResultBackend().get_result(THE_ID) is None


def test_threads_store_get_and_delete_side_by_side(memory: MemoryResultBackend) -> None:
    problems: list[Any] = []
    start = threading.Barrier(8)

    def work(number: int) -> None:
        start.wait()
        for index in range(500):
            record = TaskResultMetadata(f"{number}-{index}", TaskStatus.SUCCESS, str(index))
            memory.store_result(record)
            memory.store_result(TaskResultMetadata("shared", TaskStatus.SUCCESS, str(number)))
            if memory.get_result(record.task_id) != record or memory.get_result("shared") is None:
                problems.append(record)
            if index % 2:
                memory.delete_result(record.task_id)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    kept = [(number, index) for number in range(8) for index in range(500) if memory.get_result(f"{number}-{index}")]
    assert kept == [(number, index) for number in range(8) for index in range(0, 500, 2)]
