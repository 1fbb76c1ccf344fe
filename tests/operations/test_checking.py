"""Waiting tasks that the code of today could not run: arguments of types that they are not of any more."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from django.contrib.auth.models import User

from reinhardt_tasks.jobs import Job, new_id
from reinhardt_tasks.operations import Store, check_queue
from reinhardt_tasks.operations.checking import problem_of
from reinhardt_tasks.tasks import task
from reinhardt_tasks.workflow_states import HEADER as WORKFLOW


@task(redact=["day"])
def note(day: date, *others: date, owner: User | None = None, owners: list[User] | None = None) -> None:
    return None


def job(*args: Any, headers: dict[str, Any] | None = None, **kwargs: Any) -> Job:
    payload = [args, kwargs, headers] if headers else [args, kwargs]
    return Job(id=new_id(), name=note.module_path, payload=json.dumps(payload), backend="default")


def test_arguments_that_were_stored_for_other_annotations_are_one_finding(store: Store) -> None:
    store.broker.enqueue([job("swordfish"), job("tuna"), job(17), job("2026-01-01"), job(day="2026-01-01")])
    (check,) = check_queue(store)
    (finding,) = check.findings
    assert (check.looked_at, finding.count) == (5, 3)
    assert finding.problem == (
        f"The stored argument args[0] of {note.module_path} is no date: it was stored for other annotations, or changed since."
    )


@pytest.mark.parametrize("args", [("2026-01-01", "2026-01-02", "x"), ("2026-01-01", None)])
def test_each_argument_is_read(args: tuple[Any, ...]) -> None:
    problem = problem_of(job(*args))
    assert problem is not None and f"args[{len(args) - 1}]" in problem


def test_no_database_is_asked_for_instances() -> None:
    # Without `django_db` a question to a database fails this test.
    gone = {"model": "auth.user", "pk": 17, "database": "default"}
    assert problem_of(job("2026-01-01", owner=gone, owners=[gone])) is None
    # What stands beside them is read all the same.
    assert problem_of(job("swordfish", owner=gone)) is not None


def test_results_that_a_step_is_given_when_it_runs_are_not_missed() -> None:
    headers = {WORKFLOW: {"id": new_id(), "places": [[[0, 0], 3], [[1, "owner"], 4]]}}
    assert problem_of(job(None, headers=headers, owner=None)) is None
    assert problem_of(job(None, "x", headers=headers)) is not None
