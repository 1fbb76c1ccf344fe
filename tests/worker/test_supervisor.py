"""Worker processes that crash, hang, are suspended or lose their supervisor: what they held is never lost, nor held up.

Where nothing else is said the lease is so long that whatever happens here does not happen by its end.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reinhardt_tasks._compat import task_backends
from reinhardt_tasks.brokers.base import Broker, WorkerInfo
from reinhardt_tasks.jobs import Job, TaskStatus
from reinhardt_tasks.options import BackendOptions
from reinhardt_tasks.worker.board import Board
from reinhardt_tasks.worker.children import Child
from reinhardt_tasks.worker.link import Link
from reinhardt_tasks.worker.supervisor import LONGEST_PAUSE, SHARE, Supervisor
from tests import databases
from tests import tasks as plain
from tests.servers import PostgresServer, ServerMissing

from .processes import tasks_on
from .running import run_all
from .supervised import tasks
from .supervised.running import SupervisedProcess, all_gone, is_alive, lines_of, read, until

EXCEPTIONS = "reinhardt_tasks.exceptions"
ONE_THREAD = ("--concurrency", "1")
#: What waits behind a long task stays with its worker.
HOLDING = {"REINHARDT_TEST_LATE": "60"}


@pytest.fixture
def short_lease(setting: dict[str, Any], settings: Any) -> dict[str, Any]:
    settings.TASKS = tasks_on(setting["default"]["OPTIONS"]["DATABASE"], LEASE=2)
    return settings.TASKS


def broker() -> Broker:
    return task_backends["default"].broker


def jobs_of(results: list[Any]) -> list[Job]:
    found = broker().get([each.id for each in results])
    return [found[each.id] for each in results]


def job_of(result: Any) -> Job:
    return jobs_of([result])[0]


def finished(*results: Any) -> list[Job]:
    until(lambda: all(job.status.is_finished for job in jobs_of(list(results))), f"{len(results)} tasks finish")
    return jobs_of(list(results))


def is_running(result: Any) -> bool:
    return job_of(result).status is TaskStatus.RUNNING


def pid_in(lines: Path, word: str = "began") -> int:
    """Return the process that a task's last line of a kind names."""
    return int(until(lambda: lines_of(lines, word), f"a line {word!r}")[-1][-1])


def hold(lines: Path, word: str, go: Path) -> Any:
    return tasks.hold.enqueue(str(lines), word, str(go))


# Crashes


def test_a_killed_process_is_replaced_and_its_tasks_run_again_at_once(
    setting: dict[str, Any], lines: Path, go: Path
) -> None:
    with SupervisedProcess(*ONE_THREAD, processes=1, tasks=setting, **HOLDING) as worker:
        quick = plain.note.enqueue_many([((str(lines.with_name("quick")), "x"), {}) for _ in range(60)])
        finished(*quick)
        results = tasks.hold.enqueue_many([((str(lines), str(each), str(go)), {}) for each in range(20)])
        victim = pid_in(lines)
        until(lambda: sum(map(is_running, results)) > 4, "some are held beyond the one that runs")
        os.kill(victim, signal.SIGKILL)
        until(lambda: pid_in(lines) != victim, "another runs what ran")
        go.touch()
        jobs = finished(*results)
        worker.complete(1, without={victim})
        worker.stopped()
        worker.says("ended by signal 9; its tasks are given to others")
    assert {job.status for job in jobs} == {TaskStatus.SUCCESS}
    # What was held and had not begun knows nothing of it.
    (lost,) = [job for job in jobs if job.losses]
    assert [attempt.exception for attempt in lost.history] == [f"{EXCEPTIONS}.WorkerLost"]
    assert [job.history for job in jobs if job is not lost] == [()] * 19
    assert len(lines_of(lines, "began")) == 21
    assert not [each for each in broker().workers() if each.is_alive], "nobody signs in for a moment and stays"


def test_the_memory_of_each_process_is_told(setting: dict[str, Any]) -> None:
    with SupervisedProcess(*ONE_THREAD, processes=2, tasks=setting) as worker:
        pids = worker.complete()
        broker = task_backends["default"].broker

        def told() -> dict[int, int | None]:
            return {record.info.pid: record.info.memory for record in broker.workers()}

        until(lambda: set(told()) == pids and all((memory or 0) > 2**20 for memory in told().values()), "both tell it")


