"""What becomes of a slot while the last run is still going: beside it, not at all, or after it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from reinhardt_tasks._compat import task_backends
from reinhardt_tasks.brokers.base import WorkerInfo
from reinhardt_tasks.exceptions import QueueError
from reinhardt_tasks.jobs import Attempt, Failed, Succeeded
from reinhardt_tasks.models import ScheduleRow, SlotRow
from reinhardt_tasks.schedules.slots import slot_id
from reinhardt_tasks.scheduling import Scheduler, firing, overlaps
from reinhardt_tasks.signals import task_enqueued

from .simulated import DAY, HOUR, MINUTE, NOON, Simulation, every, jobs, slots_of_jobs

WORKER = WorkerInfo(id="w")


def claim() -> Any:
    """Begin to run what is ready."""
    (claimed,) = task_backends["default"].broker.claim(None, 1, WORKER)
    return claimed


def end(claimed: Any, *, well: bool = True) -> None:
    attempt = Attempt(worker="w", started_at=None, finished_at=None, exception="x", traceback="x")
    task_backends["default"].broker.settle(
        [Succeeded(claim=claimed) if well else Failed(claim=claimed, attempt=attempt)]
    )


def slots() -> list[datetime]:
    return sorted(slot for _, slot in slots_of_jobs())


def test_allow_runs_beside_the_last_one(simulation: Simulation) -> None:
    simulation.declare("* * * * *", overlap="allow")
    simulation.fired()
    assert simulation.walk(5 * MINUTE, MINUTE) == every(MINUTE, NOON + MINUTE, NOON + 5 * MINUTE)
    assert len(jobs()) == 5


def test_skip_leaves_out_what_comes_while_the_last_one_waits_or_runs(simulation: Simulation) -> None:
    simulation.declare("* * * * *", overlap="skip")
    simulation.fired()
    assert simulation.walk(3 * MINUTE, MINUTE) == [NOON + MINUTE]
    running = claim()
    assert simulation.walk(2 * MINUTE, MINUTE) == []
    end(running)
    assert simulation.walk(2 * MINUTE, MINUTE) == [NOON + 6 * MINUTE]
    end(claim(), well=False)
    assert simulation.walk(MINUTE, MINUTE) == [NOON + 8 * MINUTE]
    assert simulation.row().skipped == 5
    task_backends["default"].broker.cancel([job.id for job in jobs()])
    task_backends["default"].broker.delete([job.id for job in jobs()])
    assert simulation.walk(MINUTE, MINUTE) == [NOON + 9 * MINUTE]


def test_queue_runs_each_when_the_one_before_has_ended(simulation: Simulation) -> None:
    simulation.declare("* * * * *", overlap="queue")
    simulation.fired()
    simulation.walk(4 * MINUTE, MINUTE)
    assert slots() == [NOON + MINUTE]
    assert (simulation.row().waiting, simulation.row().waiting_since) == (3, NOON + 2 * MINUTE)
    for number in range(2, 5):
        running = claim()
        simulation.fired()
        assert len(jobs()) == number - 1, "while it runs nothing comes"
        end(running, well=number != 3)
        simulation.new_scheduler()
        simulation.fired()
        assert slots() == every(MINUTE, NOON + MINUTE, NOON + number * MINUTE)
    assert (simulation.row().waiting, simulation.row().waiting_since) == (0, None)
    end(claim())
    assert simulation.fired(MINUTE) == [NOON + 5 * MINUTE]
    assert set(slots_of_jobs().values()) == {1}


def test_what_waits_goes_one_after_the_other_with_several_schedulers(simulation: Simulation) -> None:
    simulation.declare("* * * * *", overlap="queue")
    simulation.fired()
    simulation.walk(6 * MINUTE, MINUTE)
    schedulers = [simulation.new_scheduler() for _ in range(3)]
    for _ in range(5):
        end(claim())
        for each in schedulers:
            each.turn()
    assert slots() == every(MINUTE, NOON + MINUTE, NOON + 6 * MINUTE)


@pytest.mark.parametrize("database_alias", ["sqlite"], indirect=True)
def test_after_an_outage_both_rules_hold(simulation: Simulation) -> None:
    for overlap in ("allow", "skip", "queue"):
        for catch_up in ("skip", "latest", "all"):
            simulation.declare("0 * * * *", f"{overlap}-{catch_up}", overlap=overlap, catch_up=catch_up)
    simulation.fired()
    simulation.new_scheduler()
    simulation.fired(5 * HOUR + 10 * MINUTE)
    found = {row.name: (row.fired, row.waiting, row.skipped, row.missed) for row in ScheduleRow.objects.using("sqlite")}
    assert found == {
        "allow-skip": (0, 0, 0, 5),
        "allow-latest": (1, 0, 0, 4),
        "allow-all": (5, 0, 0, 0),
        "skip-skip": (0, 0, 0, 5),
        "skip-latest": (1, 0, 0, 4),
        "skip-all": (1, 0, 4, 0),
        "queue-skip": (0, 0, 0, 5),
        "queue-latest": (1, 0, 0, 4),
        "queue-all": (5, 4, 0, 0),
    }


@pytest.mark.parametrize("database_alias", ["sqlite"], indirect=True)
def test_what_waits_is_bounded(simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firing, "QUEUE_LIMIT", 3)
    simulation.declare("* * * * *", overlap="queue")
    simulation.fired()
    simulation.walk(9 * MINUTE, MINUTE)
    assert (simulation.row().waiting, simulation.row().skipped) == (3, 5)
    assert SlotRow.objects.using("sqlite").filter(state=SlotRow.WAITING).count() == 3


@pytest.mark.parametrize("database_alias", ["sqlite"], indirect=True)
@pytest.mark.parametrize("overlap", ["skip", "queue"])
def test_whether_the_last_run_has_ended_is_not_guessed(
    simulation: Simulation, overlap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulation.declare("* * * * *", overlap=overlap)
    simulation.declare("* * * * *", "other")
    simulation.fired()
    simulation.fired(MINUTE)
    broker: Any = task_backends["default"].broker

    def away(ids: Any) -> Any:
        raise QueueError("It does not answer.")

    with monkeypatch.context() as patched:
        patched.setattr(broker, "get", away)
        assert [each.schedule for each in simulation.turn(MINUTE).fired] == ["other"]
    assert simulation.row().next_slot == NOON + 2 * MINUTE, "it is still due"
    assert simulation.row().enabled
    broker.cancel([job.id for job in jobs()])
    fired = [each.slot for each in simulation.turn(MINUTE).fired if each.schedule == "one"]
    assert fired[0] == NOON + 2 * MINUTE


@pytest.mark.parametrize("database_alias", ["sqlite"], indirect=True)
def test_receivers_hear_of_a_task_when_it_is_stored_and_not_while_it_waits(simulation: Simulation) -> None:
    heard: list[str] = []

    def hear(sender: Any, task_result: Any, **kwargs: Any) -> None:
        heard.append(task_result.id)

    simulation.declare("* * * * *", overlap="queue")
    simulation.fired()
    task_enqueued.connect(hear)
    try:
        simulation.walk(2 * MINUTE, MINUTE)
        assert heard == [slot_id("one", NOON + MINUTE)]
        end(claim())
        simulation.fired()
        assert heard == [slot_id("one", NOON + MINUTE), slot_id("one", NOON + 2 * MINUTE)]
    finally:
        task_enqueued.disconnect(hear)
    assert not SlotRow.objects.using("sqlite").exclude(job=None).exists()


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let something happen between the question whether the last run has ended and the use of the answer."""

    def arrange(place: Any, happens: Any) -> None:
        true = place.last_ones_going

        def ask(rows: Any, session: Any) -> Any:
            answer = true(rows, session)
            monkeypatch.setattr(place, "last_ones_going", true)
            happens()
            return answer

        monkeypatch.setattr(place, "last_ones_going", ask)

    return arrange


