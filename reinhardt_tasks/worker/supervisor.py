"""The process above the worker processes: it keeps their leases, ends what cannot be ended from inside, replaces what dies.

It is forked from before it does anything of its own, and has no threads: what a fork copies is always whole. Between two
forks it holds one connection to the store, for heartbeats.
"""

from __future__ import annotations

import logging
import os
import random
import selectors
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..brokers.base import Broker, Pulse, WorkerInfo
from ..exceptions import QueueError, TaskCancelled, TaskTimeout
from ..execution import Execution
from ..jobs import Claim, TaskStatus
from ..options import BackendOptions
from .board import Board
from .health import QUIET, READY, RELOADING, STOPPING, Vitals
from .link import Link
from .maintenance import Maintenance

logger = logging.getLogger("reinhardt_tasks")

#: Seconds that a task has for its clean-up after it was told to stop, before its process is ended.
GRACE = 5.0
#: Seconds after which a process whose loop has not turned is replaced.
STALLED = 300.0
#: Seconds between two heartbeats for a process that runs something.
BUSY_INTERVAL = 1.0
#: A process that lives shorter than this has crashed at its start; the pause before the next grows up to this many seconds.
SHORT_LIFE, LONGEST_PAUSE = 10.0, 30.0


@dataclass(eq=False)
class Child:
    """A worker process as its supervisor knows it."""

    info: WorkerInfo
    link: Link
    board: Board
    pid: int = 0
    born_at: float = field(default_factory=time.monotonic)
    beat_at: float = 0.0
    turns: int = -1
    turned_at: float = field(default_factory=time.monotonic)
    held: dict[str, int] = field(default_factory=dict)
    #: Job id → (token, moment until which it may run), for tasks with a limit of time.
    timed: dict[str, tuple[int, float]] = field(default_factory=dict)
    #: Job id → moment at which we heard that it was cancelled.
    cancelled: dict[str, float] = field(default_factory=dict)
    kill_at: float | None = None
    bye: str | None = None