def test_what_another_dead_worker_ran_is_not_taken_for_untouched(
    setting: dict[str, Any], lines: Path, go: Path
) -> None:
    with SupervisedProcess(*ONE_THREAD, processes=1, tasks=setting) as first:
        result = hold(lines, "one", go)
        pid_in(lines)
        first.to_all(signal.SIGKILL)
        (record,) = broker().workers()
    with SupervisedProcess(*ONE_THREAD, processes=1, tasks=setting) as second:
        (victim,) = second.complete(1)
        # Now the first one's lease ends, and the next that looks for the dead is the second one's supervisor.
        broker().leave(record.info)
        os.kill(victim, signal.SIGKILL)
        until(lambda: len(lines_of(lines, "began")) == 2, "it runs again")
        go.touch()
        (job,) = finished(result)
        second.stopped()
    assert (job.status, job.losses) == (TaskStatus.SUCCESS, 1)


def test_a_task_that_crashes_its_process_fails_and_its_neighbours_succeed(setting: dict[str, Any], lines: Path) -> None:
    with SupervisedProcess("--concurrency", "2", tasks=setting) as worker:
        poison = tasks.segfault.enqueue(str(lines))
        others = tasks.tell_process.enqueue_many([((str(lines), 0.02), {}) for _ in range(80)])
        job, *neighbours = finished(poison, *others)
        worker.complete()
        worker.says(f"ended by signal {signal.SIGSEGV.value}", times=3)
        worker.stopped()
    assert job.status is TaskStatus.FAILURE
    assert [attempt.exception for attempt in job.history] == [f"{EXCEPTIONS}.WorkerLost"] * 3
    assert len(lines_of(lines, "segfault")) == 3
    assert {each.status for each in neighbours} == {TaskStatus.SUCCESS}


@pytest.mark.parametrize("code", [0, 3])
def test_a_process_that_leaves_without_a_word_has_crashed(setting: dict[str, Any], lines: Path, code: int) -> None:
    with SupervisedProcess(*ONE_THREAD, processes=1, tasks=setting) as worker:
        (job,) = finished(tasks.leave_without_a_word.enqueue(str(lines), code))
        worker.says(f"ended with exit code {code}")
        worker.stopped()
    assert (job.status, job.losses) == (TaskStatus.SUCCESS, 1)


def test_a_child_that_a_dead_process_leaves_behind_holds_nobody_up(
    setting: dict[str, Any], lines: Path, go: Path
) -> None:
    with SupervisedProcess(*ONE_THREAD, processes=1, tasks=setting) as worker:
        try:
            (job,) = finished(tasks.die_and_leave_a_child.enqueue(str(lines), str(go)))
            worker.stopped()
        finally:
            go.touch()
    assert (job.status, job.losses) == (TaskStatus.SUCCESS, 1)


def test_a_process_that_does_not_move_is_replaced(setting: dict[str, Any], lines: Path) -> None:
    with SupervisedProcess(processes=1, tasks=setting, REINHARDT_TEST_STALLED="4") as worker:
        (stuck,) = worker.complete(1)
        finished(tasks.tell_process.enqueue(str(lines)))
        os.kill(stuck, signal.SIGSTOP)
        worker.complete(1, without={stuck})
        worker.says("has not moved for 4 s")
        (job,) = finished(tasks.tell_process.enqueue(str(lines)))
        worker.stopped()
    assert job.status is TaskStatus.SUCCESS


def test_the_pause_after_crashes_has_an_end_however_many_there_were() -> None:
    def unused(*args: Any) -> Any:
        raise AssertionError

    supervisor = Supervisor(unused, BackendOptions(), object, unused, unused, processes=1, slots=1, shutdown_timeout=1)
    link, other = Link.pair()
    for _ in range(1100):
        supervisor._pause_after(Child(info=WorkerInfo(id="x"), link=link, board=Board(1)))
    assert supervisor._born_next_at < time.monotonic() + LONGEST_PAUSE
    link.close()
    other.close()


def test_what_ended_with_its_process_is_told_between_heartbeats_and_before_it_leaves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unused(*args: Any) -> Any:
        raise AssertionError

    supervisor = Supervisor(unused, BackendOptions(), object, unused, unused, processes=0, slots=1, shutdown_timeout=7)
    told: list[float] = []
    monkeypatch.setattr(supervisor._estates, "tell", told.append)
    supervisor._turn(-1)
    assert supervisor.run() == 0
    assert told == [SHARE, 7]


