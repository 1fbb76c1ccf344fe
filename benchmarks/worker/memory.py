"""What an idle worker has of the memory, and how soon after its start it begins a task: ourselves and peers, in one run.

Memory is the proportional set size of the whole tree of processes: a page that several share is counted once, in shares.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.remote import Remote
from benchmarks.stores import STORES, Place
from benchmarks.systems import OURS, PEERS, System
from tests.servers.descendants import descendants

_PEERS = {peer.name: peer for peer in PEERS}


@dataclass(frozen=True, kw_only=True)
class Setup:
    """A system with the flags of its worker; `says` is what people read."""

    system: System
    store: str
    arguments: tuple[str, ...] = ()
    says: str
    #: Whether a peer that runs without Django loads it, as it has to in a Django project.
    in_django: bool = False

    @property
    def environment(self) -> dict[str, str]:
        return {"BENCHMARK_IN_DJANGO": "1"} if self.in_django else {}


def _peer(name: str, store: str, says: str, *arguments: str, in_django: bool = False) -> Setup:
    return Setup(system=_PEERS[name], store=store, says=f"{name}, {says}", arguments=arguments, in_django=in_django)


def _ours(store: str, says: str, *arguments: str) -> Setup:
    return Setup(system=OURS, store=store, says=f"**reinhardt_tasks**, {says}", arguments=arguments)


SETUPS = (
    _ours("redis", "1 thread", "--concurrency", "1"),
    _ours("redis", "4 threads"),
    _ours("redis", "`--processes 1 --concurrency 1`", "--processes", "1", "--concurrency", "1"),
    _ours("redis", "`--processes 4 --concurrency 1`", "--processes", "4", "--concurrency", "1"),
    _peer("celery", "redis", "prefork of 1"),
    _peer("celery", "redis", "prefork of 4", "--concurrency", "4"),
    _peer("dramatiq", "redis", "1 process of 8 threads, without Django"),
    _peer("dramatiq", "redis", "1 process of 8 threads, in a Django project", in_django=True),
    _peer("dramatiq", "redis", "its default: a process for each of 2 cores, without Django", "--processes", "2"),
    _peer("dramatiq", "redis", "the same in a Django project", "--processes", "2", in_django=True),
    _ours("sqlite", "1 thread", "--concurrency", "1"),
    _ours("sqlite", "4 threads"),
    _ours("sqlite", "`--processes 4 --concurrency 1`", "--processes", "4", "--concurrency", "1"),
    _peer("dj-queue", "sqlite", "as it comes"),
    _peer("django-tasks-db", "sqlite", "as it comes (1 task at a time)"),
)


def memory(rounds: int) -> list[str]:
    found: dict[Setup, list[tuple[float, int, float]]] = {setup: [] for setup in SETUPS}
    for store_name in ("redis", "sqlite"):
        with STORES[store_name]() as store:
            for _ in range(rounds):
                for setup in SETUPS:
                    if setup.store == store_name:
                        found[setup].append(_look(setup, store.new_place()))
    rows = ["| worker | store | processes | PSS, MiB | start to first task, s |", "|---|---|--:|--:|--:|"]
    for setup, looks in found.items():
        pss, first = (sorted(look[index] for look in looks) for index in (0, 2))
        rows.append(
            f"| {setup.says} | {setup.store} | {looks[0][1]} | **{median(pss):.1f}** ({pss[0]:.1f} – {pss[-1]:.1f}) | "
            f"{median(first):.2f} ({first[0]:.2f} – {first[-1]:.2f}) |"
        )
    return rows


def _look(setup: Setup, place: Place) -> tuple[float, int, float]:
    with Remote(setup.system, {**place.environment, **setup.environment}, place.folder) as remote:
        remote.setup()
        stamps = place.folder / "stamps"
        # It waits there already: its delay is the time that the worker needs to begin.
        remote.enqueue_stamp(path=str(stamps), called_at=0.0)
        started = time.time()
        pid = remote.start_worker(arguments=list(setup.arguments))
        deadline = time.monotonic() + 60
        while not stamps.exists() or not stamps.read_text().endswith("\n"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{setup.says} begins nothing.")
            time.sleep(0.005)
        first = float(stamps.read_text().split()[0]) - started
        # All that a task loads is loaded, in each process that is there.
        remote.delays(path=str(place.folder / "more"), count=8, longest_pause=0.1)
        time.sleep(3)
        family = [pid, *descendants(pid)]
        return sum(map(_pss, family)) / 1024, len(family), first


def _pss(pid: int) -> int:
    """Return kibibytes."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
