"""`manage.py tasks`: what is shown of tasks, queues, workers and limits, on a database and on Redis."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from reinhardt_tasks.brokers.base import Query
from reinhardt_tasks.jobs import Cancelled, Failed, Job, Progress, Retrying, Succeeded, new_id
from reinhardt_tasks.operations import Store
from reinhardt_tasks.redaction import REDACTED
from reinhardt_tasks.schedules import CronSchedule
from reinhardt_tasks.scheduling import people
from reinhardt_tasks.workflows import Workflow, step
from tests.operations import chores
from tests.operations.stores import (
    attempt,
    claim,
    database_store,
    fail,
    logged,
    put_off,
    redis_store,
    store,
    succeed,
    worker,
)
from tests.servers.ports import ReservedPort

from .telling import data, told

__all__ = ["database_store", "redis_store", "store"]

LATER = timedelta(hours=1)


# status


def test_status_shows_each_queue(store: Store) -> None:
    chores.add.enqueue(1)
    chores.add.using(run_after=LATER).enqueue(1)
    for end in (fail, put_off, claim):
        chores.add.using(queue_name="reports").enqueue(2)
        end(store, "reports")
    store.broker.pause("emails")
    code, out, err = told("status")
    assert (code, err) == (0, "")
    lines = {line.split()[0]: line.split() for line in out.splitlines() if line}
    assert lines["default"][1:6] == ["1", "0", "1", "0", "0"]
    assert lines["reports"][1:6] == ["0", "1", "0", "1", "1"]
    assert lines["emails"][-1] == "paused"

    (backend,) = data("status")["backends"]
    queues = {queue.pop("queue"): queue for queue in backend["queues"]}
    assert queues["reports"] == {
        "ready": 0,
        "running": 1,
        "scheduled": 0,
        "retrying": 1,
        "failed": 1,
        "oldest_age": None,
        "is_paused": False,
        "at_least": [],
    }
    assert queues["default"]["oldest_age"] >= 0
    assert (backend["backend"], backend["keeps_tasks"], backend["error"]) == ("default", True, None)


def test_status_says_what_to_look_at(database_store: Store) -> None:
    store = database_store
    chores.add.using(run_after=datetime.fromisoformat("2020-01-01T00:00:00+00:00")).enqueue(1)
    chores.log_in.enqueue("ada", "secret")
    store.broker.pause("emails")
    alerts = {(alert["code"], alert["queue"]) for alert in data("status")["backends"][0]["alerts"]}
    assert alerts == {("no_worker", "default"), ("old_tasks", "default"), ("paused", "emails")}
    store.broker.heartbeat(worker())
    _, out, _ = told("status", "--max-oldest", "1e12")
    assert "no living worker" not in out and "has waited" not in out
    assert "! Queue 'emails' is paused, and has tasks. `manage.py tasks resume emails` lets them begin." in out


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port on which nobody listens."""
    port = ReservedPort()
    yield port.number
    port.release()


def test_a_store_that_is_away_is_told_and_harms_no_other(
    database_store: Store, settings: Any, closed_port: int
) -> None:
    away = {"URL": f"redis://user:hidden@127.0.0.1:{closed_port}/0"}
    settings.TASKS = {
        **settings.TASKS,
        "away": {"BACKEND": "reinhardt_tasks.backends.RedisBackend", "OPTIONS": away},
        "dummy": {"BACKEND": "reinhardt_tasks.backends.DummyBackend"},
        "faulty": {"BACKEND": "reinhardt_tasks.backends.DatabaseBackend", "OPTIONS": {"LEESE": 1}},
    }
    id_ = chores.add.enqueue(1).id
    found = {backend["backend"]: backend for backend in data("status", code=3)["backends"]}
    assert [queue["ready"] for queue in found["default"]["queues"] if queue["queue"] == "default"] == [1]
    assert found["away"]["error"] and found["away"]["alerts"][0]["code"] == "store_away"
    assert "hidden" not in json.dumps(found)
    assert found["dummy"]["keeps_tasks"] is False and "keeps no tasks" in found["dummy"]["error"]
    assert "LEESE" in found["faulty"]["error"]
    assert told("status", "--backend", "faulty")[0] == 2
    assert told("status", "--backend", "dummy")[0] == 0

    listed = data("list", code=3)
    assert [task["id"] for task in listed["tasks"]] == [id_] and list(listed["away"]) == ["away"]
    assert data("failures", code=3)["away"] and data("workers", code=3)["away"]
    code, out, err = told("limits")
    assert (code, out) == (3, "") and "away is away" in err
    code, out, err = told("list", "--backend", "default")
    assert (code, err) == (0, "") and id_ in out
    assert told("pause", "emails", "--backend", "away")[0] == 3
    # Where it may be in the store that is away, nobody can say that there is none.
    assert told("show", new_id())[0] == 3


