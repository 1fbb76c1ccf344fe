"""Steps that are run for each item of a result, on every store, with workers in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from reinhardt_tasks import (
    ChainStatus,
    QueueError,
    TaskChain,
    Workflow,
    WorkflowRun,
    get_workflow,
    group,
    item,
    previous_result,
    result_of,
    step,
    task,
)
from reinhardt_tasks._compat import task_backends
from reinhardt_tasks.jobs import Cancelled, Succeeded, TaskStatus
from reinhardt_tasks.models import StepRow, WorkflowRow
from reinhardt_tasks.workflows import StepStatus
from reinhardt_tasks.workflows.places import database
from reinhardt_tasks.workflows.positions import FAN_IN, MOST_STEPS
from reinhardt_tasks.workflows.tending import tend
from tests.worker.running import maintenance_of

from .running import KINDS, ByHand, is_sound, on_store, run_twice_at_once, worked_off
from .tasks import add, fail, half, keep, ran, read_list, say, spread, total

NOW = timedelta(0)


@pytest.fixture(params=KINDS, autouse=True)
def store(request: pytest.FixtureRequest) -> Iterator[str]:
    with on_store(request.param, request, 2.0):
        yield request.param


on_sqlite = pytest.mark.parametrize("store", ["sqlite"], indirect=True)
on_sqlite_and_redis = pytest.mark.parametrize("store", ["sqlite", "redis"], indirect=True)


def fan(values: Any) -> TaskChain:
    return TaskChain(
        "fan",
        [
            step(spread, values).named("scan"),
            step(add, item, 100).named("each").for_each(previous_result),
            step(keep, previous_result, also=[result_of("each"), result_of("scan")]).named("last"),
        ],
    )


def before_the_members(run: WorkflowRun) -> ByHand:
    """Let the first step be run and recorded; return its worker, which has not settled it."""
    worker = ByHand("first")
    assert isinstance(worker.run(worker.claim()[0]), Succeeded)
    return worker


def members(run: WorkflowRun) -> list[StepRow]:
    rows = StepRow.objects.using(database()).filter(workflow_id=run.id, member_of__isnull=False, is_gate=False)
    return list(rows.order_by("position"))


# What it comes to


@pytest.mark.parametrize("size", [1, 12, FAN_IN + 50])
def test_each_item_is_a_step_and_the_results_are_in_order(store: str, size: int) -> None:
    run = fan(list(range(size))).start()
    assert run.progress() == (0, 3)
    worked_off(run, concurrency=4)
    expected = [number + 100 for number in range(size)]
    assert run.return_value == {"value": expected, "also": [expected, list(range(size))]}
    assert run.result_of("each") == run.results()["each"] == expected
    assert sorted(each for each in ran if each != "spread") == [(number, 100) for number in range(size)]
    assert run.progress() == (size + 2, size + 2)
    assert run.step_count == size + 2
    is_sound(run)


def test_an_empty_list_has_ended_at_once(store: str) -> None:
    run = worked_off(fan([]).start())
    assert run.return_value == {"value": [], "also": [[], []]}
    assert run.progress() == (2, 2)
    assert ran == ["spread"]
    is_sound(run)


@pytest.mark.parametrize(("value", "kind"), [({"a": 1}, "dict"), (None, "NoneType"), ("abc", "str")])
def test_what_is_no_list_fails_the_step(store: str, value: Any, kind: str) -> None:
    run = worked_off(fan(value).start())
    assert run.status is ChainStatus.FAILED
    assert [each.state for each in run.steps()] == ["SUCCESS", "FAILURE", "SKIPPED"]
    assert f"Step 'each' is run for each item of a list, and what came before it is a {kind}." in run.steps()[1].error
    assert "each" not in run.results()
    is_sound(run)


def test_too_many_items_fail_the_step_before_any_is_run(store: str) -> None:
    run = worked_off(fan([0] * (MOST_STEPS - 1)).start())
    assert run.status is ChainStatus.FAILED
    assert (
        "the workflow would have 10,001 steps, and 10,000 are the most. Return a list of batches"
        in run.steps()[1].error
    )
    assert (ran, members(run), run.step_count) == (["spread"], [], 3)
    is_sound(run)


@on_sqlite
def test_the_most_items_that_there_may_be_are_laid_out(store: str) -> None:
    run = fan([0] * (MOST_STEPS - 2)).start()
    before_the_members(run)
    assert run.progress() == (1, MOST_STEPS)
    assert run.refresh().step_count == MOST_STEPS
    assert (
        max(StepRow.objects.using(database()).filter(workflow_id=run.id).values_list("needs", flat=True)) <= FAN_IN + 1
    )
    is_sound(run)


@on_sqlite
def test_steps_for_each_share_the_most_that_there_may_be(store: str) -> None:
    """The second of two that begin at once finds what the first has taken."""
    flow = Workflow("two")
    flow.add(step(spread, [0] * (MOST_STEPS // 2)).named("scan"))
    for name in ("one", "two"):
        flow.add(step(say, item).named(name).for_each(result_of("scan")))
    run = flow.start()
    before_the_members(run)
    assert run.refresh().status is ChainStatus.FAILED
    (failed,) = run.steps(statuses=[StepStatus.FAILURE])
    assert (failed.name, len(members(run))) == ("two", MOST_STEPS // 2)
    is_sound(run)


def test_it_lies_in_groups_and_follows_others_of_its_kind(store: str) -> None:
    inner = TaskChain("inner", [step(spread, [[1, 2], [], [3]]), step(spread, item).for_each(previous_result)])
    flow = TaskChain(
        "outer",
        [
            group(inner, step(say, "aside")),
            step(keep, item).for_each(previous_result),
            step(keep, item, also=previous_result).for_each(previous_result),
        ],
    )
    run = worked_off(flow.start())
    first = [{"value": [[1, 2], [], [3]], "also": None}, {"value": "aside", "also": None}]
    assert run.return_value == [{"value": each, "also": first} for each in first]
    is_sound(run)


def test_the_item_has_its_place_at_any_depth_and_its_type(store: str) -> None:
    days = ["2026-01-01", "2026-02-01"]
    run = TaskChain(
        "days", [step(spread, days), step(weekday, {"day": [item]}, on=item).for_each(previous_result)]
    ).start()
    assert worked_off(run).return_value == [["2026-01-01", 3], ["2026-02-01", 6]]


@task
def weekday(told: Any, on: date) -> Any:
    return [told["day"][0], on.weekday()]


@on_sqlite
def test_many_empty_lists_in_a_row_need_no_deep_stack(store: str) -> None:
    links = [step(say, item).for_each(previous_result) for _ in range(1500)]
    run = worked_off(TaskChain("empty", [step(spread, []), *links]).start())
    assert (run.status, run.return_value) == (ChainStatus.COMPLETED, [])
    # Where nothing is before it, it is laid out when the workflow starts.
    first = TaskChain("first", [group(), step(say, item).for_each(previous_result), step(keep, previous_result)])
    assert worked_off(first.start()).return_value == {"value": [], "also": None}
    alone = TaskChain("alone", [group(), step(say, item).for_each(previous_result)]).start()
    assert (alone.status, alone.return_value, alone.retry()) == (ChainStatus.COMPLETED, [], True)
    assert alone.status is ChainStatus.COMPLETED


# What it costs


@on_sqlite_and_redis
def test_a_member_costs_the_same_however_many_there_are(store: str) -> None:
    def statements(size: int) -> list[int]:
        run = fan(list(range(size))).start()
        worker, counts = before_the_members(run), list[int]()
        for claim in worker.claim(5):
            with CaptureQueriesContext(connections[database()]) as queries:
                outcome = worker.run(claim)
            counts.append(len(queries))
            assert len(claim.job.payload) < 200, "the list itself does not travel with its members"
            worker.settle(outcome)
        is_sound(run)
        run.cancel()
        return counts

    small, large = statements(10), statements(1000)
    assert small == large
    assert len(set(small)) == 1
    assert small[0] <= 8, small


@on_sqlite_and_redis
def test_laying_out_costs_statements_in_chunks(store: str) -> None:
    fan([0] * 2000).start()
    worker = ByHand("first")
    with CaptureQueriesContext(connections[database()]) as queries:
        worker.run(worker.claim()[0])
    # Django itself cuts what it inserts into SQLite into parts of fewer rows.
    assert len(queries) < 2000 / 10


# What it bears


def test_a_success_that_is_told_twice_lays_out_once(store: str) -> None:
    run = fan([1, 2, 3]).start()
    before_the_members(run).dies()
    once = [row.pk for row in members(run)]
    next_one = ByHand("next")
    assert maintenance_of(next_one.backend.broker, next_one.info, next_one.backend.settings).rescue() == 1
    worked_off(run)
    assert run.result_of("each") == [101, 102, 103]
    assert [row.pk for row in members(run)] == once
    assert ran.count("spread") == 1
    is_sound(run)


def test_two_workers_that_end_the_step_before_at_once_lay_out_once(store: str) -> None:
    run = fan(list(range(300))).start()
    run_twice_at_once()
    assert len(members(run)) == 300
    assert run.progress() == (1, 302)
    is_sound(run)


@pytest.mark.parametrize("store", ["redis"], indirect=True)
def test_members_that_redis_did_not_take_are_sent_when_it_is_back(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*args: Any) -> None:
        raise QueueError("Redis is away")

    run = fan([1, 2, 3]).start()
    with monkeypatch.context() as patched:
        worker = ByHand("first")
        (claim,) = worker.claim()
        patched.setattr(type(worker.backend.broker), "enqueue", away)
        worker.run(claim)
    worker.settle(Succeeded(claim=claim, result="[1,2,3]"))
    assert worker.claim() == []
    tend(NOW)
    assert worked_off(run).result_of("each") == [101, 102, 103]
    is_sound(run)


def test_a_failing_member_stops_the_workflow_and_runs_again_alone(store: str) -> None:
    run = TaskChain("half", [step(spread, [1, 2, 0]), bad().for_each(previous_result)]).start()
    # One after the other, so that nothing waits when the last one fails.
    assert worked_off(run, concurrency=1).status is ChainStatus.FAILED
    (failed,) = run.steps(statuses=[StepStatus.FAILURE])
    assert (failed.name, failed.attempts) == ("half[2]", 1)
    assert "ZeroDivisionError" in failed.error
    assert run.retry_failed() is True
    assert worked_off(run).status is ChainStatus.FAILED
    assert ran == ["spread", 1, 2, 0, 0]
    is_sound(run)


def bad() -> Any:
    return step(half, item).using(max_attempts=1)


def test_members_that_may_fail_have_something_instead(store: str) -> None:
    carried_on = bad().on_failure("continue", instead=-1).for_each(previous_result)
    run = worked_off(TaskChain("half", [step(spread, [1, 0, 2]), carried_on]).start())
    assert (run.status, run.return_value) == (ChainStatus.COMPLETED, [6.0, -1, 3.0])
    is_sound(run)


def test_what_is_instead_of_the_list_is_the_list(store: str) -> None:
    scan = step(fail).on_failure("continue", instead=[7])
    run = worked_off(TaskChain("instead", [scan, step(add, item).for_each(previous_result)]).start())
    assert run.return_value == [7]


def test_a_cancelled_workflow_begins_no_member(store: str) -> None:
    run = fan(list(range(20))).start()
    worker = before_the_members(run)
    running = worker.claim(2)
    run.cancel()
    for claim in running:
        assert isinstance(worker.run(claim), Cancelled)
        worker.settle(worker.run(claim))
    worked_off(run)
    assert ran == ["spread"]
    assert run.retry_failed() is True
    worked_off(run)
    assert run.result_of("each") == [number + 100 for number in range(20)]
    is_sound(run)


def test_a_step_that_could_begin_after_the_end_is_laid_out_when_it_goes_on(store: str) -> None:
    run = fan([1, 2]).start()
    worker = ByHand("first")
    (claim,) = worker.claim()
    run.cancel()
    # Its success counts, and nothing follows.
    worker.run(claim)
    assert members(run) == []
    assert run.retry_failed() is True
    assert worked_off(run).result_of("each") == [101, 102]
    is_sound(run)


def test_from_the_beginning_the_list_may_be_another(store: str, tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text(json.dumps([1, 2, 3]))
    flow = TaskChain(
        "anew", [step(read_list, str(path)), step(add, item).for_each(previous_result), step(total, previous_result)]
    )
    run = worked_off(flow.start())
    assert run.return_value == 6
    first = {each.job_id for each in run.steps()}
    path.write_text(json.dumps([5, 6]))
    assert run.retry() is True
    assert (run.progress(), run.step_count) == ((0, 3), 3)
    worked_off(run)
    assert (run.return_value, run.progress(), run.step_count) == (11, (4, 4), 4)
    assert not first & {each.job_id for each in run.steps()}
    is_sound(run)


def test_members_that_were_retried_are_other_tasks_from_the_beginning(store: str, tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text(json.dumps([0, 2]))
    run = TaskChain("anew", [step(read_list, str(path)), bad().for_each(previous_result)]).start()
    worked_off(run)
    assert run.retry_failed() is True
    worked_off(run)
    path.write_text(json.dumps([3, 2]))
    assert run.retry() is True
    worked_off(run)
    assert (run.status, run.return_value) == (ChainStatus.COMPLETED, [2, 3])
    is_sound(run)


def test_a_member_of_an_earlier_time_is_not_heard(store: str) -> None:
    run = fan([1, 2]).start()
    late = before_the_members(run)
    claims = late.claim(2)
    run.cancel()
    run.retry()
    assert [type(late.run(claim)) for claim in claims] == [Cancelled, Cancelled]
    assert ran == ["spread"]
    worked_off(run)
    assert run.result_of("each") == [101, 102]
    is_sound(run)


@on_sqlite_and_redis
def test_a_member_whose_task_was_taken_away_is_found(store: str) -> None:
    run = fan([1, 2]).start()
    before_the_members(run)
    (row, _) = members(run)
    taken = run.steps(after=row.position - 1)[0].job_id
    tend(NOW)
    task_backends["default"].broker.delete([taken])
    StepRow.objects.using(database()).filter(pk=row.pk).update(look_at=run.created_at)
    tend(NOW)
    assert run.refresh().status is ChainStatus.FAILED
    assert run.retry_failed()
    assert worked_off(run).result_of("each") == [101, 102]


def test_all_of_it_is_deleted(store: str) -> None:
    run = worked_off(fan([1, 2]).start())
    run.delete()
    assert not StepRow.objects.using(database()).filter(workflow_id=run.id).exists()
    assert not WorkflowRow.objects.using(database()).exists()


# How it is seen


def test_it_is_seen_as_one_step_or_as_its_members(store: str) -> None:
    run = fan([1, 2, 3]).start()
    assert [(each.name, each.members, each.has_task) for each in run.steps()] == [
        ("scan", None, True),
        ("each", None, False),
        ("last", None, False),
    ]
    worker = before_the_members(run)
    assert [each.name for each in run.steps()] == ["scan", "each[0]", "each[1]", "each[2]", "last"]
    position = run.steps(members=False)[1].position
    assert [each.member_of for each in run.steps()] == [None, position, position, position, None]
    assert _seen(run) == ((0, 3), TaskStatus.RUNNING, False)
    worker.settle(worker.run(worker.claim()[0]))
    assert _seen(run) == ((1, 3), TaskStatus.RUNNING, False)
    worked_off(run)
    assert _seen(run) == ((3, 3), StepStatus.SUCCESS, False)
    assert run.counts() == {StepStatus.SUCCESS: 5}
    # The first one's worker has not settled it.
    assert [job.status for job in _jobs(run)].count(TaskStatus.SUCCESS) == 4


@pytest.mark.parametrize(("values", "state"), [([1, 0], StepStatus.FAILURE), ([1], StepStatus.SUCCESS)])
def test_its_state_is_its_members(store: str, values: list[int], state: StepStatus) -> None:
    run = TaskChain("half", [step(spread, values), bad().for_each(previous_result)]).start()
    assert worked_off(run).steps(members=False)[1].state is state


def test_it_is_looked_for_by_the_state_of_its_members(store: str) -> None:
    run = worked_off(TaskChain("half", [step(spread, [1, 0]), bad().for_each(previous_result)]).start())
    for state, number in ((StepStatus.SUCCESS, 1), (StepStatus.FAILURE, 1), (StepStatus.CANCELLED, 0)):
        assert [each.state for each in run.steps(members=False, statuses=[state])] == [state] * number


def test_its_members_may_have_been_cancelled(store: str) -> None:
    run = fan([1, 2]).start()
    before_the_members(run)
    run.cancel()
    assert _seen(run) == ((2, 2), StepStatus.CANCELLED, False)


def _seen(run: WorkflowRun) -> tuple[Any, Any, bool]:
    _, each, _ = get_workflow(run.id).steps(members=False)
    return each.members, each.state, each.has_task


def _jobs(run: WorkflowRun) -> list[Any]:
    ids = [each.job_id for each in run.steps()]
    return list(task_backends["default"].broker.get(ids).values())
