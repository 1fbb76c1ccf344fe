"""Workflows whose steps are rows of the same database, on each kind of database, with workers in this process."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext

from reinhardt_tasks import ChainStatus, TaskChain, get_workflow, group, previous_result, step
from reinhardt_tasks._compat import task_backends
from reinhardt_tasks.jobs import Cancelled, Failed, Succeeded, TaskStatus
from reinhardt_tasks.models import StepRow, WorkflowRow
from reinhardt_tasks.registry import registry
from reinhardt_tasks.workflows import aget_workflow, list_workflows, recording
from reinhardt_tasks.workflows import tending as tending_module
from reinhardt_tasks.workflows.tending import forget, tend
from tests.servers import wait_until
from tests.worker.running import maintenance_of

from .running import ByHand, is_sound, worked_off
from .tasks import (
    fail,
    fail_atomically,
    fail_if,
    fail_later,
    fail_twice,
    keep,
    linger,
    ran,
    say,
    say_atomically,
    say_later,
    total,
)

NOW = timedelta(0)

SLOW = [
    pytest.mark.slow,
    pytest.mark.skipif(os.environ.get("REINHARDT_TESTS_SLOW") != "1", reason="slow: set REINHARDT_TESTS_SLOW=1"),
]


@pytest.fixture(autouse=True)
def on_a_database(setting: dict[str, Any]) -> None:
    """All of this runs on each database."""


def broker() -> Any:
    return task_backends["default"].broker


def test_a_workflow_of_all_forms_is_worked_off(database_alias: str) -> None:
    run = TaskChain(
        "forms",
        [
            step(say, 1),
            group([step(say_later, 2), step(fail).on_failure("continue", instead=3), step(fail_twice, "x")]),
            step(fail_later).on_failure(step(say, "handled")),
            step(say_atomically, "atomic"),
            step(keep, previous_result).using(priority=9, queue_name="other"),
        ],
    ).start()
    assert (run.status, run.progress()) == (ChainStatus.PENDING, (0, 8))
    worked_off(run)
    assert run.status is ChainStatus.COMPLETED
    assert run.return_value == {"value": "atomic", "also": None}
    assert (ran[0], ran[-2:]) == (1, ["handled", "atomic"])
    assert sorted(map(str, ran[1:-2])) == ["2", "fail", "x", "x", "x"]
    is_sound(run)
    assert run.created_at <= run.started_at <= run.finished_at  # type: ignore[operator]


@pytest.mark.parametrize("size", [150, pytest.param(1000, marks=SLOW)])
def test_a_group_calls_back_once(database_alias: str, size: int) -> None:
    run = group(step(say, number) for number in range(size)).then(total, previous_result).start()
    worked_off(run, concurrency=4)
    assert run.return_value == sum(range(size))
    assert ran.count("total") == 1
    assert len(ran) == size + 1
    is_sound(run)


@pytest.mark.parametrize("kind", ["ordinary", "atomic", "coroutine"])
def test_a_failure_for_good_is_on_record_and_stops(database_alias: str, kind: str) -> None:
    failing = {"ordinary": fail, "atomic": fail_atomically, "coroutine": fail_later}[kind]
    run = TaskChain("stop", [failing, step(say, "never")]).start()
    worked_off(run)
    assert run.status is ChainStatus.FAILED
    assert [each.state for each in run.steps()] == ["FAILURE", "SKIPPED"]
    assert "ValueError" in run.steps()[0].traceback
    assert "never" not in ran
    is_sound(run)


def test_a_step_has_attempts_and_a_timeout_of_its_own(database_alias: str) -> None:
    run = TaskChain(
        "own",
        [step(fail).using(max_attempts=2).on_failure("continue"), step(linger, 60).using(max_attempts=1, timeout=0.2)],
    ).start()
    worked_off(run)
    # The second attempt would wait for its backoff.
    broker().retry([run.steps()[0].job_id])
    worked_off(run)
    assert [each.attempts for each in run.steps()] == [2, 1]
    assert "TaskTimeout" in run.steps()[1].error


def test_a_member_costs_the_same_in_a_small_and_in_a_large_group(database_alias: str) -> None:
    def statements(size: int) -> list[int]:
        run = group(step(say, number) for number in range(size)).then(total, previous_result).start()
        worker, counts = ByHand(f"counter {size}"), list[int]()
        for claim in worker.claim(5):
            with CaptureQueriesContext(connections[database_alias]) as queries:
                outcome = worker.run(claim)
            counts.append(len(queries))
            worker.settle(outcome)
        is_sound(run)
        assert run.progress() == (5, size + 1)
        # The next is to find nothing of this in the queue.
        run.cancel()
        return counts

    small, large = statements(10), statements(1000)
    # The first of all also tells that the workflow runs.
    assert small == large
    assert len(set(small[1:])) == 1
    assert small[1] <= 8, small


def test_starting_costs_statements_in_chunks(database_alias: str) -> None:
    def statements(size: int) -> int:
        flow = group(step(say, number) for number in range(size))
        with CaptureQueriesContext(connections[database_alias]) as queries:
            flow.start()
        return len(queries)

    # Django itself cuts what it inserts into SQLite into parts of fewer rows.
    assert statements(2000) < 2000 / 10


def test_a_record_that_fails_half_way_leaves_nothing_of_it(
    database_alias: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record of an atomic step is part of the task's transaction, which commits all the same."""
    run = TaskChain("half", [step(say_atomically, "a"), step(say, "b")]).start()
    with monkeypatch.context() as patched:

        def fails(*args: Any) -> None:
            raise RuntimeError("half way")

        patched.setattr(recording.Post, "take", fails)
        worked_off(run)
    assert [row.status for row in StepRow.objects.using(database_alias).filter(is_gate=False)] == ["READY", "WAITING"]
    tend(NOW)
    worked_off(run)
    assert (run.status, ran) == (ChainStatus.COMPLETED, ["a", "b"])
    is_sound(run)