def test_settings_that_leave_no_store_are_told(settings: Any) -> None:
    settings.TASKS = {"default": {"BACKEND": "reinhardt_tasks.backends.DatabaseBackend", "OPTIONS": {"LEESE": 1}}}
    code, out, err = told("list")
    assert (code, out) == (2, "") and "LEESE" in err


# list and show


def test_list_goes_page_by_page(store: Store) -> None:
    ids = [chores.add.enqueue(number).id for number in range(5)]
    first = data("list", "--limit", "3")
    assert [task["id"] for task in first["tasks"]] == ids[:1:-1]
    rest = data("list", "--limit", "3", "--after", first["after"])
    assert [task["id"] for task in rest["tasks"]] == ids[1::-1] and rest["after"] is None
    _, out, _ = told("list", "--limit", "3")
    assert out.splitlines()[0].split()[:2] == ["id", "status"]
    assert f"Go on with --after {ids[2]}" in out


def test_a_page_begins_behind_a_task_that_is_named_or_was_there(store: Store) -> None:
    older, newer = chores.add.enqueue(1).id, chores.add.enqueue(2).id
    code, out, err = told("list", "--after", "zz")
    assert (code, out) == (1, "") and "No task has an id that begins with 'zz'" in err
    for after in (newer[:-1], newer.replace("-", "")):
        assert [task["id"] for task in data("list", "--after", after)["tasks"]] == [older]
    assert told("discard", newer, "--yes")[0] == 0
    assert [task["id"] for task in data("list", "--after", newer)["tasks"]] == [older]


def test_the_list_shows_no_exception_beside_a_success(store: Store) -> None:
    id_ = chores.add.enqueue(1).id
    put_off(store)
    assert "ValueError" in told("list")[1]
    store.broker.retry([id_])
    succeed(store)
    out = told("list")[1]
    assert "SUCCESS" in out and "ValueError" not in out


def test_nothing_is_said_to_be_there_or_not_where_a_store_is_away(closed_port: int, settings: Any) -> None:
    options = {"URL": f"redis://127.0.0.1:{closed_port}/0"}
    settings.TASKS = {"default": {"BACKEND": "reinhardt_tasks.backends.RedisBackend", "OPTIONS": options}}
    for words in (["list"], ["list", "--name", "ad"], ["workers"], ["failures"]):
        code, out, err = told(*words)
        assert (code, out) == (3, ""), words
        assert err.startswith("default is away: ") and err.count("\n") == 1, words


def test_a_task_that_was_cancelled_while_it_ran_says_so_once(store: Store) -> None:
    id_ = chores.add.enqueue(1).id
    one = claim(store)
    store.broker.cancel([id_])
    assert "RUNNING, to be cancelled" in told("show", id_)[1]
    its = attempt(one, exception="reinhardt_tasks.exceptions.TaskCancelled")
    assert store.broker.settle([Cancelled(claim=one, attempt=its)]) == []
    assert "to be cancelled" not in told("show", id_)[1]
    assert [event["what"] for event in data("show", id_)["timeline"]] == ["enqueued", "started", "cancelled"]
    # What it went through stands, also when it runs again.
    store.broker.retry([id_])
    succeed(store)
    happened = [event["what"] for event in data("show", id_)["timeline"]]
    assert happened == ["enqueued", "started", "cancelled", "started", "succeeded"]


def test_each_filter_narrows_the_list(store: Store) -> None:
    by = worker()
    one = chores.add.enqueue(1).id
    claim(store, by=by)
    two = chores.log_in.enqueue("ada", "secret").id
    three = chores.add.enqueue(3, b=77).id
    three = fail(store, exception="shop.NoStock")

    def found(*words: str) -> list[str]:
        return [task["id"] for task in data("list", *words)["tasks"]]

    assert found() == [three, two, one]
    assert found("--status", "running") == found("--worker", by.id) == [one]
    assert found("--status", "RUNNING", "--status", "failure") == [three, one]
    assert found("--queue", "emails") == found("--name", "log_in") == found("--text", "ADA") == [two]
    assert found("--name", "tests.operations.chores.add") == [three, one]
    assert found("--exception", "NoStock") == found("--finished-since", "1h") == found("--text", "77") == [three]
    assert found("--id", one[:-2]) == [one]
    assert found("--since", "1h") == [three, two, one] and found("--until", "1h") == []
    assert found("--finished-until", "2020-01-01T00:00:00") == []