@pytest.mark.parametrize("database_alias", ["sqlite"], indirect=True)
@pytest.mark.parametrize("overlap", ["skip", "queue"])
def test_another_scheduler_that_is_quicker_is_noticed(simulation: Simulation, overlap: str, meanwhile: Any) -> None:
    simulation.declare("* * * * *", overlap=overlap)
    simulation.fired()
    slow = simulation.scheduler
    # It was at it a minute before, when the second slot was not due.
    quick = Scheduler("sqlite", clock=lambda: NOON + MINUTE, registry=simulation.registry)
    quick.synchronise()
    simulation.clock.pass_(2 * MINUTE)
    meanwhile(firing, quick.turn)
    assert slow.turn().fired == []
    assert slots() == [NOON + MINUTE]


@pytest.mark.parametrize("database_alias", ["sqlite"], indirect=True)
def test_another_scheduler_that_lets_go_first_is_noticed(simulation: Simulation, meanwhile: Any) -> None:
    simulation.declare("* * * * *", overlap="queue")
    simulation.fired()
    simulation.walk(3 * MINUTE, MINUTE)
    quick = simulation.new_scheduler()
    slow = simulation.new_scheduler()
    slow.synchronise()
    end(claim())
    meanwhile(overlaps, lambda: quick.turn())
    slow.turn()
    assert slots() == [NOON + MINUTE, NOON + 2 * MINUTE], "the third waits for the second"


@pytest.mark.parametrize("database_alias", ["sqlite"], indirect=True)
def test_a_long_run_is_asked_about_for_a_day(simulation: Simulation) -> None:
    simulation.declare("0 */6 * * *", overlap="skip")
    simulation.fired()
    assert simulation.walk(DAY, HOUR) == [NOON + 6 * HOUR]
    assert simulation.row().skipped == 3