def test_an_atomic_step_and_its_record_commit_together(database_alias: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = TaskChain("atomic", [step(say_atomically, "a"), step(say, "b")]).start()
    refused = ["commit"]
    original = type(broker()).settle

    def settle(self: Any, outcomes: Any) -> Any:
        lost = original(self, outcomes)
        if refused and connections[database_alias].in_atomic_block and isinstance(outcomes[0], Succeeded):
            # The transaction breaks after the step's record and its successor were written.
            raise RuntimeError(refused.pop())
        return lost

    monkeypatch.setattr(type(broker()), "settle", settle)
    worked_off(run, poll_interval=0.1)
    # It is tried again after its backoff: nothing of the first try is on record.
    row = StepRow.objects.using(database_alias).get(workflow_id=run.id, position=0)
    assert row.status == "READY"
    assert StepRow.objects.using(database_alias).get(workflow_id=run.id, position=1).status == "WAITING"
    assert "b" not in ran
    broker().retry([run.steps()[0].job_id])
    worked_off(run)
    assert run.status is ChainStatus.COMPLETED
    assert ran == ["a", "a", "b"]


def test_a_rollback_sends_and_stores_nothing(database_alias: str) -> None:
    flow = TaskChain("never", [step(say, 1)])
    with pytest.raises(ZeroDivisionError), transaction.atomic(using=database_alias):
        flow.start()
        with pytest.raises(RuntimeError, match="transaction that is still open"):
            get_workflow(flow.id).wait()
        1 / 0
    assert not WorkflowRow.objects.using(database_alias).exists()
    assert broker().counts() == []


def test_a_cancelled_workflow_begins_nothing_more(database_alias: str) -> None:
    run = TaskChain("cancel", [group(step(say, number) for number in range(60)), step(say, "never")]).start()
    worker = ByHand("w")
    running = worker.claim(2)
    assert run.cancel() is True
    assert run.status is ChainStatus.CANCELLED
    assert broker().counts() == [] or broker().counts()[0].counts[TaskStatus.PENDING] == 0
    assert broker().heartbeat(worker.info).cancelled == {claim.job.id for claim in running}
    for claim in running:
        assert isinstance(worker.run(claim), Cancelled)
        worker.settle(worker.run(claim))
    assert ran == []
    assert {each.state for each in run.steps(limit=500)} == {"CANCELLED", "SKIPPED"}
    assert run.cancel() is False
    is_sound(run)


def test_a_cancelled_workflow_can_go_on(database_alias: str) -> None:
    run = TaskChain("cancel", [step(say, 1), step(say, 2), step(say, 3)]).start()
    worker = ByHand("w")
    worker.settle(worker.run(worker.claim()[0]))
    run.cancel()
    assert worked_off(run).status is ChainStatus.CANCELLED
    assert run.retry_failed() is True
    assert worked_off(run).status is ChainStatus.COMPLETED
    assert ran == [1, 2, 3]
    is_sound(run)


def test_what_was_queued_when_a_member_failed_is_not_run_until_it_is_retried(
    database_alias: str, tmp_path: Path
) -> None:
    obstacle = tmp_path / "obstacle"
    obstacle.touch()
    run = group([step(fail_if, str(obstacle)), *(step(say, number) for number in range(5))]).start()
    worker = ByHand("w")
    first = next(claim for claim in worker.claim(6) if claim.job.name.endswith("fail_if"))
    assert isinstance(worker.run(first), Failed)
    worker.dies()
    maintenance_of(broker(), ByHand("next").info, task_backends["default"].settings).rescue()
    worked_off(run)
    assert run.status is ChainStatus.FAILED
    assert ran == []
    obstacle.unlink()
    run.retry_failed()
    assert worked_off(run).status is ChainStatus.COMPLETED
    assert sorted(ran) == [0, 1, 2, 3, 4]
    is_sound(run)


@pytest.mark.parametrize("deed", ["cancel", "delete"])
def test_a_step_whose_task_a_person_took_away_is_found(database_alias: str, deed: str) -> None:
    run = TaskChain("taken", [step(say, 1), step(say, 2)]).start()
    getattr(broker(), deed)([run.steps()[0].job_id])
    assert run.refresh().status is ChainStatus.PENDING
    assert tend(timedelta(minutes=1)) == 0, "it is too early to be sure"
    assert tend(NOW) == 1
    assert run.refresh().status is ChainStatus.FAILED
    assert run.steps()[0].state == "CANCELLED"
    assert run.retry_failed()
    assert worked_off(run).status is ChainStatus.COMPLETED


def test_a_success_that_could_not_be_recorded_is_found_in_the_queue(
    database_alias: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reinhardt_tasks.exceptions import QueueError
    from reinhardt_tasks.workflows import following

    run = TaskChain("unseen", [step(say, 1), step(keep, previous_result)]).start()

    def broken(*args: Any) -> None:
        raise QueueError("the database is away")

    with monkeypatch.context() as patched:
        patched.setattr(following, "record", broken)
        worked_off(run)
    assert run.progress() == (0, 2)
    tend(NOW)
    assert worked_off(run).return_value == {"value": 1, "also": None}
    assert ran == [1]
    is_sound(run)


def test_a_step_that_only_waits_is_left_alone_ever_longer(database_alias: str) -> None:
    run = TaskChain("waits", [step(say, 1)]).start()
    assert tend(NOW) == 1
    long_ago = run.created_at - timedelta(hours=1)
    StepRow.objects.using(database_alias).filter(workflow_id=run.id, position=0).update(
        ready_at=long_ago, look_at=long_ago
    )
    assert [tend(NOW), tend(NOW), tend(NOW)] == [1, 0, 0]
    assert worked_off(run).status is ChainStatus.COMPLETED
    assert ran == [1]


@pytest.mark.parametrize("is_retried_meanwhile", [False, True])
def test_a_step_that_became_free_in_an_ended_workflow_is_not_forgotten(
    database_alias: str, is_retried_meanwhile: bool
) -> None:
    run = TaskChain("late end", [step(say, 1), step(say, 2)]).start()
    worker = ByHand("w")
    (claim,) = worker.claim()
    from reinhardt_tasks.serialization import decode_call
    from reinhardt_tasks.workflows.following import StepFollower

    # It runs while the workflow is cancelled, and ends well.
    from reinhardt_tasks.workflows.interventions import cancel

    cancel(run.id)
    note = decode_call(claim.job.payload).headers["workflow"]
    StepFollower().ended(note, Succeeded(claim=claim, result="1"))
    row = StepRow.objects.using(database_alias).get(workflow_id=run.id, position=1)
    assert (row.status, row.open_needs) == ("WAITING", 0)
    if is_retried_meanwhile:
        # By somebody who has not seen that step, since it became free at the same moment.
        WorkflowRow.objects.using(database_alias).filter(pk=run.id).update(status="RUNNING", finished_at=None)
        tend(NOW)
        assert worked_off(run).status is ChainStatus.COMPLETED
        return
    tend(NOW)
    assert StepRow.objects.using(database_alias).get(pk=row.pk).look_at is None
    run.retry_failed()
    worked_off(run)
    assert ran == [2]
    assert run.status is ChainStatus.COMPLETED


def test_a_workflow_that_was_deleted_runs_nothing_more(database_alias: str) -> None:
    run = TaskChain("gone", [step(say, 1), step(say, 2)]).start()
    job = run.steps()[0].job_id
    run.delete()
    worker = ByHand("w")
    outcome = worker.run(worker.claim()[0])
    assert isinstance(outcome, Cancelled)
    worker.settle(outcome)
    assert broker().get([job])[job].status is TaskStatus.CANCELLED
    assert ran == []


def test_what_ended_long_ago_is_forgotten(database_alias: str, monkeypatch: pytest.MonkeyPatch) -> None:
    old = worked_off(TaskChain("old", [step(say, 1)]).start())
    young = worked_off(TaskChain("young", [step(say, 1)]).start())
    alive = TaskChain("alive", [step(say, 1)]).start()
    rows = WorkflowRow.objects.using(database_alias)
    rows.filter(pk=old.id).update(finished_at=old.created_at - timedelta(days=30))
    # The workers above have looked a moment ago.
    monkeypatch.setattr(tending_module, "_forgotten_at", 0.0)
    assert forget(timedelta(days=7)) == 1
    assert forget(timedelta(0)) == 0, "not twice within a minute"
    assert {str(pk) for pk in rows.values_list("pk", flat=True)} == {young.id, alive.id}
    assert not StepRow.objects.using(database_alias).filter(workflow_id=old.id).exists()


@pytest.mark.parametrize("database_alias", ["sqlite"], indirect=True)
def test_a_step_whose_task_nobody_knows_any_more_has_failed_in_the_end(database_alias: str, settings: Any) -> None:
    settings.TASKS["default"]["OPTIONS"]["UNKNOWN_TASK_TTL"] = 0.001
    settings.TASKS = dict(settings.TASKS)
    run = TaskChain("renamed", [step(say, 1), step(say, 2)]).start()
    registry.unregister(say.module_path)
    try:
        # Its time begins when it is first met.
        wait_until(lambda: worked_off(run).status is ChainStatus.FAILED, "it is met again")
    finally:
        registry.register(say)
    assert run.status is ChainStatus.FAILED
    assert "TaskNotFound" in run.steps()[0].error
    assert run.retry_failed()
    assert worked_off(run).status is ChainStatus.COMPLETED


def test_who_dequeues_by_hand_moves_a_workflow_too(database_alias: str) -> None:
    backend = task_backends["default"]
    run = TaskChain("by hand", [step(say, 1), step(keep, previous_result)]).start()
    task_id = backend.dequeue()
    assert task_id is not None
    backend.update_status(task_id, TaskStatus.SUCCESS)
    assert run.progress() == (1, 2)
    assert worked_off(run).return_value == {"value": None, "also": None}


def test_workflows_are_listed_newest_first_in_pages(database_alias: str) -> None:
    ids = [TaskChain("listed", [step(say, 1)]).start().id for _ in range(3)]
    worked_off(get_workflow(ids[0]))
    assert [run.id for run in list_workflows(limit=2)] == ids[:0:-1]
    assert [run.id for run in list_workflows(after=ids[1])] == ids[:1]
    done = TaskChain("other", []).start()
    assert [run.id for run in list_workflows(name="other", statuses=[ChainStatus.COMPLETED])] == [done.id]
    assert list_workflows(statuses=[ChainStatus.FAILED]) == []


@pytest.mark.parametrize("database_alias", ["sqlite"], indirect=True)
def test_waiting_without_time_looks_once(database_alias: str) -> None:
    run = TaskChain("soon", [step(say, 1)]).start()
    with pytest.raises(TimeoutError, match=r"\(soon\) is still PENDING after 0 s"):
        run.wait(timeout=0)
    worked_off(get_workflow(run.id))
    assert run.wait(timeout=0).status is ChainStatus.COMPLETED


@pytest.mark.parametrize("database_alias", ["sqlite"], indirect=True)
def test_coroutines_start_and_wait(database_alias: str) -> None:
    from asgiref.sync import async_to_sync

    async def main() -> str:
        run = await TaskChain("async", [step(say, 1)]).astart()
        with pytest.raises(TimeoutError, match="is still PENDING after 0.05 s"):
            await run.await_(timeout=0.05)
        return (await aget_workflow(run.id)).id

    run = get_workflow(async_to_sync(main)())
    worked_off(run)
    assert run.wait(timeout=1).status is ChainStatus.COMPLETED