# Tasks that do not stop


def test_a_task_that_sleeps_in_c_is_ended_alone(setting: dict[str, Any], lines: Path, go: Path) -> None:
    with SupervisedProcess("--concurrency", "2", processes=1, tasks=setting) as worker:
        neighbour = hold(lines.with_name("neighbour"), "it", go)
        beside = pid_in(lines.with_name("neighbour"))
        (job,) = finished(tasks.sleep_in_c.enqueue(str(lines)))
        assert pid_in(lines) == beside
        # What became of it stands there, and its neighbour still has its time, though nothing new begins beside it.
        assert (job.status, len(job.history)) == (TaskStatus.FAILURE, 1)
        assert job.history[0].exception == f"{EXCEPTIONS}.TaskTimeout"
        assert is_running(neighbour)
        assert is_alive(beside)
        go.touch()
        (done,) = finished(neighbour)
        worker.complete(1, without={beside})
        (late,) = finished(tasks.tell_process.enqueue(str(lines)))
        worker.stopped()
    assert (done.status, done.token, done.result) == (TaskStatus.SUCCESS, 1, str(beside))
    assert late.result != str(beside)
    assert job_of(neighbour).history == ()


def test_a_task_alone_in_its_process_is_killed_at_once(setting: dict[str, Any], lines: Path) -> None:
    with SupervisedProcess(*ONE_THREAD, processes=1, tasks=setting) as worker:
        stuck = tasks.sleep_in_c.enqueue(str(lines))
        waiting = tasks.tell_process.enqueue(str(lines.with_name("waiting")))
        job, late = finished(stuck, waiting)
        assert is_alive(int(late.result))
        worker.says("ended by signal 9")
        worker.stopped()
    assert (job.status, job.losses) == (TaskStatus.FAILURE, 0)
    assert job.history[0].exception == f"{EXCEPTIONS}.TaskTimeout"
    assert (late.status, late.history) == (TaskStatus.SUCCESS, ())
    assert late.result != str(pid_in(lines))


def test_two_tasks_that_do_not_stop_take_no_third_with_them(setting: dict[str, Any], lines: Path, go: Path) -> None:
    with SupervisedProcess("--concurrency", "3", processes=1, tasks=setting) as worker:
        neighbour = hold(lines.with_name("neighbour"), "it", go)
        beside = pid_in(lines.with_name("neighbour"))
        finished(*[tasks.sleep_in_c.enqueue(str(lines)) for _ in range(2)])
        go.touch()
        (done,) = finished(neighbour)
        # A stop that comes before that process has ended would rightly say that something still ran.
        worker.complete(1, without={beside})
        worker.stopped()
    assert (done.status, done.history) == (TaskStatus.SUCCESS, ())
    assert len(lines_of(lines.with_name("neighbour"), "began")) == 1


def test_a_cancelled_task_that_sleeps_in_c_is_ended(setting: dict[str, Any], lines: Path) -> None:
    with SupervisedProcess("--concurrency", "2", processes=1, tasks=setting) as worker:
        result = tasks.sleep_in_c_without_limit.enqueue(str(lines))
        victim = pid_in(lines)
        assert result.cancel()
        (job,) = finished(result)
        worker.complete(1, without={victim})
        worker.stopped()
    assert (job.status, job.losses) == (TaskStatus.CANCELLED, 0)
    assert [attempt.exception for attempt in job.history] == [f"{EXCEPTIONS}.TaskCancelled"]


def test_a_cancelled_task_that_is_tried_again_runs_as_any_other(setting: dict[str, Any], lines: Path, go: Path) -> None:
    # More than a second, the time between two heartbeats, as it is in truth.
    with SupervisedProcess(*ONE_THREAD, processes=1, grace="2", tasks=setting) as worker:
        result = tasks.stop_if_told.enqueue(str(lines), str(go))
        first = pid_in(lines)
        assert result.cancel()
        assert finished(result)[0].status is TaskStatus.CANCELLED
        assert broker().retry([result.id]) == [result.id]
        until(lambda: len(lines_of(lines, "began")) == 2, "it runs again")
        beats = _beats(3)
        until(lambda: beats() or worker.children != {first}, "the supervisor looks several times")
        go.touch()
        (job,) = finished(result)
        assert worker.complete(1) == {first}
        worker.stopped()
    assert job.status is TaskStatus.SUCCESS


