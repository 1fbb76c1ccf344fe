"""`captured_tasks()`: while it lasts, what is enqueued lies in this process's memory, and only the test runs it."""

from __future__ import annotations

import unittest
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from asgiref.sync import sync_to_async

from .._compat import CoreTask
from ..backends.base import ReinhardtBackend
from ..backends.stand_ins import stand_ins
from ..registry import task_of
from ..results import TaskResult, result_of
from .broker import CapturedBroker
from .clock import Clock
from .draining import Drain
from .faults import Fault, Kind
from .matching import Expected, complaint, listing, times_text, waiting_note


class CapturedTasks:
    """What the code under test has enqueued, on any alias, and the ways to look at it and to run it."""

    def __init__(self, outer: CapturedTasks | None = None) -> None:
        self._outer = outer
        self._clock: Clock = Clock(outer._clock.ahead if outer else timedelta(0))
        self._brokers: dict[str, CapturedBroker] = {}
        self._faults: list[Fault] = []
        self._cleared: set[str] = set()
        for broker in outer._brokers.values() if outer else ():
            self._broker_of(broker.backend)

    @property
    def now(self) -> datetime:
        """The time as the captured tasks have it."""
        return self._clock.now()

    def enqueued(
        self,
        task: CoreTask | None = None,
        *,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        queue_name: str | None = None,
    ) -> list[TaskResult[Any]]:
        """Return what was enqueued, oldest first, run since or not; with `task` and more, what fits. See assert_enqueued()."""
        every = self._every()
        if task is None:
            if args is not None or kwargs is not None:
                raise TypeError("enqueued() needs the task whose args and kwargs those are.")
            return [one for one in every if queue_name in (None, one.task.queue_name)]
        return list(filter(Expected(task, args, kwargs, queue_name).fits, every))

    def assert_enqueued(
        self,
        task: CoreTask,
        *,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        queue_name: str | None = None,
        count: int | None = None,
    ) -> list[TaskResult[Any]]:
        """Return the tasks that fit, run since or not; fail, showing what there is, where there are none, or not `count`.

        `args` (with `kwargs`) is the whole call, however it was written: `f(1, 2)` is `f(1, b=2)`. `kwargs` alone names some
        of the parameters, and the others may be anything.
        """
        __tracebackhide__ = True
        expected = Expected(task, args, kwargs, queue_name)
        every = self._every()
        found = list(filter(expected.fits, every))
        if len(found) != count if count is not None else not found:
            raise AssertionError(complaint(expected, found, every, "at all" if count is None else times_text(count)))
        return found

    def assert_nothing_enqueued(self, task: CoreTask | None = None) -> None:
        """Fail, showing what there is, where anything was enqueued (of `task`)."""
        __tracebackhide__ = True
        if found := self.enqueued(task):
            what = "Nothing" if task is None else f"No {task.module_path}"
            raise AssertionError(f"{what} was to be enqueued. {listing(found)}")
        if task is None and (note := waiting_note()):
            raise AssertionError(f"Nothing was enqueued so far, but something may be.{note}")

    def clear(self) -> None:
        """Forget what was enqueued so far, and has not run: it never will."""
        for broker in self._brokers.values():
            self._cleared.update(broker.give_up())

    def drain(
        self,
        *,
        queue_name: str | None = None,
        retries: bool = True,
        on_commit: bool = False,
        raise_failures: bool = True,
        limit: int = 1000,
    ) -> list[TaskResult[Any]]:
        """Run here what is ready, and what that enqueues; return the results of what was run, each task once.

        What is to be retried is run again at once, its delay skipped; with `retries=False` it waits for `travel()`. What is
        to run later (`run_after`) waits in any case. `on_commit` runs the callbacks first that wait for a commit in a
        TestCase. Raise TasksFailed at the end where tasks failed for good, AssertionError after `limit` runs.
        """
        drain = self._drain(queue_name, retries, on_commit, limit)
        while (delivery := drain.next(self._brokers)) is not None:
            drain.ended(delivery, drain.run(delivery))
        return drain.finish(raise_failures)

    async def adrain(
        self,
        *,
        queue_name: str | None = None,
        retries: bool = True,
        on_commit: bool = False,
        raise_failures: bool = True,
        limit: int = 1000,
    ) -> list[TaskResult[Any]]:
        """See drain(). Coroutine functions run in the running loop."""
        drain = self._drain(queue_name, retries, on_commit, limit)
        while (delivery := await sync_to_async(drain.next)(self._brokers)) is not None:
            drain.ended(delivery, await drain.arun(delivery))
        return drain.finish(raise_failures)

    def travel(self, to: timedelta | datetime, *, schedules: bool = False) -> None:
        """Move time forward, by a timedelta or to a moment, for captured tasks and `django.utils.timezone.now()`.

        Nothing runs by that: what has become due runs with the next `drain()`. With `schedules`, the project's schedules
        enqueue their tasks on the way, each slot at its time; it needs their database.
        """
        moment = self._clock.moment(to)
        if schedules:
            from .schedules import travel_by_schedules

            travel_by_schedules(self._clock, moment)
        else:
            self._clock.move(moment)

    async def atravel(self, to: timedelta | datetime, *, schedules: bool = False) -> None:
        """See travel()."""
        await sync_to_async(self.travel)(to, schedules=schedules)

    @contextmanager
    def kill_after_claim(self, task: CoreTask | None = None, *, times: int = 1) -> Iterator[None]:
        """Let the worker die that claims the task, before it runs it; each task (of `task`) loses `times` workers.

        It is rescued, and runs again, as after a `kill -9`. Fail where nothing was drained to which that could happen.
        """
        with self._fault(Kind.AFTER_CLAIM, task, times):
            yield

    @contextmanager
    def kill_before_settle(self, task: CoreTask | None = None, *, times: int = 1) -> Iterator[None]:
        """Let the worker die when the task's body has run, before that is recorded. See kill_after_claim()."""
        with self._fault(Kind.BEFORE_SETTLE, task, times):
            yield

    @contextmanager
    def duplicate_delivery(self, task: CoreTask | None = None, *, times: int = 1) -> Iterator[None]:
        """Run the task's body twice: its worker was taken for dead and was not, so another one runs it too.

        What the first one says afterwards is refused. See kill_after_claim().
        """
        with self._fault(Kind.TWICE, task, times):
            yield

    @contextmanager
    def _fault(self, kind: Kind, task: CoreTask | None, times: int) -> Iterator[None]:
        fault = Fault(kind, None if task is None else task.module_path, times)
        self._faults.append(fault)
        try:
            yield
        finally:
            self._faults.remove(fault)
        if not fault.struck:
            raise AssertionError(
                f"No task{'' if task is None else f' {task.module_path}'} was run here, so nothing was put to the test. "
                f"Enqueue it, and call drain() in this block.{waiting_note()}"
            )

    def _drain(self, queue_name: str | None, retries: bool, on_commit: bool, limit: int) -> Drain:
        return Drain(self._faults, queue_name=queue_name, retries=retries, on_commit=on_commit, limit=limit)

    def _every(self) -> list[TaskResult[Any]]:
        jobs = [job for broker in self._brokers.values() for job in broker.jobs() if job.id not in self._cleared]
        return [result_of(job, task_of(job)) for job in sorted(jobs, key=lambda job: job.id)]

    def _broker_of(self, backend: ReinhardtBackend) -> CapturedBroker:
        """Return what stands in for the backend's broker: for one alias the same one, from whatever thread that is asked."""
        known = self._brokers.get(backend.alias)
        if known is not None:
            known.backend = backend
            return known
        broker = CapturedBroker(backend, self._clock)
        if self._outer is not None and (outer := self._outer._brokers.get(backend.alias)) is not None:
            # Enqueued for all tests of a class; each test runs it anew.
            broker.enqueue(outer.waiting())
        return self._brokers.setdefault(backend.alias, broker)


#: Those that last just now, the innermost last.
_lasting: list[CapturedTasks] = []


@contextmanager
def captured_tasks() -> Iterator[CapturedTasks]:
    """Capture what is enqueued while this lasts, in any thread of this process, on each alias that has a store.

    A capture inside of another begins with what waits in that one, and leaves it as it was.
    """
    tasks = CapturedTasks(_lasting[-1] if _lasting else None)
    _lasting.append(tasks)
    try:
        with stand_ins(tasks._broker_of):
            yield tasks
    finally:
        _lasting.remove(tasks)
        tasks._clock.close()


class CapturedTasksMixin(unittest.TestCase):
    """For test cases, before Django's class: `self.tasks` has captured what the test, and what is set up for it, enqueues."""

    tasks: CapturedTasks

    @classmethod
    def setUpClass(cls) -> None:
        # For setUpTestData, which Django calls from here.
        cls.enterClassContext(captured_tasks())
        super().setUpClass()

    def run(self, result: unittest.TestResult | None = None) -> unittest.TestResult | None:
        with captured_tasks() as self.tasks:
            return super().run(result)

    def debug(self) -> None:
        with captured_tasks() as self.tasks:
            super().debug()
