"""Rows that somebody damaged cost themselves only."""

from __future__ import annotations

from typing import Any

import pytest

from reinhardt_tasks.backends import DatabaseBackend
from reinhardt_tasks.jobs import TaskStatus
from reinhardt_tasks.models import JobRow

from .chores import add
from .database_doors import backend
from .working import work_off

__all__ = ["backend"]

DAMAGES = {
    "payload is no JSON": {"payload": "add(1)"},
    "payload is empty": {"payload": ""},
    "payload is of another shape": {"payload": '{"a": 1}'},
    "payload is two numbers": {"payload": "[1, 2]"},
    # What Python's decoder, Django's copy of arguments and nobody at all can take, in other words for each Python.
    "payload is nested deeply": {"payload": f"[[{'[' * 900}{']' * 900}],{{}}]", "max_attempts": 1},
    "payload is nested more deeply": {"payload": f"[[{'[' * 3000}{']' * 3000}],{{}}]", "max_attempts": 1},
    "payload is nested without end": {"payload": f"[[{'[' * 100_000}{']' * 100_000}],{{}}]"},
    "arguments do not fit": {"payload": '[[],{"c":1}]', "max_attempts": 1},
    "unknown state": {"status": "WAITING"},
    "state of something that runs": {"status": "RUNNING"},
    "history is no JSON": {"history": "none"},
    "history of another shape": {"history": '{"worker": 1}'},
    "history of numbers": {"history": "[1, null]"},
    "history with words for moments": {"history": '[{"started_at": "yesterday", "finished_at": []}]'},
    "history with a moment beyond all years": {"history": '[{"started_at": 9000000000000000000}]'},
    "metadata is no JSON": {"metadata": "{"},
    "metadata is a list": {"metadata": "[1]"},
    "progress is no JSON": {"progress": "half"},
    "progress of another shape": {"progress": "[1]"},
    "a moment beyond all years": {"enqueued_at": 9_000_000_000_000_000_000},
    "a moment before all years": {"due_at": -9_000_000_000_000_000_000},
    # Met by a worker that did not know it once before, long ago: the first meeting fails nothing.
    "another name": {
        "name": "no.such.task",
        "enqueued_at": 0,
        "metadata": '{"reinhardt_tasks.unknown_since": "1970-01-02T00:00:00+00:00"}',
    },
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_row_costs_itself_only(backend: DatabaseBackend, database_alias: str, damage: dict[str, Any]) -> None:
    before, damaged, after = [add.enqueue(number) for number in range(3)]
    JobRow.objects.using(database_alias).filter(pk=damaged.id).update(**damage)
    if "name" not in damage:
        assert backend.get_result(damaged.id).id == damaged.id

    work_off(backend)

    assert [add.get_result(result.id).return_value for result in (before, after)] == [1, 3]
    status = backend.get_status(damaged.id)
    assert status.is_finished
    if {"payload", "name"} & damage.keys():
        assert status is TaskStatus.FAILURE
    assert backend.broker.counts() == []
    if "name" not in damage:
        assert backend.get_result(damaged.id).is_finished


def test_a_worker_outlives_a_batch_of_damaged_rows(backend: DatabaseBackend, database_alias: str) -> None:
    results = [add.enqueue(number) for number in range(len(DAMAGES) * 2)]
    for result, damage in zip(results, DAMAGES.values(), strict=False):
        JobRow.objects.using(database_alias).filter(pk=result.id).update(**damage)
    worker = work_off(backend)
    assert worker.succeeded + worker.failed == len(results)
    assert backend.broker.counts() == []