class Supervisor:
    """Runs `processes` workers until told to stop. `serve` runs one in a forked child, with its name and its link."""

    def __init__(
        self,
        broker: Callable[[], Broker],
        options: BackendOptions,
        sender: type,
        serve: Callable[[WorkerInfo, Link, Board], None],
        new_info: Callable[[], WorkerInfo],
        processes: int,
        slots: int,
        shutdown_timeout: float,
        ready: Callable[[], None] = lambda: None,
        look: Callable[[], None] = lambda: None,
    ) -> None:
        self._broker = broker
        self._options = options
        self._sender = sender
        self._serve = serve
        self._new_info = new_info
        self._processes = processes
        self._slots = slots
        self._ready = ready
        self._look = look
        self._turns = 0
        self._heard_at: float | None = None
        self._shutdown_timeout = shutdown_timeout
        self._children: list[Child] = []
        self._selector = selectors.DefaultSelector()
        self._stops = 0
        self._crashes = 0
        self._born_next_at = 0.0
        self._forced = False
        self._is_reloading = False
        self._is_quiet = False

    def run(self) -> int:
        """Work until told to stop, or until every process has left by itself; return the exit code."""
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        before = self._install()
        self._ready()
        self._selector.register(wake_read, selectors.EVENT_READ, None)
        try:
            while not self._is_over():
                self._populate()
                self._listen(wake_read)
                self._reap()
                self._beat()
                self._enforce()
                self._turns += 1
                self._look()
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)
        if self._is_reloading:
            self._start_anew()
        return 1 if self._forced else 0

    def vitals(self) -> Vitals:
        """Return what a service manager is told. A worker process that is stuck is ours to replace, and not told here."""
        is_told = RELOADING if self._is_reloading else STOPPING if self._stops else None
        return Vitals(
            state=is_told or (QUIET if self._is_quiet else READY),
            turns=self._turns,
            running=sum(len(child.board.ids()) for child in self._children),
            beat_at=self._heard_at,
            processes=len(self._children),
        )

    def _install(self) -> dict[int, Any]:
        handlers: dict[int, Callable[[int, Any], None]] = {
            signal.SIGTERM: self._on_stop,
            signal.SIGINT: self._on_stop,
            signal.SIGHUP: self._on_reload,
            signal.SIGQUIT: lambda number, frame: self._pass_on(signal.SIGQUIT),
            signal.SIGTSTP: self._on_quiet,
            signal.SIGCONT: self._on_resume,
        }
        return {number: signal.signal(number, handler) for number, handler in handlers.items()}

    def _on_stop(self, number: int, frame: Any) -> None:
        self._stops += 1
        self._forced = self._forced or self._stops > 1
        deadline = time.monotonic() + (2.0 if self._stops > 1 else self._shutdown_timeout + GRACE)
        for child in self._children:
            child.kill_at = deadline
        self._pass_on(signal.SIGTERM)

    def _on_reload(self, number: int, frame: Any) -> None:
        self._is_reloading = True
        self._on_stop(number, frame)

    def _on_quiet(self, number: int, frame: Any) -> None:
        self._is_quiet = True
        self._pass_on(signal.SIGTSTP)

    def _on_resume(self, number: int, frame: Any) -> None:
        self._is_quiet = False
        self._pass_on(signal.SIGCONT)

    def _pass_on(self, number: int) -> None:
        for child in self._children:
            _kill(child.pid, number)

    def _is_over(self) -> bool:
        return not self._children and (self._stops > 0 or self._processes == 0)

    def _populate(self) -> None:
        while not self._stops and len(self._children) < self._processes and time.monotonic() >= self._born_next_at:
            self._children.append(self._bear())

    def _bear(self) -> Child:
        """Fork a worker process. It gets no connection of ours: ours are closed first."""
        info = self._new_info()
        ours, theirs = Link.pair()
        board = Board(self._slots)
        self._let_go()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            self._become_child(info, ours, theirs, board)
        theirs.close()
        child = Child(info=info, link=ours, board=board, pid=pid)
        self._selector.register(ours.read, selectors.EVENT_READ, child)
        if self._is_quiet:
            _kill(pid, signal.SIGTSTP)
        return child

    def _become_child(self, info: WorkerInfo, ours: Link, theirs: Link, board: Board) -> None:
        code = 70
        try:
            signal.set_wakeup_fd(-1)
            self._selector.close()
            ours.close()
            for sibling in self._children:
                sibling.link.close()
            random.seed()
            self._serve(info, theirs, board)
            code = 0
        except SystemExit as exc:
            code = exc.code if isinstance(exc.code, int) else 1
        except BaseException:
            logger.exception("The worker process failed.")
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            # Nothing of the parent's is to be ended here: its atexit functions are not ours.
            os._exit(code)

    def _let_go(self) -> None:
        from django.db import connections

        try:
            self._broker().close()
        except QueueError as exc:
            logger.warning("The store could not be left properly: %s", exc)
        connections.close_all()

    def _listen(self, wake_read: int) -> None:
        for key, _ in self._selector.select(timeout=0.2):
            if key.data is None:
                os.read(wake_read, 4096)
                continue
            messages = key.data.link.take()
            if messages is None:
                self._selector.unregister(key.fd)
            for message in messages or ():
                self._hear(key.data, message)

    def _hear(self, child: Child, message: dict[str, Any]) -> None:
        match message:
            case {"began": job_id, "token": token, "deadline": deadline}:
                child.timed[job_id] = (token, deadline)
            case {"ended": job_id}:
                child.timed.pop(job_id, None)
                child.cancelled.pop(job_id, None)
            case {"turns": turns}:
                if turns != child.turns:
                    child.turns, child.turned_at = turns, time.monotonic()
            case {"bye": reason}:
                child.bye = reason

    def _reap(self) -> None:
        for child in list(self._children):
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                for message in child.link.take() or () if self._is_registered(child) else ():
                    self._hear(child, message)
                self._bury(child, os.waitstatus_to_exitcode(status))

    def _is_registered(self, child: Child) -> bool:
        return child.link.read in self._selector.get_map()

    def _bury(self, child: Child, code: int) -> None:
        self._children.remove(child)
        if self._is_registered(child):
            self._selector.unregister(child.link.read)
        child.link.close()
        if code == 0 and child.bye == "done":
            # It has nothing more to do (--burst): nobody takes its place.
            self._processes = max(0, self._processes - 1)
        elif code != 0:
            how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
            logger.error(
                "Worker process %d (%s) ended %s; its tasks are given to others.", child.pid, child.info.id, how
            )
            self._give_away(child)
            self._pause_after(child)
        child.board.close()

    def _give_away(self, child: Child) -> None:
        """Let what a dead process held run again at once, not after its lease."""
        try:
            broker = self._broker()
            broker.leave(child.info)
            Maintenance(broker, self._new_info(), self._options).rescue(begun=child.board.ids())
        except QueueError as exc:
            logger.warning("The tasks of %s are given to others when its lease is over: %s", child.info.id, exc)

    def _pause_after(self, child: Child) -> None:
        if time.monotonic() - child.born_at > SHORT_LIFE:
            self._crashes = 0
            return
        self._crashes += 1
        pause = min(LONGEST_PAUSE, 0.25 * 2**self._crashes) * (0.5 + random.random() / 2)  # noqa: S311
        self._born_next_at = time.monotonic() + pause

    def _beat(self) -> None:
        now = time.monotonic()
        for child in self._children:
            interval = BUSY_INTERVAL if child.held or child.timed else child.info.lease / 3
            if now - child.beat_at < min(interval, child.info.lease / 3):
                continue
            child.beat_at = now
            try:
                pulse: Pulse = self._broker().heartbeat(child.info)
            except QueueError as exc:
                logger.warning("The heartbeat for %s did not get through: %s", child.info.id, exc)
                continue
            self._heard_at = now
            child.held = dict(pulse.held)
            for job_id in pulse.cancelled:
                child.cancelled.setdefault(job_id, now)
            child.link.tell(held=dict(pulse.held), cancelled=sorted(pulse.cancelled))

    def _enforce(self) -> None:
        now = time.monotonic()
        for child in self._children:
            for job_id, (token, deadline) in list(child.timed.items()):
                if now > deadline + GRACE:
                    self._condemn(
                        child,
                        job_id,
                        token,
                        TaskTimeout("It ran for longer than its timeout, and did not stop."),
                    )
            for job_id, since in list(child.cancelled.items()):
                if job_id in child.held and now > since + GRACE:
                    self._condemn(
                        child,
                        job_id,
                        child.held[job_id],
                        TaskCancelled("It was cancelled while it ran, and did not stop."),
                    )
            if now - child.turned_at > STALLED and child.kill_at is None:
                logger.error(
                    "Worker process %d has not moved for %g s: its stacks follow, and it is replaced.",
                    child.pid,
                    STALLED,
                )
                _kill(child.pid, signal.SIGQUIT)
                child.kill_at = now + GRACE
            if child.kill_at is not None and now > child.kill_at:
                _kill(child.pid, signal.SIGKILL)

    def _condemn(self, child: Child, job_id: str, token: int, reason: Exception) -> None:
        """Record what became of a task that does not stop, and end its process: at once if it runs nothing else."""
        child.timed.pop(job_id, None)
        child.cancelled.pop(job_id, None)
        logger.error("Task id=%s does not stop: %s Its process %d is ended.", job_id, reason, child.pid)
        try:
            self._record(child, job_id, token, reason)
        except QueueError as exc:
            logger.warning("What became of task %s could not be recorded: %s", job_id, exc)
        if set(child.held) <= {job_id}:
            _kill(child.pid, signal.SIGKILL)
        else:
            child.link.tell(drain=job_id)
            child.kill_at = child.kill_at or time.monotonic() + self._shutdown_timeout + GRACE

    def _record(self, child: Child, job_id: str, token: int, reason: Exception) -> None:
        broker = self._broker()
        job = broker.get([job_id]).get(job_id)
        if job is None or job.status is not TaskStatus.RUNNING or job.token != token:
            return
        execution = Execution(Claim(job=job, token=token, worker=child.info.id), self._options, self._sender)
        outcome = execution.prepare() or execution.stopped(reason)
        broker.settle([outcome])

    def _start_anew(self) -> None:
        """Become the new version of this program: same process, same arguments, code read again."""
        self._let_go()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606


def _kill(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        # It has ended, and will be reaped.
        return