def test_a_name_or_a_queue_that_is_nearly_one_is_hinted_at(database_store: Store) -> None:
    code, out, err = told("list", "--name", "tests.operations.chores.ad")
    assert (code, out) == (0, "No task matches.\n")
    assert (
        err == "No task is registered as 'tests.operations.chores.ad' (did you mean 'tests.operations.chores.add'?).\n"
    )
    assert "2h (ago)" in told("list", "--since", "garbage")[2]
    assert "2h (from now)" in told("change", "--all", "--at", "garbage")[2]
    for words in (["list"], ["failures"]):
        assert told(*words, "--queue", "emial")[2] == "No backend has a queue 'emial' (did you mean 'emails'?).\n"
    assert (
        "(did you mean 'tests.operations.chores.add'?)" in told("failures", "--name", "tests.operations.chores.ad")[2]
    )
    assert "did you mean 'pending'?" in told("list", "--status", "pendign")[2]
    code, _, err = told("list", "--backend", "defualt")
    assert code == 2 and "did you mean 'default'?" in err


def test_show_tells_all_of_a_task_by_the_beginning_of_its_id(store: Store) -> None:
    id_ = chores.add.using(metadata={"why": "so"}).enqueue(1, b=2).id
    put_off(store)
    store.broker.retry([id_])
    succeed(store, result='{"sum": 3}')
    code, out, err = told("show", id_[:-1])
    assert (code, err) == (0, "")
    for words in (
        id_,
        "tests.operations.chores.add",
        "SUCCESS",
        "(1, b=2)",
        '{"sum": 3}',
        '{"why": "so"}',
        "ValueError: no",
    ):
        assert words in out
    task = data("show", id_)
    assert (task["id"], task["status"], task["args"], task["kwargs"]) == (id_, "SUCCESS", [1], {"b": 2})
    assert task["result"] == {"sum": 3}
    assert [attempt["exception"] for attempt in task["attempts"]] == ["builtins.ValueError", None]
    assert [event["what"] for event in task["timeline"]] == ["enqueued", "started", "failed", "started", "succeeded"]


def test_show_tells_the_attempts_that_a_task_has_had_and_may_have(store: Store) -> None:
    id_ = chores.add.using(max_attempts=4).enqueue(1).id
    put_off(store)
    code, out, _ = told("show", id_)
    assert code == 0 and re.search(r"^attempts +1 of at most 4$", out, re.M)


def test_show_tells_which_schedule_and_which_workflow_a_task_is_of(database_store: Store) -> None:
    alone = data("show", chores.add.enqueue(1).id)
    assert (alone["schedule"], alone["workflow"]) == (None, None)
    people.create("nightly", chores.add.module_path, CronSchedule("0 3 * * *"), args=[1])
    sent = people.run_now("nightly")
    assert re.search(r"^schedule +nightly$", told("show", sent)[1], re.M)
    assert data("show", sent)["schedule"] == "nightly"
    flow = Workflow("trip")
    flow.add(step(chores.whisper, "w"))
    run = flow.start()
    (member,) = database_store.broker.search(Query(name=chores.whisper.module_path)).jobs
    assert re.search(rf"^workflow +{run.id}$", told("show", member.id)[1], re.M)
    assert data("show", member.id)["workflow"] == run.id


def test_an_id_that_is_none_or_of_several_is_refused(store: Store) -> None:
    ids = [chores.add.enqueue(number).id for number in range(3)]
    code, _, err = told("show", ids[0][:6])
    assert code == 2 and all(id_ in err for id_ in ids)
    code, _, err = told("show", "ffff")
    assert code == 1 and "No task has an id that begins with 'ffff'" in err


