"""The supervisor's main promises once more, with processes that are new interpreters and no forks."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from reinhardt_tasks._compat import task_backends
from reinhardt_tasks.jobs import Job, TaskStatus
from reinhardt_tasks.log_lines import decode_log
from reinhardt_tasks.worker.board import Board

from .processes import tasks_on
from .supervised import tasks
from .supervised.running import SupervisedProcess, all_gone, lines_of, read, until

EXCEPTIONS = "reinhardt_tasks.exceptions"
SPAWN = ("--start-method", "spawn", "--concurrency", "1")


def jobs_of(*results: Any) -> list[Job]:
    found = task_backends["default"].broker.get([each.id for each in results])
    return [found[each.id] for each in results]


def finished(*results: Any) -> list[Job]:
    until(lambda: all(job.status.is_finished for job in jobs_of(*results)), f"{len(results)} tasks finish")
    return jobs_of(*results)


def pid_in(lines: Path) -> int:
    return int(until(lambda: lines_of(lines, "began"), "it begins")[-1][-1])


def test_a_killed_process_is_replaced_and_its_task_runs_again_at_once(
    setting: dict[str, Any], lines: Path, go: Path
) -> None:
    with SupervisedProcess(*SPAWN, processes=1, tasks=setting) as worker:
        results = tasks.hold.enqueue_many([((str(lines), str(each), str(go)), {}) for each in range(3)])
        victim = pid_in(lines)
        os.kill(victim, signal.SIGKILL)
        until(lambda: pid_in(lines) != victim, "another runs what ran")
        go.touch()
        jobs = finished(*results)
        worker.says("ended by signal 9; its tasks are given to others")
        worker.stopped()
    assert {job.status for job in jobs} == {TaskStatus.SUCCESS}
    # The board tells which of what it held was running: only that has lost a worker.
    assert sorted(job.losses for job in jobs) == [0, 0, 1]
    assert not [each for each in task_backends["default"].broker.workers() if each.is_alive]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_stop_lets_what_runs_end_and_gives_back_the_rest(
    setting: dict[str, Any], lines: Path, go: Path, number: int
) -> None:
    with SupervisedProcess(*SPAWN, tasks=setting) as worker:
        results = tasks.hold.enqueue_many([((str(lines), str(each), str(go)), {}) for each in range(4)])
        until(lambda: len(lines_of(lines, "began")) == 2, "two run")
        worker.to_all(number)
        until(lambda: sum(job.status is TaskStatus.RUNNING for job in jobs_of(*results)) == 2, "the rest is given back")
        go.touch()
        assert worker.ended() == 0, worker.stderr
        assert worker.stdout.count("Stopped: 1 succeeded, 0 failed") == 2
    states = [job.status for job in jobs_of(*results)]
    assert sorted(states) == [TaskStatus.PENDING] * 2 + [TaskStatus.SUCCESS] * 2
    assert {job.history for job in jobs_of(*results)} == {()}


def test_a_stop_while_they_are_still_starting_is_clean(setting: dict[str, Any]) -> None:
    with SupervisedProcess(*SPAWN, tasks=setting) as worker:
        until(lambda: len(worker.children) == 2, "there are two, which have loaded nothing yet")
        worker.to_all(signal.SIGTERM)
        assert worker.ended() == 0, worker.stderr
        assert "ended by signal" not in worker.stderr


def test_a_task_that_does_not_stop_is_ended_with_its_process(setting: dict[str, Any], lines: Path) -> None:
    with SupervisedProcess(*SPAWN, processes=1, tasks=setting) as worker:
        job, late = finished(tasks.sleep_in_c.enqueue(str(lines)), tasks.tell_process.enqueue(str(lines)))
        worker.says("ended by signal 9")
        worker.stopped()
    assert (job.status, job.losses) == (TaskStatus.FAILURE, 0)
    assert job.history[0].exception == f"{EXCEPTIONS}.TaskTimeout"
    assert (late.status, late.history) == (TaskStatus.SUCCESS, ())
    assert late.result != str(pid_in(lines))


@pytest.mark.parametrize("flags", [(), SPAWN], ids=["fork", "spawn"])
def test_what_tasks_log_is_kept_by_every_process_and_printed_as_before(
    setting: dict[str, Any], flags: tuple[str, ...]
) -> None:
    with SupervisedProcess(*flags, tasks=setting) as worker:
        results = tasks.log_process.enqueue_many([((), {}) for _ in range(6)])
        jobs = finished(*results)
        worker.stopped()
        assert worker.stderr.count("in process") == 6 and "the same one" not in worker.stderr
    for job in jobs:
        (log,) = decode_log(job.log)
        assert [line.message for line in log.lines] == [f"in process {job.result}", "and in the same one"]


def test_a_task_that_holds_the_global_lock_keeps_its_lease(setting: dict[str, Any], lines: Path, settings: Any) -> None:
    settings.TASKS = tasks_on(setting["default"]["OPTIONS"]["DATABASE"], LEASE=2)
    with SupervisedProcess(*SPAWN, tasks=settings.TASKS) as worker:
        worker.complete()
        (job,) = finished(tasks.hold_the_global_lock.enqueue(str(lines), 5))
        worker.stopped()
    assert (job.status, job.token, job.history) == (TaskStatus.SUCCESS, 1, ())


def test_processes_are_replaced_after_their_tasks_and_told_of_by_their_own_flags(
    setting: dict[str, Any], lines: Path
) -> None:
    with SupervisedProcess(*SPAWN, "--max-tasks", "5", "--log-format", "json", tasks=setting) as worker:
        results = tasks.tell_process.enqueue_many([((str(lines),), {}) for _ in range(20)])
        jobs = finished(*results)
        worker.stopped()
        assert all(line.startswith("{") for line in worker.stderr.splitlines())
    assert {(job.status, job.history) for job in jobs} == {(TaskStatus.SUCCESS, ())}
    ran = read(lines)
    assert max(map(ran.count, ran)) <= 5


def test_a_killed_supervisor_leaves_no_process(setting: dict[str, Any], lines: Path, go: Path) -> None:
    with SupervisedProcess(*SPAWN, tasks=setting) as worker:
        pids = worker.complete()
        result = tasks.hold.enqueue(str(lines), "it", str(go))
        pid_in(lines)
        worker.kill()
        go.touch()
        all_gone(pids)
    assert (jobs_of(result)[0].status, jobs_of(result)[0].token) == (TaskStatus.SUCCESS, 1)


def test_a_process_that_cannot_start_is_tried_again_after_a_pause(setting: dict[str, Any], lines: Path) -> None:
    with SupervisedProcess(*SPAWN, processes=1, tasks=setting, REINHARDT_TEST_REFUSES_ONCE=str(lines)) as worker:
        worker.says("ended with exit code 70")
        worker.says("This process is not to start.")
        (job,) = finished(tasks.tell_process.enqueue(str(lines)))
        worker.stopped()
    assert job.status is TaskStatus.SUCCESS


def test_a_start_method_that_is_none_is_refused(setting: dict[str, Any]) -> None:
    with SupervisedProcess("--start-method", "thread", tasks=setting) as worker:
        assert worker.ended() == 2
        assert "--start-method" in worker.stderr


def test_a_board_in_a_file_is_seen_by_who_has_the_file() -> None:
    ours = Board.in_a_file(3)
    theirs = Board(3, os.dup(ours.number))
    theirs.put("some-id")
    assert ours.ids() == {"some-id"}
    theirs.close()
    assert ours.ids() == {"some-id"}
    ours.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(ours.number)
