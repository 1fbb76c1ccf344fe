"""Which tasks there are, by chance, and what becomes of each whatever happens."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from reinhardt_tasks.jobs import TaskStatus

from . import tasks

RAISED = "builtins.ValueError"
LOST = "reinhardt_tasks.exceptions.WorkerLost"
#: An atomic task also fails by a store that goes away under it.
WRITE_ATTEMPTS = 8


@dataclass(frozen=True, kw_only=True)
class Errand:
    """One task. `failures` are the exceptions of its own that its history ends with, in this order."""

    number: int
    task: Any
    args: tuple[Any, ...] = ()
    status: TaskStatus = TaskStatus.SUCCESS
    failures: tuple[str, ...] = ()
    #: It ends every process that runs it.
    is_poison: bool = False
    #: It ends the first process that runs it.
    kills_once: bool = False
    is_atomic: bool = False

    @property
    def kind(self) -> str:
        name: str = self.task.name
        return name

    def __str__(self) -> str:
        return f"Task {self.number} ({self.kind}{self.args})"


#: Makes an errand's facts; the shares are per thousand.
Maker = Callable[[random.Random], dict[str, Any]]


def _of(task: Any, **facts: Any) -> Maker:
    return lambda rng: {"task": task, **facts}


def _for_a_while(task: Any, least: float, most: float) -> Maker:
    return lambda rng: {"task": task, "args": (round(rng.uniform(least, most), 2),)}


def _raising(task: Any, attempts: int) -> Maker:
    def make(rng: random.Random) -> dict[str, Any]:
        times = rng.randint(1, attempts)
        failed = times == attempts
        return {
            "task": task,
            "args": (times,),
            "failures": (RAISED,) * times,
            "status": TaskStatus.FAILURE if failed else TaskStatus.SUCCESS,
        }

    return make


def _writing(database: str) -> Maker:
    def make(rng: random.Random) -> dict[str, Any]:
        times = rng.choice((0, 0, 0, 1, WRITE_ATTEMPTS))
        return {
            "task": tasks.write,
            "args": (database, times, round(rng.choice((0.0, 0.0, rng.uniform(0.0, 0.1))), 3)),
            "failures": (RAISED,) * times,
            "status": TaskStatus.FAILURE if times == WRITE_ATTEMPTS else TaskStatus.SUCCESS,
            "is_atomic": True,
        }

    return make


def _failing(task: Any, *failures: str) -> Maker:
    return _of(task, status=TaskStatus.FAILURE, failures=failures)


#: (share of a thousand, at least so many, at most so many, maker).
_KINDS: tuple[tuple[int, int, int | None, Maker], ...] = (
    (80, 10, None, _for_a_while(tasks.long, 0.1, 1.0)),
    (20, 3, None, _for_a_while(tasks.sleep, 0.2, 1.5)),
    (10, 2, 60, _for_a_while(tasks.hold_the_global_lock, 0.05, 0.5)),
    (100, 20, None, _for_a_while(tasks.later, 0.05, 2.0)),
    (60, 10, None, _raising(tasks.fail, 3)),
    (20, 3, None, _raising(tasks.fail_later, 3)),
    (10, 2, None, _failing(tasks.leave, "builtins.SystemExit", "builtins.SystemExit")),
    (5, 2, None, _failing(tasks.dawdle, "reinhardt_tasks.exceptions.TaskTimeout")),
    (10, 2, None, _failing(tasks.tell_what_cannot_be_told, "reinhardt_tasks.exceptions.SerializationFailed")),
    (3, 6, 60, lambda rng: {"task": tasks.leak, "args": (rng.randint(20, 40),)}),
    # Each of these ends up to three processes, and a supervisor makes growing pauses between such ends.
    (1, 1, 12, _of(tasks.exit_once, kills_once=True)),
    (1, 1, 6, _of(tasks.exit_always, status=TaskStatus.FAILURE, is_poison=True)),
    (1, 1, 12, _of(tasks.segfault, status=TaskStatus.FAILURE, is_poison=True)),
)
_ATOMIC_SHARE = 100


def plan_errands(rng: random.Random, count: int, database: str | None) -> list[Errand]:
    """Return `count` errands in the order in which they are enqueued; atomic ones where there is a database for them."""
    kinds = [*_KINDS, (_ATOMIC_SHARE, 10, None, _writing(database))] if database else _KINDS
    makers: list[Maker] = []
    for share, least, most, maker in kinds:
        number = max(least, count * share // 1000)
        makers += [maker] * (number if most is None else min(number, most))
    makers += [_of(tasks.short)] * (count - len(makers))
    rng.shuffle(makers)
    return [Errand(number=number, **maker(rng)) for number, maker in enumerate(makers[:count])]


def summary(errands: Sequence[Errand]) -> str:
    """Return how many errands of each kind there are, in one line."""
    kinds = Counter(errand.kind for errand in errands)
    return f"{len(errands)} tasks: " + ", ".join(f"{number} {kind}" for kind, number in kinds.most_common())
