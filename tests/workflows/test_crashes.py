"""Real workers are killed, at random and at the very places where a step's end passes from one store to another.

Whatever happens: every step's success is counted once, order is kept, the workflow ends as it should, and none stands
still. What ran is read from a file to which each run of a step adds its lines.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from reinhardt_tasks import ChainStatus, TaskChain, Workflow, WorkflowRun, group, item, previous_result, result_of, step
from reinhardt_tasks.models import StepRow
from reinhardt_tasks.workflows.places import database
from tests import databases
from tests.servers import PostgresServer, RedisServer, ServerMissing, wait_until
from tests.worker.processes import WorkerProcess, tasks_on

from .running import KINDS, is_sound, on_store
from .tasks import keep, note_list, note_step

LEASE = 1.0
DONE_WITHIN = 240.0
SLOW = [
    pytest.mark.slow,
    pytest.mark.skipif(os.environ.get("REINHARDT_TESTS_SLOW") != "1", reason="slow: set REINHARDT_TESTS_SLOW=1"),
]


@pytest.fixture
def setting(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    with on_store(request.param, request, LEASE) as tasks:
        yield tasks


class Lines:
    """What the steps wrote."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[list[str]]:
        return [line.split() for line in self.path.read_text().splitlines()] if self.path.exists() else []

    @property
    def ended(self) -> Counter[str]:
        return Counter(name for what, name, _ in self.read() if what == "ended")

    def keeps_order(self, before: dict[str, set[str]]) -> None:
        """Fail where a step began before all that it comes after had ended once."""
        ended: set[str] = set()
        for what, name, _ in self.read():
            if what == "began":
                assert before[name] <= ended, f"{name} began before {before[name] - ended} had ended"
            else:
                ended.add(name)


@pytest.fixture
def lines(tmp_path: Path) -> Lines:
    return Lines(tmp_path / "lines")


def worker(setting: dict[str, Any], *flags: str, **environment: str) -> WorkerProcess:
    return WorkerProcess(
        *flags,
        "--concurrency",
        "4",
        "--poll-interval",
        "0.2",
        tasks=setting,
        settings="tests.workflows.settings",
        **environment,
    )


def finished(run: WorkflowRun, *, within: float = DONE_WITHIN) -> WorkflowRun:
    wait_until(lambda: run.refresh().is_finished, "the workflow ends", timeout=within, interval=0.05)
    return run


def all_is_well(run: WorkflowRun, lines: Lines, before: dict[str, set[str]]) -> None:
    assert run.status is ChainStatus.COMPLETED
    assert set(lines.ended) == set(before)
    lines.keeps_order(before)
    is_sound(run)
    rows = StepRow.objects.using(database()).filter(workflow_id=run.id, is_gate=False)
    assert {row.status for row in rows} == {"SUCCESS"}


# At each place


@pytest.mark.parametrize("place", ["unrecorded", "unsent", "unsettled", "settled"])
@pytest.mark.parametrize(
    "setting", [pytest.param(kind, marks=[] if kind == "redis" else SLOW) for kind in KINDS], indirect=True
)
def test_a_worker_that_dies_at_a_boundary_repeats_and_loses_nothing(
    setting: dict[str, Any], lines: Lines, place: str
) -> None:
    path = str(lines.path)
    run = TaskChain(
        "boundary",
        [step(note_step, path, "a", 0), step(note_step, path, "b", 0, previous_result), step(keep, previous_result)],
    ).start()
    with worker(setting, REINHARDT_TEST_DIE_AT=f"{place}:1") as victim:
        assert victim.ended() == -9, victim.stderr
        with worker(setting):
            finished(run)
    all_is_well(run, lines, {"a": set(), "b": {"a"}})
    assert run.return_value == {"value": "b", "also": None}
    # What was on record did not run again.
    assert lines.ended["a"] == (2 if place == "unrecorded" else 1)
    # "b" is sent before "a" is settled, and may be running when its worker dies after that.
    assert lines.ended["b"] in ({1, 2} if place == "settled" else {1})