def _beats(number: int) -> Any:
    """Return a condition: every worker has been signed in so many times since now."""
    seen: dict[str, set[Any]] = {each.info.id: {each.beat_at} for each in broker().workers() if each.is_alive}

    def have_been() -> bool:
        for each in broker().workers():
            seen.setdefault(each.info.id, set()).add(each.beat_at)
        return all(len(times) > number for times in seen.values())

    return have_been


def test_a_cancelled_task_that_had_not_begun_costs_nobody_anything(
    setting: dict[str, Any], lines: Path, go: Path
) -> None:
    with SupervisedProcess(*ONE_THREAD, processes=1, tasks=setting, **HOLDING) as worker:
        finished(*plain.note.enqueue_many([((str(lines.with_name("quick")), "x"), {}) for _ in range(60)]))
        running, waiting = tasks.hold.enqueue_many([((str(lines), word, str(go)), {}) for word in ("a", "b")])
        first = pid_in(lines)
        until(lambda: is_running(waiting), "the second is held too")
        assert waiting.cancel()
        beats = _beats(3)
        until(lambda: beats() or worker.children != {first}, "the supervisor looks several times")
        go.touch()
        jobs = finished(running, waiting)
        assert worker.complete(1) == {first}
        worker.stopped()
    assert [job.status for job in jobs] == [TaskStatus.SUCCESS, TaskStatus.CANCELLED]
    assert len(lines_of(lines, "began")) == 1


# Leases


def test_a_task_that_holds_the_global_lock_keeps_its_lease(short_lease: dict[str, Any], lines: Path) -> None:
    with SupervisedProcess(*ONE_THREAD, tasks=short_lease) as worker:
        worker.complete()
        (job,) = finished(tasks.hold_the_global_lock.enqueue(str(lines), 5))
        worker.stopped()
    assert (job.status, job.token, job.history) == (TaskStatus.SUCCESS, 1, ())
    assert len(lines_of(lines, "began")) == 1


def test_a_process_that_does_not_listen_holds_nobody_up(short_lease: dict[str, Any], lines: Path, go: Path) -> None:
    """Its link fills up with what it is told of the many tasks that it holds."""
    number = 1500
    with SupervisedProcess("--async-concurrency", "2000", processes=1, tasks=short_lease) as worker:
        results = tasks.hold_later.enqueue_many([((str(lines), str(go)), {}) for _ in range(number)])
        until(lambda: len(read(lines)) == number, "all run")
        (pid,) = worker.complete(1)
        os.kill(pid, signal.SIGSTOP)
        until(_beats(6), "its lease is kept, however much it is told")
        os.kill(pid, signal.SIGCONT)
        go.touch()
        jobs = finished(*results)
        worker.stopped()
    assert {(job.status, job.token) for job in jobs} == {(TaskStatus.SUCCESS, 1)}


def test_suspended_beyond_the_lease_it_overwrites_nothing(short_lease: dict[str, Any], lines: Path, go: Path) -> None:
    with SupervisedProcess(*ONE_THREAD, processes=1, tasks=short_lease) as worker:
        result = hold(lines, "it", go)
        suspended = pid_in(lines)
        worker.to_all(signal.SIGSTOP)
        until(lambda: not any(each.is_alive for each in broker().workers()), "its lease runs out")
        go.touch()

        def is_done_here() -> bool:
            run_all(broker(), task_backends["default"].settings)
            return job_of(result).status.is_finished

        until(is_done_here, "another worker runs it")
        assert job_of(result).result == str(os.getpid())
        done = job_of(result)
        worker.to_all(signal.SIGCONT)
        until(lambda: ["ended", "it", str(suspended)] in lines_of(lines, "ended") or _was_stopped(worker), "it goes on")
        (late,) = finished(tasks.tell_process.enqueue(str(lines)))
        worker.stopped()
    assert job_of(result) == done
    assert (done.status, done.losses) == (TaskStatus.SUCCESS, 1)
    # Runs, not claims: a worker may have claimed it and given it back before it ran.
    assert [pid for _began, _word, pid in lines_of(lines, "began")] == [str(suspended), str(os.getpid())]
    assert late.result != str(os.getpid())


