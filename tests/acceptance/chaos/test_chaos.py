"""Nothing is lost under chaos, on each store. CHAOS_TASKS says how many tasks, CHAOS_STORE on which stores (all)."""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reinhardt_tasks._compat import task_backends
from reinhardt_tasks.brokers.base import Query
from reinhardt_tasks.jobs import TaskStatus
from tests.conftest import SEED
from tests.servers import ServerMissing, wait_until

from . import blows, errands, verdict
from .crew import Crew
from .ledger import Ledger
from .monkey import Monkey, state_of
from .stores import Store, store_of
from .tasks import LEDGER

SHORT = 250
COUNT = int(os.environ.get("CHAOS_TASKS", str(SHORT)))
STORES = os.environ.get("CHAOS_STORE", "sqlite,postgres,mariadb,redis").split(",")
IS_LONG = COUNT > 1000
LEASE = 4.0 if IS_LONG else 2.5


@pytest.mark.parametrize("name", STORES)
def test_nothing_is_lost_under_chaos(
    name: str, tmp_path: Path, rng: random.Random, settings: Any, django_db_blocker: Any, capfd: Any
) -> None:
    tell = _teller(name, capfd)
    try:
        with store_of(name, tmp_path, LEASE, django_db_blocker) as store:
            settings.TASKS = store.tasks
            _run(store, rng, Ledger(tmp_path / "ledger"), tell)
            task_backends["default"].broker.close()
    except ServerMissing as missing:
        pytest.skip(str(missing))


def _run(store: Store, rng: random.Random, ledger: Ledger, tell: Callable[[str], None]) -> None:
    planned = errands.plan_errands(rng, COUNT, store.database)
    blows_planned = blows.plan_blows(rng, 5 + COUNT // 200, store.blows, LEASE)
    log = ledger.path.with_name("workers.log")
    tell(f"{SEED}={os.environ[SEED]}; {errands.summary(planned)}; {blows.summary(blows_planned)}")
    broker = task_backends["default"].broker
    crew = Crew(2 if IS_LONG else 1, 2 if IS_LONG else 1, **store.arguments, **{LEDGER: str(ledger.path)})
    monkey = Monkey(store, broker, crew, ledger, planned, blows_planned, tell)
    try:
        monkey.run()
        assert crew.stopped() == [0] * len(crew.members), crew.log[-5000:]
    finally:
        log.write_text(crew.log)
        crew.close()
    ledger.read()
    ids = list(monkey.ids)
    found = {id_: job for start in range(0, len(ids), 500) for id_, job in broker.get(ids[start : start + 500]).items()}
    evidence = verdict.Evidence(
        errands=planned,
        jobs={monkey.ids[id_]: job for id_, job in found.items()},
        ledger=ledger,
        hurt=crew.hurt,
        outages=monkey.outages,
        effects=store.effects() if store.database else {},
        lease=LEASE,
    )
    tell(verdict.summary(evidence))
    faults = verdict.faults(evidence)
    faults += [
        f"Task {id_} ended twice."
        for id_, state in monkey.seen_ended.items()
        if id_ in found and state_of(found[id_]) != state
    ]
    assert not faults, "\n".join([f"{len(faults)} faults (the workers' logs: {log})", *faults[:30]])
    assert broker.find(Query(statuses=(TaskStatus.RUNNING,))) == []
    assert not any(number for queue in broker.counts() for number in queue.counts.values())
    wait_until(lambda: not any(each.running for each in broker.workers()), "no worker holds anything")
    said = log.read_text()
    assert "database is locked" not in said
    assert "it goes on" not in said


def _teller(name: str, capfd: Any) -> Callable[[str], None]:
    """Return what tells of the progress: at once in the long form, with the test's output otherwise."""
    began = time.monotonic()

    def tell(words: str) -> None:
        line = f"chaos on {name}, {time.monotonic() - began:5.0f} s: {words}"
        if IS_LONG:
            with capfd.disabled():
                print(line, file=sys.stderr, flush=True)
        else:
            print(line)

    return tell
