"""`manage.py tasks`: what is done to tasks and queues, and what is refused, on a database and on Redis."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command

from reinhardt_tasks import operations
from reinhardt_tasks.brokers.base import Query, WorkerInfo
from reinhardt_tasks.jobs import Job, TaskStatus, new_id
from reinhardt_tasks.management.tasks_cli import output
from reinhardt_tasks.operations import Store, actions, counting, store_of
from reinhardt_tasks.redaction import REDACTED
from reinhardt_tasks.registry import registry
from tests.operations import chores
from tests.operations.stores import (
    claim,
    database_store,
    fail,
    goes_away,
    put_off,
    redis_store,
    status_of,
    store,
    succeed,
    worker,
)

from .telling import data, told

__all__ = ["database_store", "redis_store", "store"]

LATER = timedelta(hours=1)


# retry, cancel, discard, run-now, change


@pytest.mark.parametrize(
    ("words", "make", "after"),
    [
        (["retry"], fail, TaskStatus.PENDING),
        (["cancel"], None, TaskStatus.CANCELLED),
        (["discard", "--yes"], fail, None),
        (["run-now"], put_off, TaskStatus.PENDING),
        (["change", "--to-priority", "7"], None, TaskStatus.PENDING),
        (["change", "--at", "2h"], None, TaskStatus.SCHEDULED),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_tasks_are_acted_on_by_id(
    store: Store, words: list[str], make: Callable[[Store], str] | None, after: TaskStatus | None
) -> None:
    ids = [chores.add.enqueue(number).id for number in range(2)]
    if make is not None:
        ids = [make(store), make(store)]
    # Whole, and by the beginning.
    code, out, err = told(*words, ids[0], ids[1][:-1])
    assert (code, out, err) == (0, "Done with 2 of 2.\n", "")
    assert [None if job is None else job.status for job in map(store.broker.get(ids).get, ids)] == [after, after]


def test_what_could_not_be_done_is_told_with_its_reason(store: Store) -> None:
    id_ = chores.add.enqueue(1).id
    code, out, err = told("retry", id_)
    assert (code, out, err) == (1, "Done with 0 of 1.\n", f"{id_}: It is PENDING.\n")
    assert data("retry", id_, code=1) == {
        "action": "retry",
        "count": 0,
        "took": [],
        "left": {id_: "It is PENDING."},
        "after": None,
    }


def test_all_that_match_are_acted_on(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "BATCH", 2)
    ids = [chores.add.enqueue(number).id for number in range(5)]
    other = chores.log_in.enqueue("ada", "secret").id
    code, out, _ = told("cancel", "--all", "--name", chores.add.module_path, "--yes")
    assert (code, out) == (0, "Done with 5 tasks.\n")
    assert {status_of(store, id_) for id_ in ids} == {TaskStatus.CANCELLED}
    assert status_of(store, other) is TaskStatus.PENDING
    assert data("retry", "--all", "--limit", "3", "--yes") == {
        "action": "retry",
        "count": 3,
        "took": None,
        "left": None,
        "after": None,
    }
    assert [status_of(store, id_) is TaskStatus.PENDING for id_ in ids] == [False, False, True, True, True]
    assert data("change", "--all", "--queue", "default", "--to-queue", "reports", "--yes")["count"] == 3


def test_a_part_of_several_names_is_refused_and_nothing_done(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    id_ = chores.add.enqueue(1).id
    monkeypatch.setitem(registry._tasks, "shop.tasks.add", chores.add)
    code, out, err = told("cancel", "--all", "--name", "add", "--yes")
    assert (code, out) == (2, "")
    assert "shop.tasks.add" in err and "tests.operations.chores.add" in err and "whole name" in err
    assert status_of(store, id_) is TaskStatus.PENDING


def test_a_name_that_no_task_has_is_refused(store: Store) -> None:
    hint = "No task is registered as 'tests.operations.chores.ad' (did you mean 'tests.operations.chores.add'?)."
    for words in (["--yes"], ["--dry-run"]):
        assert told("retry", "--all", "--name", "tests.operations.chores.ad", *words) == (2, "", hint)
    assert told("list", "--name", "zzz")[2] == "No task is registered as 'zzz'.\n"
    # One that is registered may have no task; one that is stored may be registered elsewhere.
    assert told("cancel", "--all", "--name", chores.add.module_path, "--yes")[0] == 0
    store.broker.enqueue([Job(id=new_id(), name="gone.tasks.none", payload="[[], {}]", backend="default")])
    assert data("cancel", "--all", "--name", "gone.tasks.none", "--yes")["count"] == 1


def test_a_rehearsal_does_nothing(store: Store) -> None:
    id_ = chores.add.enqueue(1).id
    code, out, _ = told("discard", "--all", "--dry-run")
    assert (code, out) == (0, f"{id_}\ndiscard: 1 task. Nothing was done.\n")
    its = {"action": "cancel", "dry_run": True, "ids": [id_], "after": None, "away": {}}
    assert data("cancel", id_, "--dry-run") == its
    assert status_of(store, id_) is TaskStatus.PENDING


def test_arguments_are_edited_and_a_finished_task_run_again(store: Store) -> None:
    id_ = chores.log_in.enqueue("ada", "secret", remember=True).id
    fail(store, "emails")
    assert told("edit", id_[:-1], "--args", f'["bob", "{REDACTED}"]')[:2] == (0, f"{id_}\n")
    job = store.broker.get([id_])[id_]
    assert (job.status, job.payload) == (TaskStatus.PENDING, '[["bob","secret"],{"remember":true}]')
    assert data("edit", id_, "--kwargs", "{}") == {"action": "edit", "of": id_, "id": id_}
    assert store.broker.get([id_])[id_].payload == '[["bob","secret"],{}]'
    succeed(store, "emails")
    again = data("run-again", id_)["id"]
    assert again != id_ and store.broker.get([again])[again].payload == '[["bob","secret"],{}]'
    for words in (["edit", id_], ["edit", id_, "--args", "[]"], ["run-again", again]):
        assert told(*words)[0] == 2
    assert "must be a JSON list" in told("edit", id_, "--args", "{}")[2]


def test_a_task_that_ends_while_it_is_edited_is_not_run_once_more(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = chores.add.enqueue(1).id
    arguments_of = operations.arguments_of

    def read(job: Job) -> Any:
        succeed(store)
        return arguments_of(job)

    monkeypatch.setattr(operations, "arguments_of", read)
    code, out, err = told("edit", id_, "--args", "[2]")
    assert (code, out) == (2, "") and "is SUCCESS now" in err
    assert [job.id for job in store.broker.find(Query())] == [id_]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["retry"], "Name the tasks"),
        (["retry", "--queue", "emails"], "Filters need --all"),
        (["retry", "ff", "--all", "--yes"], "not by both"),
        (["retry", "ff", "--queue", "emails"], "not by both"),
        (["change", "ff"], "Say what is to be changed"),
        (["change", "ff", "--to-queue", "emial"], "did you mean 'emails'?"),
        (["change", "--all", "--to-priority", "200"], "between -100 and 100"),
        (["discard", "--all"], "add --yes"),
        (["retry", "--all"], "add --yes"),
        (["clear", "emails"], "add --yes"),
        (["prune", "--before", "1d"], "add --yes"),
        (["pause", "emial"], "did you mean 'emails'?"),
        (["clear", "emial", "--yes"], "did you mean 'emails'?"),
        (["list", "--backend", "nothing"], "TASKS has no backend 'nothing'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_usage_that_cannot_be_is_refused_with_2(database_store: Store, words: list[str], sentence: str) -> None:
    id_ = chores.add.enqueue(1).id
    code, out, err = told(*words)
    assert (code, out) == (2, "")
    assert sentence in err
    assert status_of(database_store, id_) is TaskStatus.PENDING


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("verb", "status"), [("retry", "success"), ("discard", "running"), ("cancel", "failure")])
def test_all_in_a_state_that_an_action_does_not_take_are_refused(store: Store, verb: str, status: str) -> None:
    chores.add.enqueue(1)
    fail(store)
    kept = chores.add.enqueue(2).id
    for more in ([], ["--yes"], ["--dry-run"]):
        code, out, err = told(verb, "--all", "--status", status, *more)
        assert (code, out) == (2, "") and f"{verb} takes no tasks in the states that --status names." in err
    assert {job.status for job in store.broker.search(Query()).jobs} == {TaskStatus.FAILURE, TaskStatus.PENDING}
    assert status_of(store, kept) is TaskStatus.PENDING


def test_the_question_says_how_many_and_which(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output.sys, "stdin", Terminal())
    for number in range(3):
        chores.add.enqueue(number)
    chores.log_in.enqueue("ada", "secret")
    claim(store)

    def asked(*words: str) -> str:
        code, _out, err = told(*words)
        assert code == 1
        return err.partition(" [y/N]")[0]

    assert asked("discard", "--all") == "discard: 3 tasks in default (no filters)?"
    its = f"--status pending --name {chores.log_in.module_path}"
    assert asked("cancel", "--all", "--name", "log_in", "--status", "PENDING") == f"cancel: 1 task in default ({its})?"
    place = "a.py:3 in go"
    assert asked("retry", "--all", "--place", place) == f"retry: 0 tasks in default (--place '{place}')?"
    assert "(--since '2026-01-31 08:00:00 " in asked("cancel", "--all", "--since", "2026-01-31T08:00")
    monkeypatch.setattr(counting, "COUNTED", 2)
    assert asked("cancel", "--all") == "cancel: 2+ tasks in default (no filters)?"
    assert asked("clear", "default", "emails") == "Delete 3 waiting tasks of 'default', 'emails'?"


def test_a_terminal_shows_a_bar_where_it_is_known_how_many_there_are(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "BATCH", 2)
    for number in range(3):
        chores.add.enqueue(number)

    def watched(*words: str) -> list[str]:
        err = Terminal()
        call_command("tasks", *words, "--yes", stdout=io.StringIO(), stderr=err)
        return re.findall("\r([^\x1b]+)", err.getvalue())

    whole, part = "#" * 30, "#" * 20 + "-" * 10
    assert watched("cancel", "--all") == [f"[{part}] 2 of 3 tasks", f"[{whole}] 3 of 3 tasks"]
    monkeypatch.setattr(counting, "COUNTED", 2)
    assert watched("retry", "--all") == ["2 tasks so far", "3 tasks so far"]
    assert watched("clear", "default") == [f"[{part}] 2 of 3 tasks", f"[{whole}] 3 of 3 tasks"]


@pytest.mark.parametrize("words", [["discard", "--all"], ["clear", "default"]])
def test_what_is_enqueued_while_somebody_is_asked_is_left_alone(
    store: Store, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    late: list[str] = []

    def confirm(self: Any, question: str, *, is_agreed: bool) -> bool:
        late.extend(chores.add.enqueue(number).id for number in range(5))
        return True

    for number in range(3):
        chores.add.enqueue(number)
    monkeypatch.setattr(output.Output, "confirm", confirm)
    assert told(*words)[:2] == (0, "Done with 3 tasks.\n")
    assert sorted(job.id for job in store.broker.find(Query())) == late


def test_nothing_is_done_to_all_where_one_of_the_backends_is_away(database_store: Store, settings: Any) -> None:
    id_ = chores.add.enqueue(1).id
    nowhere = {"BACKEND": "reinhardt_tasks.backends.RedisBackend", "OPTIONS": {"URL": "redis://127.0.0.1:1/0"}}
    settings.TASKS = {**settings.TASKS, "other": nowhere}
    code, out, _err = told("discard", "--all", "--yes")
    assert (code, out) == (3, "") and status_of(database_store, id_) is TaskStatus.PENDING
    assert told("discard", "--all", "--yes", "--backend", "default")[:2] == (0, "Done with 1 task.\n")


@pytest.mark.parametrize(("answer", "is_done"), [("y", True), ("n", False), ("", False)])
def test_whoever_is_there_is_asked(
    database_store: Store, monkeypatch: pytest.MonkeyPatch, answer: str, is_done: bool
) -> None:
    id_ = chores.add.enqueue(1).id
    monkeypatch.setattr(output.sys, "stdin", Terminal(f"{answer}\n"))
    code, _, err = told("discard", id_)
    assert "Delete 1 task for good? [y/N] " in err
    assert (code, database_store.broker.get([id_]) == {}) == (0 if is_done else 1, is_done)


def test_who_is_interrupted_is_told_where_to_go_on(database_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "BATCH", 2)
    ids = [chores.add.enqueue(number).id for number in range(6)]
    original = output.Output.progress

    def progress(self: Any, number: int, total: int | None = None) -> None:
        original(self, number, total)
        if number == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(output.Output, "progress", progress)
    code, _, err = told("cancel", "--all", "--yes")
    assert code == 130
    assert f"Stopped after 4 tasks.\nGo on with --backend default --after {ids[2]}" in err
    monkeypatch.setattr(output.Output, "progress", original)
    code, out, _ = told("cancel", "--all", "--yes", "--backend", "default", "--after", ids[2])
    assert (code, out) == (0, "Done with 2 tasks.\n")


def test_a_store_that_goes_away_half_way_is_told_with_what_was_done(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "BATCH", 2)
    ids = [chores.add.enqueue(number).id for number in range(6)]
    with monkeypatch.context() as patch:
        # Once before it begins, and once for each batch.
        goes_away(patch, store, "search", 3)
        code, out, err = told("cancel", "--all", "--yes")
    assert (code, out) == (3, "")
    assert f"Stopped after 4 tasks.\nGo on with --backend default --after {ids[2]}\nNobody answers." in err
    with monkeypatch.context() as patch:
        goes_away(patch, store, "search", 2)
        answer = data("retry", "--all", "--yes", code=3)
    assert (answer["count"], answer["backend"], answer["after"]) == (2, "default", ids[4])


def test_backends_that_were_not_begun_are_told(
    database_store: Store, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.TASKS = {**settings.TASKS, "other": settings.TASKS["default"], "third": settings.TASKS["default"]}
    monkeypatch.setattr(actions, "BATCH", 2)
    ids = [chores.add.enqueue(number).id for number in range(3)]
    with monkeypatch.context() as patch:
        goes_away(patch, store_of("default"), "search", 2)
        code, _, err = told("cancel", "--all", "--yes")
    assert code == 3
    assert f"Go on with --backend default --after {ids[1]}\nNot begun: --backend other --backend third\n" in err
    goes_away(monkeypatch, store_of("default"), "search", 1)
    answer = data("retry", "--all", "--yes", code=3)
    assert (answer["count"], answer["after"], answer["not_begun"]) == (0, None, ["default", "other", "third"])


def test_a_rehearsal_on_a_store_that_is_away_tells_of_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    goes_away(monkeypatch, store, "search", 0)
    assert told("discard", "--all", "--dry-run") == (
        3,
        "discard: 0+ tasks. Nothing was done.\n",
        "default is away: Nobody answers.\n",
    )


def test_a_queue_that_no_store_has_is_refused(store: Store) -> None:
    code, out, err = told("cancel", "--all", "--queue", "emial", "--yes")
    assert (code, out) == (2, "") and "did you mean 'emails'?" in err
    assert told("discard", "--all", "--queue", "emial", "--dry-run")[0] == 2
    assert told("cancel", "--all", "--queue", "reports", "--yes")[0] == 0
    # One that the settings name no more, with tasks that ended.
    chores.add.using(queue_name="reports").enqueue(1)
    id_ = fail(store, "reports")
    store.backend.queues = {"default"}
    assert told("retry", "--all", "--queue", "reports", "--yes")[0] == 0
    assert status_of(store, id_) is TaskStatus.PENDING


def test_all_of_which_some_were_left_ends_as_ids_do(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    chores.add.enqueue(1)
    monkeypatch.setattr(store.broker, "cancel", lambda ids: [])
    code, out, _ = told("cancel", "--all", "--yes")
    assert (code, out) == (1, "Done with 0 tasks. 1 changed meanwhile and was left.\n")


# Queues


def test_a_queue_is_paused_resumed_and_cleared(store: Store) -> None:
    running = chores.add.enqueue(0).id
    claim(store)
    waiting = [chores.add.enqueue(number).id for number in range(3)]
    later = chores.add.using(run_after=LATER).enqueue(1).id
    other = chores.log_in.enqueue("ada", "secret").id
    assert told("pause", "default", "emails")[:2] == (0, "Queue 'default' is paused.\nQueue 'emails' is paused.\n")
    assert store.broker.claim(None, 10, worker()) == []
    assert data("resume", "default") == {"action": "resume", "backend": "default", "queues": ["default"]}
    assert [queue.queue for queue in store.broker.counts() if queue.is_paused] == ["emails"]
    assert told("clear", "default", "--yes")[:2] == (0, "Done with 4 tasks.\n")
    assert store.broker.get([*waiting, later]) == {}
    assert {status_of(store, running), status_of(store, other)} == {TaskStatus.RUNNING, TaskStatus.PENDING}


def test_what_finished_long_ago_is_pruned(store: Store) -> None:
    for number in range(3):
        chores.add.enqueue(number)
    done = succeed(store)
    waiting = len(store.broker.find(Query())) - 1
    assert told("prune", "--before", "1h", "--yes")[:2] == (0, "Done with 0 tasks.\n")
    assert data("prune", "--before", "0s", "--yes")["count"] == 1
    assert store.broker.get([done]) == {} and len(store.broker.find(Query())) == waiting


def test_of_several_backends_one_is_to_be_named(database_store: Store, settings: Any) -> None:
    settings.TASKS = {**settings.TASKS, "other": settings.TASKS["default"]}
    code, _, err = told("pause", "emails")
    assert code == 2 and "Say which backend: --backend, of 'default', 'other'." in err
    assert told("pause", "emails", "--backend", "other")[0] == 0


# requeue and check-queue


def test_what_a_lost_worker_held_runs_again(store: Store) -> None:
    id_ = chores.add.enqueue(1).id
    lost = WorkerInfo(id="lost", lease=600)
    claim(store, by=lost)
    assert told("requeue")[:2] == (0, "Done with 0 tasks.\n")
    store.broker.leave(lost)
    assert told("requeue", "--unknown")[:2] == (0, "Done with 0 tasks.\n")
    assert told("requeue", "--lost")[:2] == (0, "Done with 1 task.\n")
    job = store.broker.get([id_])[id_]
    assert (job.status, job.losses, job.history[0].worker) == (TaskStatus.PENDING, 1, "lost")
    assert store.broker.workers() == []


def test_what_nobody_knew_runs_again_once_it_is_known(store: Store) -> None:
    unknown = "reinhardt_tasks.exceptions.TaskNotFound"
    known, alien = (
        chores.add.enqueue(1).id,
        Job(id=new_id(), name="gone.tasks.none", payload="[[],{}]", backend="default"),
    )
    assert fail(store, exception=unknown) == known
    other = chores.add.enqueue(2).id
    assert fail(store) == other
    store.broker.enqueue([alien])
    assert fail(store, exception=unknown) == alien.id
    assert told("requeue")[:2] == (0, "Done with 1 task.\n")
    assert status_of(store, known) is TaskStatus.PENDING
    assert status_of(store, other) is status_of(store, alien.id) is TaskStatus.FAILURE
