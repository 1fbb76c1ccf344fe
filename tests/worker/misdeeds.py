"""What tasks, and what surrounds them, may do to the thread or the loop that they run in."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from reinhardt_tasks._compat import task_finished, task_started
from reinhardt_tasks.carriers import Carrier, add_carrier, remove_carrier
from reinhardt_tasks.contexts import TaskContext
from reinhardt_tasks.followers import FOLLOWERS
from reinhardt_tasks.jobs import Claim, Outcome
from reinhardt_tasks.signals import task_retried
from reinhardt_tasks.tasks import task

from .running import Door

#: Of no tree: whatever else would print is not asked here.
logger = logging.Logger("tests.misdeeds")
logger.addHandler(logging.NullHandler())


class Unheard(BaseException):
    """Of no kind that anybody expects."""


class Veiled(Exception):
    """Whoever looks at it, to log it or to ask what it is, is told to leave."""

    @property
    def __class__(self) -> type:
        raise SystemExit("nobody looks at me")

    @__class__.setter
    def __class__(self, value: type) -> None: ...


class Incomparable:
    """As an array, or worse."""

    def __init__(self, problem: BaseException) -> None:
        self.problem = problem

    def __eq__(self, other: object) -> bool:
        raise self.problem

    __hash__ = None  # type: ignore[assignment]


class Unreadable(dict[str, Any]):
    """JSON cannot even look into it."""

    def __init__(self, problem: BaseException) -> None:
        super().__init__(a=1)
        self.problem = problem

    def items(self) -> Any:
        raise self.problem


class Unspeakable:
    def __init__(self, problem: BaseException) -> None:
        self.problem = problem

    def __str__(self) -> str:
        raise self.problem


#: What is raised.
PROBLEMS: dict[str, Callable[[], BaseException]] = {
    kind.__name__: kind
    for kind in [
        ValueError,
        SystemExit,
        KeyboardInterrupt,
        GeneratorExit,
        StopIteration,
        StopAsyncIteration,
        MemoryError,
        RecursionError,
        asyncio.CancelledError,
        Unheard,
        Veiled,
    ]
}

Deed = Callable[[TaskContext, BaseException], Any]


def raise_it(context: TaskContext, problem: BaseException) -> None:
    raise problem


def raise_it_from_its_notes(context: TaskContext, problem: BaseException) -> None:
    context.metadata["scores"] = Incomparable(problem)


def raise_it_from_its_value(context: TaskContext, problem: BaseException) -> Any:
    return Unreadable(problem)


def raise_it_from_its_log(context: TaskContext, problem: BaseException) -> None:
    logger.warning(Unspeakable(problem))


def raise_it_without_a_record(context: TaskContext, problem: BaseException) -> None:
    object.__setattr__(context.task_result, "errors", None)
    raise problem


def do_nothing(context: TaskContext, problem: BaseException) -> None:
    pass


#: Done by the task.
DEEDS: dict[str, Deed] = {
    deed.__name__: deed
    for deed in [
        raise_it,
        raise_it_from_its_notes,
        raise_it_from_its_value,
        raise_it_from_its_log,
        raise_it_without_a_record,
    ]
}


@task(takes_context=True, metadata={"scores": None})
def misbehave(context: TaskContext, deed: str, problem: str) -> Any:
    return DEEDS[deed](context, PROBLEMS[problem]())


@task(takes_context=True, metadata={"scores": None})
async def misbehave_later(context: TaskContext, deed: str, problem: str) -> Any:
    await asyncio.sleep(0)
    return DEEDS[deed](context, PROBLEMS[problem]())


@task
def fail() -> None:
    raise ValueError("no")


@task
async def fail_later() -> None:
    raise ValueError("no")


@task
def behave() -> str:
    return threading.current_thread().name


@task
async def behave_later() -> str:
    await asyncio.sleep(0)
    return threading.current_thread().name


# What surrounds a task. Each strikes once.

Surroundings = Callable[[BaseException, Any], AbstractContextManager[None]]


class Once:
    """Raises the first time that it is called."""

    def __init__(self, problem: BaseException, instead_of: Callable[..., Any] = lambda *args, **kwargs: None) -> None:
        self.problem: BaseException | None = problem
        self.instead_of = instead_of

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.problem is not None:
            problem, self.problem = self.problem, None
            raise problem
        return self.instead_of(*args, **kwargs)


@contextmanager
def _heard(signal: Any, problem: BaseException) -> Iterator[None]:
    receiver = Once(problem)
    signal.connect(receiver, sender=Door, weak=False)
    try:
        yield
    finally:
        signal.disconnect(receiver, sender=Door)


def a_receiver_of_the_start(problem: BaseException, monkeypatch: Any) -> AbstractContextManager[None]:
    return _heard(task_started, problem)


def a_receiver_of_the_end(problem: BaseException, monkeypatch: Any) -> AbstractContextManager[None]:
    return _heard(task_finished, problem)


def a_receiver_of_a_retry(problem: BaseException, monkeypatch: Any) -> AbstractContextManager[None]:
    return _heard(task_retried, problem)


def whoever_hears_of_the_beginning(problem: BaseException, monkeypatch: Any) -> AbstractContextManager[None]:
    began = Once(problem, lambda execution: None)
    monkeypatch.setattr("reinhardt_tasks.worker.worker.Worker._began", lambda worker, execution: began(execution))
    return nullcontext()


def reading_the_arguments(problem: BaseException, monkeypatch: Any) -> AbstractContextManager[None]:
    from reinhardt_tasks.serialization import decode_call

    monkeypatch.setattr("reinhardt_tasks.execution.decode_call", Once(problem, decode_call))
    return nullcontext()


def reading_what_it_logged(problem: BaseException, monkeypatch: Any) -> AbstractContextManager[None]:
    from reinhardt_tasks.execution import Execution

    monkeypatch.setattr("reinhardt_tasks.execution.Execution._with_log", _method(Once(problem, Execution._with_log)))
    return nullcontext()


def tidying_up(problem: BaseException, monkeypatch: Any) -> AbstractContextManager[None]:
    from reinhardt_tasks.worker.connections import tidy_connections

    once = Once(problem, tidy_connections)
    for place in ("threads", "loop"):
        monkeypatch.setattr(f"reinhardt_tasks.worker.{place}.tidy_connections", once)
    return nullcontext()


def the_last_resort_but_one(problem: BaseException, monkeypatch: Any) -> AbstractContextManager[None]:
    from reinhardt_tasks.execution import Execution

    reading_what_it_logged(problem, monkeypatch)
    monkeypatch.setattr("reinhardt_tasks.execution.Execution.fail", _method(Once(problem, Execution.fail)))
    return nullcontext()


def _method(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, *args, **kwargs: function(self, *args, **kwargs)


class _Guard:
    def __init__(self, enter: Callable[..., Any], leave: Callable[..., Any]) -> None:
        self.enter, self.leave = enter, leave

    def __enter__(self) -> None:
        self.enter()

    def __exit__(self, *exc_info: object) -> None:
        self.leave()


@contextmanager
def _carried(unpack: Callable[..., Any], enter: Callable[..., Any], leave: Callable[..., Any]) -> Iterator[None]:
    class Odd(Carrier):
        def unpack(self, headers: Mapping[str, Any]) -> AbstractContextManager[None]:
            unpack()
            return _Guard(enter, leave)

    carrier = Odd()
    add_carrier(carrier)
    try:
        yield
    finally:
        remove_carrier(carrier)


def _nothing(*args: Any) -> None:
    pass


def a_carrier_that_unpacks(problem: BaseException, monkeypatch: Any) -> AbstractContextManager[None]:
    return _carried(Once(problem), _nothing, _nothing)


def a_carrier_that_is_entered(problem: BaseException, monkeypatch: Any) -> AbstractContextManager[None]:
    return _carried(_nothing, Once(problem), _nothing)


def a_carrier_that_is_left(problem: BaseException, monkeypatch: Any) -> AbstractContextManager[None]:
    return _carried(_nothing, _nothing, Once(problem))


#: The header of tasks that are followed.
HEADER = "misdeeds"


class Follower:
    def __init__(self, begin: Callable[..., Any], ended: Callable[..., Any]) -> None:
        self._begin, self._ended = begin, ended

    def begin(self, claim: Claim, note: Any, args: list[Any], kwargs: dict[str, Any]) -> Outcome | None:
        self._begin()
        return None

    def ended(self, note: Any, outcome: Outcome) -> Outcome:
        self._ended()
        return outcome

    def joins(self) -> bool:
        return False

    def tend(self, *args: Any) -> None:
        pass


def a_follower_that_is_asked(problem: BaseException, monkeypatch: Any) -> AbstractContextManager[None]:
    monkeypatch.setitem(FOLLOWERS, HEADER, Follower(Once(problem), _nothing))
    return nullcontext()


def a_follower_that_is_told(problem: BaseException, monkeypatch: Any) -> AbstractContextManager[None]:
    monkeypatch.setitem(FOLLOWERS, HEADER, Follower(_nothing, Once(problem)))
    return nullcontext()


SURROUNDINGS: dict[str, Surroundings] = {
    each.__name__: each
    for each in [
        a_receiver_of_the_start,
        a_receiver_of_the_end,
        a_receiver_of_a_retry,
        whoever_hears_of_the_beginning,
        reading_the_arguments,
        reading_what_it_logged,
        tidying_up,
        the_last_resort_but_one,
        a_carrier_that_unpacks,
        a_carrier_that_is_entered,
        a_carrier_that_is_left,
        a_follower_that_is_asked,
        a_follower_that_is_told,
    ]
}


# What a coroutine may do to its loop.


async def cancel_itself() -> None:
    task_ = asyncio.current_task()
    assert task_ is not None
    task_.cancel()


async def cancel_itself_a_moment_later() -> None:
    task_ = asyncio.current_task()
    assert task_ is not None
    asyncio.get_running_loop().call_soon(task_.cancel)


async def cancel_everybody() -> None:
    for each in asyncio.all_tasks():
        each.cancel()


async def stop_the_loop() -> None:
    asyncio.get_running_loop().stop()


async def leave_by_a_callback() -> None:
    def leave() -> None:
        raise SystemExit("a callback")

    asyncio.get_running_loop().call_soon(leave)
    await asyncio.sleep(0)


async def leave_by_a_task_of_its_own() -> None:
    async def leave() -> None:
        raise KeyboardInterrupt

    await asyncio.create_task(leave())


async def make_tasks_impossible() -> None:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        args[1].close()
        raise RuntimeError("no more tasks")

    asyncio.get_running_loop().set_task_factory(refuse)


LOOP_DEEDS = {
    deed.__name__: deed
    for deed in [
        cancel_itself,
        cancel_itself_a_moment_later,
        cancel_everybody,
        stop_the_loop,
        leave_by_a_callback,
        leave_by_a_task_of_its_own,
        make_tasks_impossible,
    ]
}


@task
async def misuse_the_loop(deed: str) -> None:
    await LOOP_DEEDS[deed]()
