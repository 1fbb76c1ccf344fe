"""`manage.py runworker --processes`: what the processes share, how signals stop and move them, and when they are replaced."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from reinhardt_tasks._compat import task_backends
from reinhardt_tasks.jobs import TaskStatus
from tests import tasks as plain
from tests.servers import wait_until
from tests.worker.processes import SOON
from tests.worker.running import run_all
from tests.worker.supervised import tasks
from tests.worker.supervised.running import SupervisedProcess, lines_of, read, until


def jobs_of(results: list[Any]) -> list[Any]:
    ids = [each.id for each in results]
    found = task_backends["default"].broker.get(ids)
    return [found[id_] for id_ in ids]


def all_are(status: TaskStatus, results: list[Any]) -> list[Any]:
    until(lambda: {job.status for job in jobs_of(results)} == {status}, f"{len(results)} tasks are {status}")
    return jobs_of(results)


def held(lines: Path, go: Path, number: int) -> list[Any]:
    """Enqueue tasks that wait for `go`."""
    return tasks.hold.enqueue_many([((str(lines), str(each), str(go)), {}) for each in range(number)])


def both_began(lines: Path) -> list[int]:
    """Return the processes of two tasks once both run."""
    until(lambda: len(lines_of(lines, "began")) == 2, "both run")
    return [int(words[2]) for words in lines_of(lines, "began")]


# Sharing


def test_processes_share_the_work(setting: dict[str, Any], lines: Path, go: Path) -> None:
    with SupervisedProcess("--concurrency", "1", tasks=setting) as worker:
        results = held(lines, go, 2)
        assert set(both_began(lines)) == worker.complete()
        go.touch()
        all_are(TaskStatus.SUCCESS, results)
        assert re.search(r"^  processes +2 under this one$", worker.stdout, re.M)
        worker.stopped()
        assert worker.stdout.count("Stopped: 1 succeeded, 0 failed") == 2


def test_people_see_the_processes_by_their_numbers(setting: dict[str, Any]) -> None:
    broker = task_backends["default"].broker
    with SupervisedProcess(tasks=setting) as worker:
        pids = worker.complete()
        until(lambda: len(broker.workers()) == 2, "both sign in")
        assert {each.info.pid for each in broker.workers() if each.is_alive} == pids
        worker.stopped()
    assert not [each for each in broker.workers() if each.is_alive]


def test_a_burst_ends_when_nothing_is_left(setting: dict[str, Any], lines: Path) -> None:
    results = tasks.tell_process.enqueue_many([((str(lines), 0.01), {}) for _ in range(60)])
    with SupervisedProcess("--burst", "--concurrency", "1", tasks=setting) as worker:
        assert worker.ended() == 0, worker.stderr
        assert worker.stdout.count("Stopped:") == 2
    assert {(job.status, job.history) for job in jobs_of(results)} == {(TaskStatus.SUCCESS, ())}
    assert len(read(lines)) == 60


# Signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_signal_stops_all_and_gives_back_what_was_only_held(
    setting: dict[str, Any], lines: Path, go: Path, number: int
) -> None:
    quick = plain.note.enqueue_many([((str(lines.with_name("quick")), "x"), {}) for _ in range(60)])
    # What waits behind these tasks would soon be given back anyway.
    with SupervisedProcess("--concurrency", "1", tasks=setting, REINHARDT_TEST_LATE="60") as worker:
        all_are(TaskStatus.SUCCESS, quick)
        results = held(lines, go, 40)
        until(lambda: _number_of(results, TaskStatus.RUNNING) > 4, "some are held beyond those that run")
        until(lambda: lines_of(lines, "began"), "one runs")
        worker.process.send_signal(number)
        until(lambda: _number_of(results, TaskStatus.RUNNING) <= 2, "those are given back")
        go.touch()
        assert worker.ended() == 0, worker.stderr
    jobs = jobs_of(results)
    began = len(lines_of(lines, "began"))
    assert 1 <= began <= 2
    assert [job.status for job in jobs].count(TaskStatus.SUCCESS) == len(lines_of(lines, "ended")) == began
    assert {(job.status, job.history, job.losses) for job in jobs} == {
        (TaskStatus.SUCCESS, (), 0),
        (TaskStatus.PENDING, (), 0),
    }


def _number_of(results: list[Any], status: TaskStatus) -> int:
    return [job.status for job in jobs_of(results)].count(status)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_signal_to_all_processes_at_once_is_one_signal(
    setting: dict[str, Any], lines: Path, go: Path, number: int
) -> None:
    """A terminal sends Ctrl-C to the whole group of processes, and systemd SIGTERM to all of a service."""
    with SupervisedProcess("--concurrency", "1", tasks=setting) as worker:
        pids = worker.complete()
        results = held(lines, go, 2)
        both_began(lines)
        worker.to_all(number)
        late = plain.note.enqueue(str(lines), "late")
        # Whoever took this for a second signal leaves at once.
        _turned(worker, pids)
        go.touch()
        assert worker.ended() == 0, worker.stderr
    assert {job.status for job in jobs_of(results)} == {TaskStatus.SUCCESS}
    assert len(lines_of(lines, "ended")) == len(lines_of(lines, "began")) == 2
    assert jobs_of([late])[0].history == ()


def _turned(worker: SupervisedProcess, pids: set[int]) -> None:
    """Return when each process has logged its stacks: what was sent to it before has arrived."""
    before = worker.stderr.count("Thread MainThread")
    worker.process.send_signal(signal.SIGQUIT)
    wait_until(
        lambda: not worker.is_running or worker.stderr.count("Thread MainThread") >= before + len(pids),
        "each logs its stacks",
        timeout=SOON,
    )


def test_a_second_signal_ends_it_at_once_and_loses_nothing(setting: dict[str, Any], lines: Path, go: Path) -> None:
    with SupervisedProcess("--concurrency", "1", tasks=setting) as worker:
        pids = worker.complete()
        results = held(lines, go, 2)
        both_began(lines)

        def has_ended() -> bool:
            # Two signals of one kind may arrive as one.
            worker.terminate()
            return not worker.is_running

        wait_until(has_ended, "it ends", timeout=SOON, interval=0.2)
        assert worker.ended() == 1, worker.stderr
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "all processes are gone")
    assert {(job.status, job.history) for job in jobs_of(results)} == {(TaskStatus.PENDING, ())}
    go.touch()
    run_all(task_backends["default"].broker)
    assert {job.status for job in jobs_of(results)} == {TaskStatus.SUCCESS}


def test_a_shutdown_that_takes_too_long_gives_back_what_runs(setting: dict[str, Any], lines: Path, go: Path) -> None:
    with SupervisedProcess("--shutdown-timeout", "0.2", "--concurrency", "1", tasks=setting) as worker:
        results = held(lines, go, 2)
        both_began(lines)
        worker.terminate()
        assert worker.ended() == 1, worker.stderr
    assert {(job.status, job.history) for job in jobs_of(results)} == {(TaskStatus.PENDING, ())}


def test_sigquit_logs_the_stacks_of_all_with_what_they_run(setting: dict[str, Any], lines: Path, go: Path) -> None:
    with SupervisedProcess("--concurrency", "1", tasks=setting) as worker:
        results = held(lines, go, 2)
        both_began(lines)
        worker.process.send_signal(signal.SIGQUIT)
        for each in results:
            worker.says(f"runs id={each.id} path=tests.worker.supervised.tasks.hold")
        worker.says("in await_file", times=2)
        go.touch()
        all_are(TaskStatus.SUCCESS, results)
        worker.stopped()


def test_quiet_processes_claim_nothing_until_they_may(setting: dict[str, Any], lines: Path) -> None:
    with SupervisedProcess("--poll-interval", "0.02", tasks=setting) as worker:
        pids = worker.complete()
        worker.process.send_signal(signal.SIGTSTP)
        until(lambda: _only_we_run(lines), "they are quiet")
        # One that is born quiet is quiet too.
        os.kill(min(pids), signal.SIGKILL)
        worker.complete(without={min(pids)})
        assert _only_we_run(lines)
        results = tasks.tell_process.enqueue_many([((str(lines),), {}) for _ in range(5)])
        worker.process.send_signal(signal.SIGCONT)
        all_are(TaskStatus.SUCCESS, results)
        worker.stopped()


def _only_we_run(lines: Path) -> bool:
    """Run tasks here, slow enough for a worker process to take one if it can; return whether none did."""
    lines.unlink(missing_ok=True)
    results = tasks.tell_process.enqueue_many([((str(lines), 0.02), {}) for _ in range(60)])
    run_all(task_backends["default"].broker, concurrency=1)
    all_are(TaskStatus.SUCCESS, results)
    return set(read(lines)) == {str(os.getpid())}


def test_sighup_starts_anew_as_the_same_process(setting: dict[str, Any], lines: Path, go: Path) -> None:
    with SupervisedProcess("--concurrency", "1", tasks=setting) as worker:
        before = worker.complete()
        results = held(lines, go, 2)
        both_began(lines)
        worker.process.send_signal(signal.SIGHUP)
        _turned(worker, before)
        assert worker.complete() == before, "a running task is waited for"
        go.touch()
        until(lambda: worker.stdout.count("Ready.") == 2, "it starts anew")
        after = worker.complete(without=before)
        late = tasks.tell_process.enqueue(str(lines.with_name("late")))
        assert all_are(TaskStatus.SUCCESS, [*results, late])
        late.refresh()
        assert late.return_value in after
        assert worker.is_running
        worker.stopped()
    assert {(job.token, job.history) for job in jobs_of(results)} == {(1, ())}


def test_a_stop_while_it_reloads_is_a_stop(setting: dict[str, Any], lines: Path, go: Path) -> None:
    with SupervisedProcess("--concurrency", "1", tasks=setting) as worker:
        results = held(lines, go, 2)
        both_began(lines)
        for number in (signal.SIGHUP, signal.SIGTERM):
            worker.process.send_signal(number)
            _turned(worker, worker.children)
        go.touch()
        assert worker.ended() in (0, 1), worker.stderr
        assert worker.stdout.count("Ready.") == 1
    assert {job.history for job in jobs_of(results)} == {()}


def test_a_second_reload_is_the_same_reload(setting: dict[str, Any], lines: Path, go: Path) -> None:
    with SupervisedProcess("--concurrency", "1", tasks=setting) as worker:
        results = held(lines, go, 2)
        both_began(lines)
        for _ in range(2):
            worker.process.send_signal(signal.SIGHUP)
            _turned(worker, worker.children)
        go.touch()
        until(lambda: worker.stdout.count("Ready.") == 2, "it starts anew")
        all_are(TaskStatus.SUCCESS, results)
        worker.stopped()
    assert {job.token for job in jobs_of(results)} == {1}


# Replacing


def test_max_tasks_replaces_processes_and_loses_nothing(setting: dict[str, Any], lines: Path) -> None:
    results = tasks.tell_process.enqueue_many([((str(lines),), {}) for _ in range(30)])
    with SupervisedProcess("--max-tasks", "5", "--concurrency", "2", tasks=setting) as worker:
        jobs = all_are(TaskStatus.SUCCESS, results)
        worker.complete()
        worker.stopped()
        assert "ended by" not in worker.stderr
        assert "ended with" not in worker.stderr
    assert {job.history for job in jobs} == {()}
    ran = read(lines)
    assert len(ran) == 30
    assert len(set(ran)) >= 6
    assert max(map(ran.count, ran)) <= 5


def test_a_burst_goes_on_beyond_max_tasks(setting: dict[str, Any], lines: Path) -> None:
    results = tasks.tell_process.enqueue_many([((str(lines),), {}) for _ in range(30)])
    with SupervisedProcess("--burst", "--max-tasks", "5", tasks=setting) as worker:
        assert worker.ended() == 0, worker.stderr
    assert {job.status for job in jobs_of(results)} == {TaskStatus.SUCCESS}


def test_a_process_that_has_grown_is_replaced(setting: dict[str, Any], lines: Path, go: Path) -> None:
    with SupervisedProcess("--max-memory", "300", "--concurrency", "2", tasks=setting) as worker:
        worker.complete()
        neighbours = held(lines, go, 2)
        both_began(lines)
        (job,) = all_are(TaskStatus.SUCCESS, [tasks.leak.enqueue(str(lines.with_name("leak")), 400)])
        fat = {int(job.result)}
        # What it runs has its time.
        go.touch()
        all_are(TaskStatus.SUCCESS, neighbours)
        worker.complete(without=fat)
        late = tasks.tell_process.enqueue_many([((str(lines),), {}) for _ in range(10)])
        jobs = all_are(TaskStatus.SUCCESS, late)
        worker.stopped()
        assert "its tasks are given to others" not in worker.stderr
    assert {job.history for job in [*jobs, *jobs_of(neighbours)]} == {()}
    assert fat.isdisjoint(int(job.result) for job in jobs)


def test_a_process_that_has_grown_ends_its_tasks_when_all_are_stopped(
    setting: dict[str, Any], lines: Path, go: Path
) -> None:
    with SupervisedProcess("--max-memory", "300", processes=1, tasks=setting) as worker:
        (pid,) = worker.complete(1)
        results = held(lines, go, 1)
        until(lambda: lines_of(lines, "began"), "it runs")
        late = tasks.tell_process.enqueue(str(lines))
        all_are(TaskStatus.SUCCESS, [late, tasks.leak.enqueue(str(lines.with_name("leak")), 400)])
        until(lambda: _only_we_run(lines.with_name("probe")), "it leaves")
        worker.terminate()
        _turned(worker, {pid})
        go.touch()
        assert worker.ended() == 0, worker.stderr
    assert {(job.status, job.history) for job in jobs_of(results)} == {(TaskStatus.SUCCESS, ())}
    assert len(lines_of(lines, "ended")) == 1


def test_a_task_that_needs_more_memory_than_its_process_may_have_is_not_begun_again_and_again(
    setting: dict[str, Any], lines: Path, go: Path
) -> None:
    with SupervisedProcess("--max-memory", "300", "--shutdown-timeout", "0.5", processes=1, tasks=setting) as worker:
        (pid,) = worker.complete(1)
        result = tasks.hold_memory.enqueue(str(lines), 400, str(go))
        full = "more memory than it may have"
        until(lambda: full in worker.stderr or len(lines_of(lines, "began")) > 1, "its process has grown")
        go.touch()
        (job,) = all_are(TaskStatus.SUCCESS, [result])
        worker.complete(1, without={pid})
        worker.stopped()
    assert (job.token, job.history) == (1, ())
    assert len(lines_of(lines, "began")) == 1


@pytest.mark.parametrize("number", ["-1", "few"])
def test_a_number_of_processes_that_cannot_be_is_refused(setting: dict[str, Any], number: str) -> None:
    with SupervisedProcess("--processes", number, tasks=setting) as worker:
        assert worker.ended() == 2, worker.stderr
        assert "--processes" in worker.stderr
