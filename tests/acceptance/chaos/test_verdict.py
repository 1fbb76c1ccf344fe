"""The verdict itself: it sees what it is there to see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reinhardt_tasks.jobs import Attempt, Job, TaskStatus

from . import tasks
from .errands import LOST, Errand
from .ledger import Ledger
from .verdict import Evidence, faults

SHORT = Errand(number=1, task=tasks.short)
WRITE = Errand(number=1, task=tasks.write, is_atomic=True)
SEGFAULT = Errand(number=2, task=tasks.segfault, is_poison=True, status=TaskStatus.FAILURE)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    yield Ledger(tmp_path / "ledger")


def job(**facts: Any) -> Job:
    facts = {"status": TaskStatus.SUCCESS, "token": 1, "worker": "host:10:a", **facts}
    return Job(id="id", name="name", payload="[[],{}]", backend="default", **facts)


def lost(worker: str) -> Attempt:
    now = datetime.now(UTC)
    return Attempt(worker=worker, started_at=now, finished_at=now, exception=LOST, traceback="", lost=True)


def found(
    ledger: Ledger, errand: Errand, stored: Job | None, lines: str, hurt: Mapping[int, str] | None = None, rows: int = 0
) -> str:
    ledger.path.write_text(lines)
    ledger.read()
    evidence = Evidence(
        errands=[errand],
        jobs={} if stored is None else {errand.number: stored},
        ledger=ledger,
        hurt=hurt or {},
        outages=(),
        effects={errand.number: rows},
        lease=2.0,
    )
    return "\n".join(faults(evidence))


ONE_RUN = "began 1 10 host:10:a\nended 1 10 host:10:a\n"
CUT_OFF = "began 1 20 host:20:b\n"


def test_what_went_well_is_no_fault(ledger: Ledger) -> None:
    assert found(ledger, SHORT, job(), ONE_RUN) == ""


def test_a_missing_task_is_lost(ledger: Ledger) -> None:
    assert "is lost" in found(ledger, SHORT, None, ONE_RUN)


def test_a_task_that_still_runs_has_no_end(ledger: Ledger) -> None:
    assert "which is no end" in found(ledger, SHORT, job(status=TaskStatus.RUNNING), ONE_RUN)


def test_a_success_that_never_ran_is_none(ledger: Ledger) -> None:
    assert "has never ended" in found(ledger, SHORT, job(), "")


def test_a_run_too_many_has_to_be_told(ledger: Ledger) -> None:
    assert "of which its history does not tell" in found(ledger, SHORT, job(token=3), CUT_OFF + ONE_RUN)


def test_a_run_too_many_may_be_told_by_the_history(ledger: Ledger) -> None:
    assert found(ledger, SHORT, job(token=3, history=(lost("host:20:b"),)), CUT_OFF + ONE_RUN) == ""


def test_a_worker_that_was_stopped_may_have_given_back_what_it_ran(ledger: Ledger) -> None:
    assert found(ledger, SHORT, job(token=2), CUT_OFF + ONE_RUN, hurt={20: "terminate"}) == ""


def test_a_claim_runs_once(ledger: Ledger) -> None:
    assert "2 times by 1 claims" in found(ledger, SHORT, job(), CUT_OFF + ONE_RUN, hurt={20: "terminate"})


@pytest.mark.parametrize(("status", "rows"), [(TaskStatus.SUCCESS, 0), (TaskStatus.SUCCESS, 2)])
def test_an_atomic_success_leaves_one_row(ledger: Ledger, status: TaskStatus, rows: int) -> None:
    assert f"left {rows} rows" in found(ledger, WRITE, job(status=status), ONE_RUN, rows=rows)


def test_a_task_that_fails_by_its_neighbours_is_a_fault(ledger: Ledger) -> None:
    history = tuple(lost(f"host:{pid}:x") for pid in (30, 31, 32))
    stored = job(status=TaskStatus.FAILURE, token=6, history=history)
    ledger.path.write_text("began 2 32 host:32:x\n")
    evidence = {"hurt": {30: "kill"}, "outages": (), "effects": {}, "lease": 2.0}
    ledger.read()
    both = Evidence(errands=[SHORT, SEGFAULT], jobs={1: stored}, ledger=ledger, **evidence)
    assert "was failed by its neighbours" in faults(both)[0]
    evidence["hurt"][32] = "kill"
    assert (
        "neighbours" not in faults(Evidence(errands=[SHORT, SEGFAULT], jobs={1: stored}, ledger=ledger, **evidence))[0]
    )