def _was_stopped(worker: SupervisedProcess) -> bool:
    return "lease" in worker.stderr


# The supervisor and the store


def test_a_killed_supervisor_leaves_no_process_and_loses_nothing(
    setting: dict[str, Any], lines: Path, go: Path
) -> None:
    with SupervisedProcess(*ONE_THREAD, "--shutdown-timeout", "0.5", tasks=setting) as worker:
        pids = worker.complete()
        results = [hold(lines, word, go) for word in ("a", "b", "c")]
        until(lambda: len(lines_of(lines, "began")) == 2, "two run")
        worker.kill()
        all_gone(pids)
    assert {(job.status, job.history) for job in jobs_of(results)} == {(TaskStatus.PENDING, ())}
    go.touch()
    run_all(broker())
    assert {job.status for job in jobs_of(results)} == {TaskStatus.SUCCESS}


def test_a_killed_supervisor_lets_what_runs_end(setting: dict[str, Any], lines: Path, go: Path) -> None:
    with SupervisedProcess(*ONE_THREAD, tasks=setting) as worker:
        pids = worker.complete()
        results = [hold(lines, word, go) for word in ("a", "b")]
        until(lambda: len(lines_of(lines, "began")) == 2, "both run")
        worker.kill()
        go.touch()
        all_gone(pids)
    assert {(job.status, job.token) for job in jobs_of(results)} == {(TaskStatus.SUCCESS, 1)}


def test_without_its_supervisor_a_process_keeps_its_lease_until_it_has_ended(
    short_lease: dict[str, Any], lines: Path, go: Path
) -> None:
    with SupervisedProcess(*ONE_THREAD, "--shutdown-timeout", "300", processes=1, tasks=short_lease) as worker:
        pids = worker.complete(1)
        result = hold(lines, "it", go)
        pid_in(lines)
        worker.kill()
        try:
            # Several leases' time: each beat is of a lease that would have run out since the one before the last.
            for number in range(1, 5):
                until(_beats(number), "somebody keeps its lease")
                assert broker().rescue(10, WorkerInfo(id="looks for the dead")) == []
            assert is_running(result)
        finally:
            go.touch()
        all_gone(pids)
    (job,) = jobs_of([result])
    assert (job.status, job.token, job.history) == (TaskStatus.SUCCESS, 1, ())
    assert not [each for each in broker().workers() if each.is_alive], "it signs off"


@pytest.fixture
def own_postgres(django_db_blocker: Any, settings: Any) -> Iterator[PostgresServer]:
    """A server that may be restarted, with tables, as the database `mortal`."""
    try:
        server = PostgresServer(own=True)
    except ServerMissing as missing:
        pytest.skip(str(missing))
    with server:
        server.create_database("mortal")
        with databases.added("mortal", server.settings_of("mortal"), django_db_blocker), django_db_blocker.unblock():
            settings.TASKS = tasks_on("mortal", LEASE=60)
            yield server
            broker().close()


def test_supervisor_and_processes_outlive_a_restart_of_the_store(
    own_postgres: PostgresServer, settings: Any, lines: Path, go: Path
) -> None:
    from django.db import connections

    with SupervisedProcess("--concurrency", "2", tasks=settings.TASKS) as worker:
        pids = worker.complete()
        results = [hold(lines, str(number), go) for number in range(4)]
        until(lambda: len(lines_of(lines, "began")) == 4, "all run")
        broker().close()
        own_postgres.stop()
        go.touch()
        until(lambda: len(lines_of(lines, "ended")) == 4, "all end while there is no store")
        worker.says("heartbeat for")
        own_postgres.start()
        connections["mortal"].close()
        jobs = finished(*results)
        late = finished(*tasks.tell_process.enqueue_many([((str(lines), 0.01), {}) for _ in range(40)]))
        # Leases are kept again, and nobody was replaced.
        until(_beats(1), "both processes are signed in again")
        assert worker.complete() == pids
        worker.stopped()
    assert {(job.status, job.history) for job in [*jobs, *late]} == {(TaskStatus.SUCCESS, ())}
    assert len(lines_of(lines, "began")) == 4
