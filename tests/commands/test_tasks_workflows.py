"""`manage.py tasks workflows`: seen with their steps, cancelled, retried."""

from __future__ import annotations

import io

import pytest

from reinhardt_tasks.management.tasks_cli import output
from reinhardt_tasks.models import WorkflowRow
from reinhardt_tasks.operations import Store
from reinhardt_tasks.workflow_states import ChainStatus
from reinhardt_tasks.workflows import Workflow, get_workflow, step
from reinhardt_tasks.workflows.places import database
from tests.admin.test_workflows import fail_next, fan
from tests.operations import chores
from tests.operations.stores import database_store, redis_store, store

from .telling import data, told

__all__ = ["database_store", "redis_store", "store"]


@pytest.fixture(autouse=True)
def here(database_store: Store) -> None:
    """Workflows lie in the database, wherever their steps run."""


def started(name: str = "trip") -> str:
    flow = Workflow(name)
    first = flow.add(step(chores.add, 1).named("pack"))
    flow.add(step(chores.add, 2).named("walk"), after=[first])
    return flow.start().id


def test_workflows_are_listed_by_state_and_page() -> None:
    ids = [started("one"), started("two"), started("three")]
    get_workflow(ids[0]).cancel()
    code, out, _ = told("workflows", "list")
    assert code == 0 and all(id_ in out for id_ in ids) and "0 of 2" in out
    assert [each["id"] for each in data("workflows", "list", "--status", "cancelled")["workflows"]] == [ids[0]]
    assert [each["id"] for each in data("workflows", "list", "--name", "two")["workflows"]] == [ids[1]]
    first = data("workflows", "list", "--limit", "2")
    rest = data("workflows", "list", "--after", first["after"])
    assert [each["id"] for each in first["workflows"] + rest["workflows"]] == ids[::-1] and rest["after"] is None


def test_one_is_shown_with_its_steps_by_the_beginning_of_its_id(database_store: Store) -> None:
    id_ = started()
    fail_next(database_store, id_)
    code, out, _ = told("workflows", "show", id_[:-1])
    assert code == 0 and "pack" in out and "FAILURE" in out and "SKIPPED" in out and "1 of 2" in out
    shown = data("workflows", "show", id_.replace("-", ""))
    assert (shown["status"], shown["done"], shown["total"]) == ("FAILED", 1, 2)
    assert [(each["name"], each["state"]) for each in shown["steps"]] == [("pack", "FAILURE"), ("walk", "SKIPPED")]
    page = data("workflows", "show", id_, "--limit", "1")
    assert data("workflows", "show", id_, "--after", str(page["after"]))["steps"] == shown["steps"][1:]


def test_members_of_a_step_are_told_on_request_and_what_failed_alone(database_store: Store) -> None:
    id_ = fan(database_store, 3)
    fail_next(database_store, id_)

    def names(*flags: str) -> list[str]:
        return [each["name"] for each in data("workflows", "show", id_, *flags)["steps"]]

    assert names() == ["scan", "files"] and names("--members") == ["scan", "files[0]", "files[1]", "files[2]"]
    assert names("--failed") == ["files[0]"]
    assert data("workflows", "show", id_)["steps"][1]["members"] == [1, 3]
    assert "1 of 3" in told("workflows", "show", id_)[1].partition("files")[2]


def test_a_table_that_is_not_there_is_answered_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WorkflowRow._meta, "db_table", "reinhardt_tasks_nowhere")
    code, _, err = told("workflows", "list")
    assert code == 3 and "reinhardt_tasks_nowhere" in err and f"Run `manage.py migrate --database {database()}`." in err


def test_one_is_cancelled_and_retried(database_store: Store) -> None:
    id_ = started()
    assert told("workflows", "cancel", id_)[0] == 2, "nobody is there to be asked"
    assert data("workflows", "cancel", id_, "--yes")["took"] == [id_]
    assert get_workflow(id_).status is ChainStatus.CANCELLED
    words = told("workflows", "show", id_)[1]
    assert "0 of 2 succeeded" in words and "TaskCancelled" not in words
    shown = data("workflows", "show", id_)
    assert shown["done"] > shown["succeeded"] == 0
    assert data("workflows", "retry-failed", id_)["took"] == [id_]
    assert get_workflow(id_).status is ChainStatus.RUNNING
    answer = data("workflows", "retry", id_, "--yes", code=1)
    assert answer["took"] == [] and "RUNNING" in answer["left"][id_]
    fail_next(database_store, id_)
    assert data("workflows", "retry", id_, "--yes")["took"] == [id_]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_question_names_the_workflows(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [started() for _ in range(5)]
    monkeypatch.setattr(output.sys, "stdin", Terminal())
    name = get_workflow(ids[0]).name
    assert f"1 workflow: {name!r}. Cancel this workflow?" in told("workflows", "cancel", ids[0])[2]
    names = ", ".join([repr(name)] * 3)
    assert f"5 workflows: {names}, …. Of each: Cancel this workflow?" in told("workflows", "cancel", *ids)[2]


def test_what_there_is_not_is_told_and_the_others_are_done() -> None:
    id_ = started()
    answer = data("workflows", "cancel", "ffffffff", id_, "--yes", code=1)
    assert answer["took"] == [id_] and list(answer["left"]) == ["ffffffff"]
    assert told("workflows", "show", "no-id")[0] == 1


def test_a_beginning_that_several_have_is_refused() -> None:
    ids = [started(), started()]
    code, _, err = told("workflows", "show", ids[0][:8])
    assert code == 2 and all(id_ in err for id_ in ids)


def test_a_state_that_is_none_is_hinted_at() -> None:
    code, _, err = told("workflows", "list", "--status", "canceled")
    assert code != 0 and "'cancelled'" in err