def test_waiting_tasks_that_cannot_run_are_found(store: Store) -> None:
    chores.add.enqueue(1)
    assert told("check-queue")[:2] == (0, "All waiting tasks that were looked at can be run.\n")
    values = {"backend": "default", "payload": '[[1,2,3],{"secret":"swordfish"}]'}
    store.broker.enqueue([Job(id=new_id(), name=chores.add.module_path, **values) for _ in range(2)])
    store.broker.enqueue([Job(id=new_id(), name="tests.operations.chores.ad", **values)])
    store.broker.enqueue([Job(id=new_id(), name=chores.add.module_path, **{**values, "payload": "swordfish"})])
    code, out, _ = told("check-queue")
    assert code == 1
    assert "too many positional arguments" in out and "did you mean" in out.lower() and "are damaged" in out
    assert "swordfish" not in out
    (backend,) = data("check-queue", code=1)["backends"]
    assert sorted(finding["count"] for finding in backend["findings"]) == [1, 1, 2]
    assert (backend["looked_at"], backend["is_cut"]) == (5, False)
    assert data("check-queue", "--queue", "emails")["backends"][0]["looked_at"] == 0
    code, out, err = told("check-queue", "--queue", "emial")
    assert (code, out) == (2, "") and "has no queue 'emial' (did you mean 'emails'?)" in err
    (cut,) = data("check-queue", "--limit", "2", code=1)["backends"]
    assert (cut["looked_at"], cut["is_cut"]) == (2, True)


# workers and failures


def test_workers_are_listed(store: Store) -> None:
    assert told("workers")[:2] == (0, "There are no workers.\n")
    by = worker("mailer")
    store.broker.heartbeat(by)
    chores.add.enqueue(1)
    claim(store, by=by)
    _, out, _ = told("workers")
    assert by.id in out and "1 / 4" in out and "mailer" in out
    (found,) = data("workers")["workers"]
    assert (found["id"], found["running"], found["is_alive"], found["queues"]) == (by.id, 1, True, [])


def test_what_no_worker_has_looked_at_is_not_said_to_be_free(database_store: Store) -> None:
    for number in (1, 2):
        chores.add.using(concurrency=1).enqueue(number)
    code, out, _ = told("limits")
    assert code == 0 and "what none has looked at yet is not in this" in out


def test_what_limits_hold_back_is_listed_with_why(store: Store) -> None:
    first, second = (chores.add.using(concurrency=1).enqueue(number).id for number in (1, 2))
    claim(store)
    (line,) = data("limits")["lines"]
    assert (line["backend"], line["size"], line["every"], line["held"], line["waiting"]) == ("default", 1, None, 1, 1)
    code, out, _ = told("limits")
    assert code == 0 and line["key"] in out and "at most 1 at once" in out and "when one ends" in out
    assert data("show", second)["held_back_by"]["key"] == line["key"] and data("show", first)["held_back_by"] is None
    assert "1 of 1 are past it, 1 wait" in told("show", second)[1]


def test_a_rate_tells_when_the_next_one_begins(store: Store) -> None:
    _first, second = (chores.add.using(rate_limit="1/h").enqueue(number).id for number in (1, 2))
    claim(store)
    out = told("show", second)[1]
    assert "one each 1 h" in out and re.search(r"the next begins in (59 min|1 h)", out)


def test_show_tells_progress_with_its_message(store: Store) -> None:
    id_ = chores.add.enqueue(1).id
    assert store.broker.annotate(claim(store), {}, Progress(3, 10, "packing"))
    assert re.search(r"progress +3 / 10 \(30 %\) packing", told("show", id_)[1])


def test_show_tells_what_each_attempt_logged(store: Store) -> None:
    id_ = chores.add.enqueue(1).id
    one = claim(store)
    first = logged(one, "counting", dropped=1200)
    store.broker.settle([Retrying(claim=one, attempt=attempt(one), log=first)])
    two = claim(store)
    store.broker.settle([Succeeded(claim=two, log=logged(two, "slow\nvery slow", level="WARNING"))])
    code, out, _ = told("show", id_)
    assert code == 0
    assert re.search(
        r"Log of attempt 1:\n… 1,200 older lines were dropped\n\S+ \S+ \S+  INFO     shop.orders  counting\n", out
    )
    assert re.search(r"Log of attempt 2:\n\S+ \S+ \S+  WARNING  shop.orders  slow\nvery slow\n", out)

    found = data("show", id_[:-1])
    assert found["log_dropped"] == 1200
    assert all(datetime.fromisoformat(line.pop("at")) for line in found["log"])
    assert found["log"] == [
        {"attempt": 1, "level": "INFO", "logger": "shop.orders", "message": "counting"},
        {"attempt": 2, "level": "WARNING", "logger": "shop.orders", "message": "slow\nvery slow"},
    ]
    assert "log" not in data("list")["tasks"][0]


