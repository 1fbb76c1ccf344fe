"""`manage.py tasks show`, and what else tells of one task, on a database and on Redis."""

from __future__ import annotations

import re
from datetime import timedelta

from reinhardt_tasks.operations import Store
from tests.operations import chores
from tests.operations.stores import database_store, put_back, redis_store, store

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
