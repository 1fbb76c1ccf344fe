"""What a task logs is kept with it: its own lines only, bounded, whatever LOGGING says of handlers, and at no risk to the task."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from reinhardt_tasks import LogLine
from reinhardt_tasks._compat import task_finished
from reinhardt_tasks.brokers.memory import MemoryBroker
from reinhardt_tasks.exceptions import Retry, TaskTimeout
from reinhardt_tasks.jobs import Job, TaskStatus
from reinhardt_tasks.log_capture import MESSAGE_LETTERS, TRACEBACK_LETTERS, KeptLines, listening
from reinhardt_tasks.log_lines import ATTEMPT_LETTERS, AttemptLog, decode_log
from reinhardt_tasks.options import BackendOptions
from reinhardt_tasks.tasks import task

from .running import AT_ONCE, Door, ended, enqueued, run_all, stored, working

logger = logging.getLogger("tests.shop")
own = logging.getLogger("tests.kitchen")
barrier = threading.Barrier(2)
together: list[asyncio.Event] = []


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker()


@pytest.fixture(autouse=True)
def levels() -> Iterator[None]:
    """LOGGING as a project may have it: INFO of its own loggers, one of which passes nothing on."""
    logger.setLevel(logging.INFO)
    own.setLevel(logging.INFO)
    own.propagate = False
    barrier.reset()
    together.clear()
    yield
    logger.setLevel(logging.NOTSET)
    own.setLevel(logging.NOTSET)
    own.propagate = True


@pytest.fixture
def bare(broker: MemoryBroker) -> Callable[..., None]:
    """Return what runs a worker where the root has no handler: pytest puts its own there for each test."""

    def run_bare(options: BackendOptions | None = None) -> None:
        root, handlers = logging.getLogger(), logging.getLogger().handlers
        root.handlers = []
        try:
            run_all(broker, options)
        finally:
            root.handlers = handlers

    return run_bare


@task
def say(*words: Any, level: int = logging.INFO) -> None:
    for word in words:
        logger.log(level, "said %s", word)


@task
async def say_later(*words: Any) -> None:
    for word in words:
        await asyncio.sleep(0)
        logger.info("said %s", word)


@task
def say_nothing() -> None:
    return None


@task(max_attempts=3)
def fail_twice(counted: str) -> None:
    logger.warning("%s tries", counted)
    _tries.append(counted)
    if len(_tries) < 3:
        raise ValueError(counted)


_tries: list[str] = []


def logs(broker: MemoryBroker, job: Job) -> tuple[AttemptLog, ...]:
    return decode_log(stored(broker, job).log)


def lines(broker: MemoryBroker, job: Job) -> list[LogLine]:
    return [line for log in logs(broker, job) for line in log.lines]


def messages(broker: MemoryBroker, job: Job) -> list[str]:
    return [line.message for line in lines(broker, job)]


def test_lines_of_functions_and_coroutines_are_kept_with_time_level_and_logger(broker: MemoryBroker) -> None:
    before = time.time()
    one, two = enqueued(broker, say, "a", "b"), enqueued(broker, say_later, "c")
    run_all(broker)
    assert messages(broker, one) == ["said a", "said b"]
    (line,) = lines(broker, two)
    assert (line.level, line.logger, line.message, line.attempt) == ("INFO", "tests.shop", "said c", 1)
    assert before - 1 < line.at.timestamp() < time.time() + 1


@task
def meet(name: str) -> None:
    for number in range(5):
        barrier.wait(30)
        logger.info("%s %d", name, number)


@task
async def meet_later(name: str) -> None:
    together.append(asyncio.Event())
    while len(together) < 2:
        await asyncio.sleep(0)
    for number in range(5):
        await asyncio.sleep(0)
        logger.info("%s %d", name, number)
        await asyncio.gather(*(asyncio.to_thread(logger.info, "%s in a thread", name) for _ in range(1)))


def test_neighbours_in_threads_do_not_mix(broker: MemoryBroker) -> None:
    jobs = {name: enqueued(broker, meet, name) for name in "ab"}
    run_all(broker, concurrency=2)
    for name, job in jobs.items():
        assert messages(broker, job) == [f"{name} {number}" for number in range(5)]


def test_neighbours_among_coroutines_do_not_mix(broker: MemoryBroker) -> None:
    jobs = {name: enqueued(broker, meet_later, name) for name in "ab"}
    run_all(broker)
    for name, job in jobs.items():
        expected = [word for number in range(5) for word in (f"{name} {number}", f"{name} in a thread")]
        assert messages(broker, job) == expected


def test_every_attempt_has_its_own_lines(broker: MemoryBroker) -> None:
    _tries.clear()
    job = enqueued(broker, fail_twice, "it")
    run_all(broker)
    assert stored(broker, job).status is TaskStatus.SUCCESS
    assert [(line.attempt, line.level, line.message) for line in lines(broker, job)] == [
        (1, "WARNING", "it tries"),
        (2, "WARNING", "it tries"),
        (3, "WARNING", "it tries"),
    ]


@task(max_attempts=1)
def ask_again() -> None:
    logger.info("once more")
    raise Retry


@task(timeout=0.1, max_attempts=1)
def run_too_long() -> None:
    logger.info("it begins")
    while True:
        time.sleep(0.001)


_begun = threading.Event()


@task(max_attempts=1)
async def run_until_cancelled() -> None:
    logger.info("it begins")
    _begun.set()
    await asyncio.sleep(120)


def test_an_attempt_that_fails_or_is_stopped_keeps_what_it_logged(broker: MemoryBroker) -> None:
    jobs = [enqueued(broker, ask_again), enqueued(broker, run_too_long)]
    run_all(broker)
    assert [stored(broker, job).status for job in jobs] == [TaskStatus.FAILURE] * 2
    assert [messages(broker, job) for job in jobs] == [["once more"], ["it begins"]]

    options = BackendOptions(lease=1.5, backoff=AT_ONCE)
    with working(broker, options):
        job = enqueued(broker, run_until_cancelled)
        assert _begun.wait(30)
        broker.cancel([job.id])
        (job,) = ended(broker, job)
    assert job.status is TaskStatus.CANCELLED
    assert messages(broker, job) == ["it begins"]


def test_a_task_that_logs_nothing_leaves_nothing_though_others_log_about_it(broker: MemoryBroker) -> None:
    # Django logs each task that starts and ends, in its context.
    for name in ("django.tasks", "django_tasks"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    try:
        job = enqueued(broker, say_nothing)
        run_all(broker)
    finally:
        for name in ("django.tasks", "django_tasks"):
            logging.getLogger(name).setLevel(logging.NOTSET)
    assert stored(broker, job).log is None


def test_only_the_newest_lines_are_kept_and_it_is_told_how_many_are_not(broker: MemoryBroker) -> None:
    job = enqueued(broker, say, *range(250))
    run_all(broker)
    (log,) = logs(broker, job)
    assert log.dropped == 150
    assert [line.message for line in log.lines] == [f"said {number}" for number in range(150, 250)]


def test_long_lines_are_cut_and_all_together_are_bounded(broker: MemoryBroker) -> None:
    job = enqueued(broker, say, "x" * 10_000, "end")
    many = enqueued(broker, say, *("y" * 10_000 for _ in range(90)))
    run_all(broker)
    first, _last = messages(broker, job)
    assert len(first) == MESSAGE_LETTERS and first.endswith("x…")
    (log,) = logs(broker, many)
    assert ATTEMPT_LETTERS / 2 < sum(len(line.message) for line in log.lines) <= ATTEMPT_LETTERS
    assert log.dropped == 90 - len(log.lines) > 0


@pytest.mark.parametrize("letter", ["あ", "\N{PILE OF POO}", "\n"])
def test_what_is_bounded_is_the_text_as_it_is_stored(broker: MemoryBroker, letter: str) -> None:
    _tries.clear()
    job = enqueued(broker, fail_twice_at_length, letter * MESSAGE_LETTERS)
    run_all(broker)
    assert [log.attempt for log in logs(broker, job)] == [1, 2, 3]
    for log, row in zip(logs(broker, job), str(stored(broker, job).log).splitlines(keepends=True), strict=True):
        assert ATTEMPT_LETTERS / 2 < len(row) <= ATTEMPT_LETTERS
        assert log.dropped == 90 - len(log.lines) > 0


@task(max_attempts=3)
def fail_twice_at_length(words: str) -> None:
    for _ in range(90):
        logger.info("%s", words)
    _tries.append(words)
    if len(_tries) < 3:
        raise ValueError


def test_a_line_that_is_longer_than_that_is_kept(broker: MemoryBroker) -> None:
    job = enqueued(broker, log_an_exception_at_length)
    run_all(broker)
    (log,) = logs(broker, job)
    assert (len(log.lines), log.dropped) == (1, 1)
    assert len(stored(broker, job).log or "") > ATTEMPT_LETTERS


@task
def log_an_exception_at_length() -> None:
    logger.info("before")
    try:
        raise ValueError("\N{PILE OF POO}" * 5000)
    except ValueError:
        logger.exception("\N{PILE OF POO}" * 5000)


@task
def log_an_exception() -> None:
    try:
        raise ValueError("z" * 5000 + " the end")
    except ValueError:
        logger.exception("It went wrong")


def test_an_exception_stands_beneath_its_message_and_is_cut(broker: MemoryBroker) -> None:
    job = enqueued(broker, log_an_exception)
    run_all(broker)
    (line,) = lines(broker, job)
    head, tail = line.message.split("\n", 1)
    assert (line.level, head) == ("ERROR", "It went wrong")
    assert len(tail) == TRACEBACK_LETTERS and tail.startswith("…z") and tail.endswith(" the end")


class Unspeakable:
    def __init__(self, exc: BaseException) -> None:
        self._exc = exc

    def __str__(self) -> str:
        raise self._exc


class Talkative:
    def __str__(self) -> str:
        logger.info("I am %s", self)
        return "talkative"


@task
def log_what_cannot_be_logged() -> str:
    logger.info("%d", "no number")
    logger.info("%s", Unspeakable(RuntimeError("no")))
    logger.info("%s", Unspeakable(SystemExit()))
    logger.info("%s", Talkative())
    logger.info("half a pair \ud83d, and \x00")
    return "unharmed"


def test_a_line_that_cannot_be_written_harms_nobody(broker: MemoryBroker, bare: Callable[..., None]) -> None:
    job = enqueued(broker, log_what_cannot_be_logged)
    bare()
    assert stored(broker, job).result == '"unharmed"'
    assert messages(broker, job) == [
        "(This line could not be kept: builtins.TypeError)",
        "(This line could not be kept: builtins.RuntimeError)",
        "(This line could not be kept: builtins.SystemExit)",
        "talkative",
        "half a pair \\ud83d, and \\x00",
    ]


def test_what_is_to_stop_the_task_goes_through() -> None:
    kept = KeptLines(1, 10, logging.INFO)
    record = logger.makeRecord("x", logging.INFO, "f", 1, Unspeakable(TaskTimeout("over")), (), None)
    with kept, pytest.raises(TaskTimeout):
        kept.hear(record)


@task
def log_everywhere() -> None:
    logger.debug("quiet")
    own.info("passes nothing on")
    logging.getLogger("tests.shop.till").info("below")
    logging.getLogger("tests.elsewhere").info("as quiet as the root")
    logging.getLogger("tests.elsewhere").warning("loud")


def test_what_the_levels_let_through_is_kept_whatever_the_handlers(broker: MemoryBroker) -> None:
    job = enqueued(broker, log_everywhere)
    run_all(broker)
    assert messages(broker, job) == ["passes nothing on", "below", "loud"]


def test_what_a_loggers_filter_stops_is_not_kept(broker: MemoryBroker) -> None:
    def polite(record: logging.LogRecord) -> bool:
        return "rude" not in record.getMessage()

    job = enqueued(broker, say, "rude", "kind")
    logger.addFilter(polite)
    try:
        run_all(broker)
    finally:
        logger.removeFilter(polite)
    assert messages(broker, job) == ["said kind"]


def test_the_level_is_an_option(broker: MemoryBroker) -> None:
    loud, quiet = enqueued(broker, say, "a", level=logging.WARNING), enqueued(broker, say, "b")
    run_all(broker, BackendOptions(log_level=logging.WARNING))
    assert (messages(broker, loud), stored(broker, quiet).log) == (["said a"], None)


@task
def tell_of_logging() -> list[bool]:
    before: Any = sys.modules[__name__].call_handlers_before
    return [logging.getLogger().hasHandlers(), logging.Logger.callHandlers is before]


call_handlers_before: Any = logging.Logger.callHandlers


def test_switched_off_nothing_is_kept_and_nothing_listens(broker: MemoryBroker, bare: Callable[..., None]) -> None:
    job, other = enqueued(broker, say, "a"), enqueued(broker, tell_of_logging)
    bare(BackendOptions(log_lines=0))
    assert stored(broker, job).log is None
    assert stored(broker, other).result == "[false,true]"


def test_nobody_listens_after_the_worker_and_the_root_has_no_handler_while_it_works(
    broker: MemoryBroker, bare: Callable[..., None]
) -> None:
    job = enqueued(broker, tell_of_logging)
    with listening():
        bare()
        assert logging.Logger.callHandlers is not call_handlers_before
    assert stored(broker, job).result == "[false,false]"
    assert logging.Logger.callHandlers is call_handlers_before


def test_python_still_prints_warnings_of_a_project_without_handlers(
    broker: MemoryBroker, bare: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    job = enqueued(broker, say, "it", level=logging.WARNING)
    bare()
    assert messages(broker, job) == ["said it"]
    assert capsys.readouterr().err.splitlines().count("said it") == 1


def test_somebody_else_may_wrap_it_meanwhile(broker: MemoryBroker) -> None:
    heard = []
    with listening():
        ours = logging.Logger.callHandlers

        def theirs(self: logging.Logger, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())
            ours(self, record)

        logging.Logger.callHandlers = theirs  # type: ignore[method-assign]
    job = enqueued(broker, say, "it")
    run_all(broker)
    assert logging.Logger.callHandlers is theirs
    # And not twice over.
    assert messages(broker, job) == ["said it"] and heard.count("said it") == 1
    # As they would undo it.
    with listening():
        logging.Logger.callHandlers = ours  # type: ignore[method-assign]
    assert logging.Logger.callHandlers is call_handlers_before


def test_it_listens_again_when_somebody_has_put_back_what_was_before_it(broker: MemoryBroker) -> None:
    with listening():
        logging.Logger.callHandlers = call_handlers_before  # type: ignore[method-assign]
    job = enqueued(broker, say, "it")
    run_all(broker)
    assert messages(broker, job) == ["said it"]
    assert logging.Logger.callHandlers is call_handlers_before


@task
async def leave_something_behind() -> None:
    logger.info("in time")
    _left.append(asyncio.get_running_loop().call_later(0.01, logger.info, "too late"))
    _left.append(asyncio.create_task(_log_late()))


async def _log_late() -> None:
    await asyncio.sleep(0.01)
    logger.info("too late")
    _logged.set()


_left: list[Any] = []
_logged = threading.Event()


def test_what_a_task_leaves_behind_logs_for_nobody(broker: MemoryBroker) -> None:
    def let_it_log(**facts: Any) -> None:
        assert _logged.wait(30)

    # Told before the outcome is made.
    task_finished.connect(let_it_log, sender=Door)
    try:
        job = enqueued(broker, leave_something_behind)
        run_all(broker)
    finally:
        task_finished.disconnect(let_it_log, sender=Door)
    assert messages(broker, job) == ["in time"]


@task
def say_inside() -> None:
    logger.info("inside")


@task
def call_inside() -> None:
    logger.info("before")
    say_inside.using(backend="inside").enqueue()
    logger.info("after")


def test_what_an_immediate_task_logs_inside_of_a_task_is_that_ones(broker: MemoryBroker, settings: Any) -> None:
    settings.TASKS = {**settings.TASKS, "inside": {"BACKEND": "reinhardt_tasks.backends.ImmediateBackend"}}
    job = enqueued(broker, call_inside)
    run_all(broker)
    # Django 6 tells there of the inner task, too.
    own = [line.message for line in lines(broker, job) if line.logger == logger.name]
    assert own == ["before", "inside", "after"]