@pytest.mark.parametrize("place", ["unrecorded", "laid out", "unsent", "unsettled", "settled"])
@pytest.mark.parametrize(
    "setting", [pytest.param(kind, marks=[] if kind in ("sqlite", "redis") else SLOW) for kind in KINDS], indirect=True
)
def test_a_worker_that_dies_between_a_list_and_its_members_repeats_and_loses_nothing(
    setting: dict[str, Any], lines: Lines, place: str
) -> None:
    path, names = str(lines.path), [f"member{number}" for number in range(8)]
    run = TaskChain(
        "fan",
        [
            step(note_list, path, "list", names),
            step(note_step, path, item, 0).for_each(previous_result),
            step(note_step, path, "last", 0, previous_result),
        ],
    ).start()
    with worker(setting, REINHARDT_TEST_DIE_AT=f"{place}:1") as victim:
        assert victim.ended() == -9, victim.stderr
        with worker(setting):
            finished(run)
    all_is_well(run, lines, {"list": set(), **{name: {"list"} for name in names}, "last": set(names)})
    assert lines.ended["list"] == (2 if place in ("unrecorded", "laid out") else 1)
    # Members are sent before the list is settled, and may be running when its worker dies after that.
    assert sum(lines.ended.values()) <= 11 + (4 if place == "settled" else 0)


@pytest.mark.parametrize("setting", ["sqlite"], indirect=True)
def test_a_process_that_dies_under_its_supervisor_repeats_and_loses_nothing(
    setting: dict[str, Any], lines: Lines
) -> None:
    path = str(lines.path)
    names = [f"member{number}" for number in range(20)]
    run = group(step(note_step, path, name, 0.01) for name in names).then(note_step, path, "callback", 0).start()
    with worker(setting, "--processes", "2", REINHARDT_TEST_DIE_AT="unsettled:4"):
        # Each process dies at its fourth step; others take their places, and die too.
        finished(run)
    all_is_well(run, lines, {**{name: set() for name in names}, "callback": set(names)})
    # A step may have been among what two processes had not settled when they died.
    assert set(lines.ended.values()) <= {1, 2, 3}


@pytest.fixture
def mortal(settings: Any, redis_server: RedisServer, django_db_blocker: Any) -> Iterator[PostgresServer]:
    """Steps in Redis, and their workflows in a PostgreSQL that may be killed."""
    try:
        server = PostgresServer(own=True)
    except ServerMissing as missing:
        pytest.skip(str(missing))
    with server:
        server.create_database("mortal")
        with databases.added("mortal", server.settings_of("mortal"), django_db_blocker), django_db_blocker.unblock():
            redis_server.client().flushall()
            tasks = tasks_on("mortal", LEASE=LEASE, MAX_LOST=100)
            tasks["default"]["BACKEND"] = "reinhardt_tasks.backends.RedisBackend"
            tasks["default"]["OPTIONS"]["URL"] = redis_server.url
            settings.TASKS = tasks
            yield server


def test_an_outage_of_the_database_makes_no_step_run_twice(mortal: PostgresServer, lines: Lines, settings: Any) -> None:
    path = str(lines.path)
    names = [f"member{number}" for number in range(60)]
    run = group(step(note_step, path, name, 0.1) for name in names).then(note_step, path, "callback", 0).start()
    with worker(dict(settings.TASKS)) as survivor:
        wait_until(lambda: len(lines.ended) >= 8, "some have ended", timeout=DONE_WITHIN)
        connections["mortal"].close()
        mortal.kill()
        # Those that run meet the end of it with nobody to record them, and others are claimed that nobody knows.
        survivor.says("hears of its end later")
        survivor.says("is put back for 5 s")
        mortal.start()
        finished(run)
        assert survivor.is_running
    all_is_well(run, lines, {**{name: set() for name in names}, "callback": set(names)})
    assert set(lines.ended.values()) == {1}
    connections["mortal"].close()


# At random


def chain_of(lines: Lines, number: int) -> tuple[Any, dict[str, set[str]]]:
    names = [f"link{index}" for index in range(number)]
    flow = TaskChain("chain", [step(note_step, str(lines.path), name, 0.002) for name in names])
    return flow, {name: set(names[:index]) for index, name in enumerate(names)}


def group_of(lines: Lines, number: int) -> tuple[Any, dict[str, set[str]]]:
    names = [f"member{index}" for index in range(number)]
    flow = group(step(note_step, str(lines.path), name, 0.02) for name in names).then(
        note_step, str(lines.path), "callback", 0, previous_result
    )
    return flow, {**{name: set() for name in names}, "callback": set(names)}


