"""`manage.py tasks show`, and what else tells of one task, on a database and on Redis."""

from __future__ import annotations

import re
from datetime import timedelta

from reinhardt_tasks.brokers.base import WorkerInfo
from reinhardt_tasks.jobs import Progress, Retrying
from reinhardt_tasks.operations import Store
from tests.operations import chores
from tests.operations.stores import (
    attempt,
    claim,
    database_store,
    fail,
    logged,
    put_back,
    redis_store,
    store,
    succeed,
    worker,
)

from .telling import data, told

__all__ = ["database_store", "redis_store", "store"]

LATER = timedelta(hours=1)


def test_a_task_that_a_worker_gave_back_looks_like_no_scheduled_one(store: Store) -> None:
    chores.add.enqueue(1)
    back = put_back(store)
    wanted = chores.add.using(run_after=LATER).enqueue(2).id
    out = told("show", back)[1]
    assert re.search("^status +SCHEDULED, put back$", out, re.M) and "restart the worker" in out
    assert re.search("^status +SCHEDULED$", told("show", wanted)[1], re.M)
    rows = {line.split()[0]: line for line in told("list")[1].splitlines()}
    assert "SCHEDULED, put back" in rows[back] and "put back" not in rows[wanted]
    assert {task["id"]: task["is_put_back"] for task in data("list")["tasks"]} == {back: True, wanted: False}
    assert told("requeue", "--unknown")[:2] == (0, "Done with 1 task.\n")
    assert data("show", back)["is_put_back"] is False


def test_each_attempt_is_told_also_one_that_succeeded(store: Store) -> None:
    id_ = chores.add.using(max_attempts=4).enqueue(1).id
    one = claim(store)
    trace = "Traceback\nValueError: no"
    store.broker.settle(
        [Retrying(claim=one, attempt=attempt(one, traceback=trace), log=logged(one, "hello", dropped=3))]
    )
    store.broker.retry([id_])
    by = worker("second")
    claim(store, by=by)
    rows = rows_of(told("show", id_)[1], "attempt")
    assert rows[0] == ["1", "ValueError", "0 ms", one.worker, "4 lines"]
    assert rows[1] == ["2", "running", "–", by.id, "What it logs is shown when it has ended."]

    first, second = data("show", id_)["attempts"]
    assert (first["duration"], first["message"], first["log_dropped"], first["no_log"]) == (
        0,
        "ValueError: no",
        3,
        None,
    )
    assert (second["duration"], second["message"]) == (None, None) and second["no_log"].startswith("What it logs")
    listed = data("list")["tasks"][0]
    assert listed["message"] == "ValueError: no" and listed["attempts"][0]["message"] == "ValueError: no"


def test_a_lost_attempt_and_a_success_say_why_nothing_is_there_of_their_log(store: Store) -> None:
    id_ = chores.add.enqueue(1).id
    lost = WorkerInfo(id="lost", lease=600)
    claim(store, by=lost)
    store.broker.leave(lost)
    assert told("requeue", "--lost")[0] == 0
    succeed(store)
    rows = rows_of(told("show", id_)[1], "attempt")
    assert [(row[1], row[-1]) for row in rows] == [
        ("worker lost", "What it had logged went with its worker."),
        ("succeeded", "No lines of its log are kept."),
    ]
    assert not re.search("^error ", told("show", id_)[1], re.M)


def test_the_error_stands_among_the_facts(store: Store) -> None:
    id_ = chores.add.enqueue(1).id
    fail(store)
    assert re.search("^error +ValueError: no$", told("show", id_)[1], re.M)
    assert not rows_of(told("show", chores.add.enqueue(1).id)[1], "attempt")


def test_the_timeline_tells_how_long_after_each_other_and_what_is_to_come(store: Store) -> None:
    id_ = chores.add.using(run_after=LATER).enqueue(1).id
    rows = rows_of(told("show", id_)[1], "when")
    assert [row[1] for row in rows] == ["enqueued", "due"] and len(rows[0]) == 2
    assert re.fullmatch("in (1 h|59 min( 59 s)?|60 min)", rows[1][2])
    enqueued, due = data("show", id_)["timeline"]
    assert (enqueued["gap"], enqueued["is_ahead"], due["is_ahead"]) == (None, False, True)
    assert 3590 < due["gap"] < 3610
    store.broker.retry([id_])
    succeed(store)
    times = data("show", id_)["timeline"]
    assert not any(event["is_ahead"] for event in times)
    assert rows_of(told("show", id_)[1], "when")[-1][1] == "succeeded"


def test_json_has_what_the_text_has(store: Store) -> None:
    id_ = chores.add.using(concurrency=2, rate_limit="1/h").enqueue(1).id
    assert store.broker.annotate(claim(store), {}, Progress(3, 10, "packing"))
    task = data("show", id_)
    assert (task["progress"], task["progress_message"]) == ([3, 10], "packing")
    assert {(limit["size"], limit["every"]) for limit in task["limits"]} == {(2, None), (1, 3600)}
    assert all(limit["key"] for limit in task["limits"])
    assert (task["is_registered"], task["task_priority"], task["message"]) == (True, 5, None)
    assert re.search(r"^progress +3 / 10 \(30 %\) packing$", told("show", id_)[1], re.M)


def rows_of(out: str, title: str) -> list[list[str]]:
    """Return the cells of the table whose first column has this title."""
    for part in out.split("\n\n"):
        first, *lines = part.splitlines()
        if first.split()[:1] == [title] and not first.startswith("attempts"):
            return [re.split(" {2,}", line.strip()) for line in lines]
    return []
