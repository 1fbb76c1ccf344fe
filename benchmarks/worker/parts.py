"""The measurements. Each returns the rows of a Markdown table."""

from __future__ import annotations

import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from statistics import median, quantiles
from typing import Self

from benchmarks.environments import python_of
from benchmarks.processes import cpu_seconds
from benchmarks.stores import Store
from benchmarks.systems import OURS

from .bench import Bench, bench_on, pauses
from .burning import compute
from .events import Life, ended, lives, longest_coincidence, span

#: Seconds of one processor that a CPU-bound task takes, and how many there are.
BURN, BURNS = 0.03, 160
SLEEPERS = 200


def processes(store: Store, rounds: int) -> list[str]:
    """How many times as many CPU-bound tasks two processes do as one, beside what two bare processes do on this machine.

    Where others use the processors as well, the seconds on the clock say little; the tasks for each second of processor
    time say what two processes cost one another: twice their ratio is what a free machine would show at best.
    """
    loops = _loops_for(BURN)
    rows = [
        "| round | tasks/s, one process | two | ratio | two bare processes / one | tasks per CPU s, one | two | ratio | shares |",
        "|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    with bench_on(store.new_place()) as bench:
        for number in range(1, rounds + 1):
            ceiling = _bare(2, loops) / _bare(1, loops)
            burnt = {count: _burn(bench, count, loops) for count in ((1, 2) if number % 2 else (2, 1))}
            (rate, per_cpu, _), (rate_of_two, per_cpu_of_two, shares) = burnt[1], burnt[2]
            rows.append(
                f"| {number} | {rate:.1f} | {rate_of_two:.1f} | **{rate_of_two / rate:.2f}×** | {ceiling:.2f}× | "
                f"{per_cpu:.1f} | {per_cpu_of_two:.1f} | **{per_cpu_of_two / per_cpu:.2f}×** | {shares} |"
            )
    return rows


def _burn(bench: Bench, count: int, loops: int) -> tuple[float, float, str]:
    """Return tasks a second on the clock, and of processor time, and how many each process has run."""
    with bench.workers(("--processes", str(count), "--concurrency", "2")):
        path = bench.new_file()
        before = sum(map(cpu_seconds, bench.pids))
        bench.enqueue("burn", path, *((number, loops) for number in range(BURNS)))
        ended(path, BURNS)
        used = sum(map(cpu_seconds, bench.pids)) - before
        some = lives(path, {}).values()
        shares = Counter(life.pid for life in some)
        return BURNS / span(some), BURNS / used, " + ".join(str(number) for number in shares.values())


def _loops_for(seconds: float) -> int:
    began = time.process_time()
    compute(200_000)
    return int(200_000 * seconds / (time.process_time() - began))


def _bare(count: int, loops: int) -> float:
    """Return the rate at which so many processes do the same without any queue."""
    code = f"from benchmarks.worker.burning import compute; input(); [compute({loops}) for _ in range({BURNS // 2})]"
    # The Python of the workers: another version has another speed.
    python = str(python_of(OURS))
    started = [subprocess.Popen([python, "-c", code], stdin=subprocess.PIPE) for _ in range(count)]
    time.sleep(1.0)
    began = time.perf_counter()
    for each in started:
        assert each.stdin is not None
        each.stdin.write(b"\n")
        each.stdin.close()
    for each in started:
        each.wait()
    return count * (BURNS // 2) / (time.perf_counter() - began)


def coroutines(store: Store, rounds: int) -> list[str]:
    """From the first begin to the last end of 200 coroutines that sleep for a second, on one process."""
    rows = ["| round | default flags, s | `--async-concurrency 200`, s |", "|--:|--:|--:|"]
    with bench_on(store.new_place()) as bench:
        for number in range(1, rounds + 1):
            took = [_sleepers(bench, flags) for flags in ((), ("--async-concurrency", "200"))]
            rows.append(f"| {number} | {took[0]:.2f} | **{took[1]:.2f}** |")
    return rows


def _sleepers(bench: Bench, flags: tuple[str, ...]) -> float:
    with bench.workers(flags):
        path = bench.new_file()
        bench.enqueue("rest_in_loop", path, *((number, 1.0) for number in range(SLEEPERS)))
        ended(path, SLEEPERS)
        some = lives(path, bench.enqueued).values()
        return max(life.ended for life in some) - min(life.enqueued for life in some)


def latency(store: Store, rounds: int) -> list[str]:
    """From `enqueue()` to the begin of short tasks: on an idle worker, and while long tasks take half of the slots."""
    rows = ["| round | idle: p50, ms | p99, ms | beside long tasks: p50, ms | p99, ms |", "|--:|--:|--:|--:|--:|"]
    with bench_on(store.new_place()) as bench:
        for number in range(1, rounds + 1):
            with bench.workers((), ()):
                idle, busy = (
                    _delays(bench, seconds, is_busy=is_busy) for seconds, is_busy in ((10, False), (20, True))
                )
            cells = [f"{median(each) * 1000:.1f} | {quantiles(each, n=100)[98] * 1000:.1f}" for each in (idle, busy)]
            rows.append(f"| {number} | {' | '.join(cells)} |")
    return rows


def _delays(bench: Bench, seconds: float, *, is_busy: bool) -> list[float]:
    path = bench.new_file()
    gaps, long_gaps = pauses(0.1), pauses(0.25)
    number = 0
    shorts: list[int] = []
    until = time.monotonic() + seconds
    next_short, next_long = time.monotonic(), time.monotonic()
    while time.monotonic() < until:
        now = time.monotonic()
        if is_busy and now >= next_long:
            # One of a second each quarter of a second: four of the eight slots, in the mean.
            bench.enqueue("rest", path, (number, 1.0))
            number, next_long = number + 1, next_long + next(long_gaps)
        if now >= next_short:
            bench.enqueue("rest", path, (number, 0.0))
            shorts.append(number)
            number, next_short = number + 1, next_short + next(gaps)
        time.sleep(0.002)
    ended(path, number)
    found = lives(path, bench.enqueued)
    return [max(0.0, found[each].delay) for each in shorts]


def coincidence(store: Store, rounds: int) -> list[str]:
    """How long a slot was idle while tasks waited, at most, with two workers of four slots each."""
    rows = [
        "| round | tasks | longest, ms | with coroutines among them: longest, ms | the machine's own longest pause, ms |",
        "|--:|--:|--:|--:|--:|",
    ]
    with bench_on(store.new_place()) as bench:
        for number in range(1, rounds + 1):
            with bench.workers((), ()), Pauses() as pauses_seen:
                plain, mixed = (_mixed(bench, with_coroutines=each) for each in (False, True))
            rows.append(
                f"| {number} | {len(plain)} | **{longest_coincidence(plain, 4) * 1000:.0f}** | "
                f"{longest_coincidence(mixed, 4) * 1000:.0f} | {pauses_seen.longest * 1000:.0f} |"
            )
    return rows


def _mixed(bench: Bench, *, with_coroutines: bool) -> list[Life]:
    """Run short and long tasks that come faster than two workers do them, then slower; return the ordinary ones' lives."""
    path = bench.new_file()
    ordinary: list[int] = []
    number = 0
    for mean in (0.01, 0.1, 0.02):
        gap = pauses(mean)
        until = time.monotonic() + 7
        while time.monotonic() < until:
            seconds = random.choice((0.0, 0.0, 0.0, 0.01, 0.05, 0.3, 1.0))
            if with_coroutines and random.random() < 0.3:
                bench.enqueue("rest_in_loop", path, (number, seconds))
            else:
                bench.enqueue("rest", path, (number, seconds))
                ordinary.append(number)
            number += 1
            time.sleep(min(next(gap), 0.5))
    ended(path, number)
    found = lives(path, bench.enqueued)
    return [found[each] for each in ordinary]


class Pauses:
    """Sleeps for moments, and notes how much too long: what any process waits for a processor on this machine."""

    longest = 0.0

    def __enter__(self) -> Self:
        self._closing = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._closing.set()

    def _watch(self) -> None:
        while not self._closing.is_set():
            began = time.perf_counter()
            time.sleep(0.005)
            self.longest = max(self.longest, time.perf_counter() - began - 0.005)


#: Name → (measurement, heading).
PARTS: dict[str, tuple[Callable[[Store, int], list[str]], str]] = {
    "processes": (processes, "CPU-bound tasks on two processes"),
    "coroutines": (coroutines, "200 sleeping coroutines of a second, one process"),
    "latency": (latency, "From enqueue to begin"),
    "coincidence": (coincidence, "A slot idle while a task waits"),
}