def test_show_says_nothing_of_a_log_that_is_not_there(database_store: Store) -> None:
    id_ = chores.add.enqueue(1).id
    succeed(database_store)
    assert "Log of" not in told("show", id_)[1]
    assert (data("show", id_)["log"], data("show", id_)["log_dropped"]) == ([], 0)


def test_failures_are_grouped(store: Store) -> None:
    place = 'Traceback (most recent call last):\n  File "/a.py", line 3, in go\n    boom()\nshop.NoStock: nothing of '
    for number in range(3):
        chores.add.enqueue(number)
        last = fail(store, exception="shop.NoStock", traceback=f"{place}{number}\n")
    chores.add.enqueue(9)
    fail(store)
    chores.log_in.enqueue("ada", password="swordfish")
    fail(store, "emails", exception="shop.Denied", traceback="Traceback\nshop.Denied: swordfish is wrong\n")
    groups = data("failures")["groups"]
    assert [(group["count"], group["exception"], group["place"]) for group in groups] == [
        (3, "shop.NoStock", "/a.py:3 in go"),
        (1, "builtins.ValueError", ""),
        (1, "shop.Denied", ""),
    ]
    assert (groups[0]["id"], groups[0]["message"]) == (last, "shop.NoStock: nothing of 2")
    assert groups[2]["message"] == f"shop.Denied: {REDACTED} is wrong"
    _, out, err = told("failures", "--newest", "2")
    assert "The newest 2 failed tasks were looked at; there are older ones." in err
    assert [group["count"] for group in data("failures", "--queue", "emails")["groups"]] == [1]
    assert [group["count"] for group in data("failures", "--place", "/a.py:3 in go")["groups"]] == [3]


# What is printed


def test_redacted_arguments_are_printed_nowhere(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    secret = "swordfish-Ä'\"1"
    words = f'Traceback\n  File "x", line 1, in y\nValueError: {secret!r} and {secret} in {json.dumps(secret)}\n'
    lines = [f"with {secret}", f"cut in {secret[:-2]}…"]
    ids = [chores.log_in.enqueue("ada", secret).id, chores.log_in.enqueue("bob", password=secret).id]
    one = claim(store, "emails")
    store.broker.settle([Failed(claim=one, attempt=attempt(one, traceback=words), log=logged(one, *lines))])
    assert one.job.id == ids[0]
    unknown = Job(id=new_id(), name="gone.tasks.none", payload=json.dumps([[secret], {"b": secret}]), backend="default")
    store.broker.enqueue([unknown])
    with caplog.at_level("DEBUG", logger="reinhardt_tasks"):
        printed = [
            text
            for words in (
                ["list"],
                ["failures"],
                ["check-queue"],
                ["status"],
                *(["show", id_] for id_ in (*ids, unknown.id)),
                ["retry", ids[0]],
                ["cancel", "--all", "--dry-run"],
                ["list", "--text", "swordfish"],
            )
            for flags in ([], ["--json"])
            for text in told(*words, *flags)[1:]
        ]
    text = "\n".join([*printed, caplog.text])
    assert "swordfish" not in text
    assert "ada" in text and REDACTED in text
    assert data("list", "--text", "swordfish")["tasks"] == []
    assert data("show", ids[1])["kwargs"] == {"password": REDACTED}
    assert [line["message"] for line in data("show", ids[0])["log"]] == [f"with {REDACTED}", f"cut in {REDACTED}…"]
    # The task itself gets what was enqueued.
    assert secret in json.loads(store.broker.get([ids[1]])[ids[1]].payload)[1]["password"]


def test_what_would_move_a_terminal_is_spelled_out(database_store: Store) -> None:
    chores.add.enqueue("\x1b[2J\x07", "line\nbreak‮")
    one = claim(database_store)
    trace = attempt(one, traceback="Traceback\n\x1b]0;title\x07ValueError: a\rb\n")
    database_store.broker.settle([Failed(claim=one, attempt=trace, log=logged(one, "\x1b[31mred\x1b[0m\r"))])
    for words in (["list"], ["show", database_store.broker.find(Query())[0].id], ["failures"]):
        code, out, _ = told(*words)
        assert code == 0
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f‮]", out)


def test_half_a_letter_is_spelled_out(store: Store) -> None:
    id_ = chores.add.using(metadata={"file": "\ud800"}).enqueue("\ud800", b="caf\udce9").id
    for words in (["list"], ["list", "--json"], ["show", id_], ["show", id_, "--json"]):
        code, said, _ = told(*words)
        assert code == 0
        assert r"\ud800" in said and r"caf\udce9" in said
        # As a terminal takes it.
        said.encode()