def graph_of(lines: Lines, number: int, rng: random.Random) -> tuple[Any, dict[str, set[str]]]:
    flow, before = Workflow("graph"), dict[str, set[str]]()
    for index in range(number):
        name = f"node{index}"
        waited = rng.sample(sorted(before), min(len(before), rng.choice([0, 1, 1, 2, 3])))
        read = result_of(rng.choice(sorted(before))) if before and rng.random() < 0.3 else None
        flow.add(step(note_step, str(lines.path), name, rng.random() * 0.05, read).named(name), after=waited)
        direct = {*waited, *([read.name] if read else [])}
        before[name] = direct.union(*(before[each] for each in direct))
    return flow, before


def killed_at_random(
    setting: dict[str, Any], flow: Any, rng: random.Random, kills: int, *, number: int = 2
) -> tuple[WorkflowRun, int]:
    """Run a workflow while workers are killed at random moments, each replaced at once; return how often that was."""
    run = flow.start()
    shares = sorted(rng.randrange(run.step_count * 9 // 10) for _ in range(kills))
    workers = [worker(setting) for _ in range(number)]
    killed = 0
    try:
        for share in shares:
            wait_until(
                lambda share=share: run.progress()[0] > share or run.refresh().is_finished,
                f"{share} steps have ended",
                timeout=DONE_WITHIN,
                interval=0.005,
            )
            if run.refresh().is_finished:
                break
            time.sleep(rng.random() * 0.02)
            victim = rng.choice(workers)
            victim.kill()
            victim.close()
            killed += 1
            workers[workers.index(victim)] = worker(setting)
        finished(run)
    finally:
        told = [each.stderr for each in workers]
        for each in workers:
            each.close()
    print(f"{run.step_count} steps, {killed} workers killed, at {shares}, {run}")
    unwell = [each for each in run.steps(limit=2000) if each.state != "SUCCESS"]
    unwell = [each for each in unwell if each.state in ("FAILURE", "CANCELLED")]
    told = [line for text in told for line in text.splitlines() if any(each.job_id in line for each in unwell[:1])]
    assert run.status is ChainStatus.COMPLETED, "\n".join([*(each.traceback for each in unwell[:1]), *told])
    assert killed
    return run, killed


@pytest.mark.parametrize(
    "setting", [pytest.param(kind, marks=[] if kind == "redis" else SLOW) for kind in KINDS], indirect=True
)
def test_a_chain_of_fifty_outlives_its_workers(setting: dict[str, Any], lines: Lines, rng: random.Random) -> None:
    flow, before = chain_of(lines, 50)
    run, killed = killed_at_random(setting, flow, rng, kills=2, number=1)
    all_is_well(run, lines, before)
    assert sum(lines.ended.values()) - 50 <= killed, "each death repeats what ran at that moment, at most"


@pytest.mark.parametrize(
    ("setting", "number"),
    [
        pytest.param(kind, number, marks=[] if (kind, number) == ("sqlite", 100) else SLOW)
        for kind in KINDS
        for number in (100, 1000)
    ],
    indirect=["setting"],
)
def test_a_group_outlives_its_workers(setting: dict[str, Any], lines: Lines, rng: random.Random, number: int) -> None:
    flow, before = group_of(lines, number)
    run, killed = killed_at_random(setting, flow, rng, kills=1 if number == 100 else 4)
    all_is_well(run, lines, before)
    assert max(lines.ended.values()) <= 1 + killed
    assert sum(lines.ended.values()) - number - 1 <= 4 * killed


@pytest.mark.parametrize(
    ("setting", "number"),
    [
        pytest.param(kind, number, marks=[] if (kind, number) == ("postgres", 40) else SLOW)
        for kind in KINDS
        for number in (40, 200)
    ],
    indirect=["setting"],
)
def test_a_random_graph_outlives_its_workers(
    setting: dict[str, Any], lines: Lines, rng: random.Random, number: int
) -> None:
    flow, before = graph_of(lines, number, rng)
    run, killed = killed_at_random(setting, flow, rng, kills=2 if number == 40 else 5)
    all_is_well(run, lines, before)
    assert sum(lines.ended.values()) - number <= 4 * killed
