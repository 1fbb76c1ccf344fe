"""The worker's loop: settle what has ended and claim what there is room for, both in one round trip; then hand out."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import nullcontext

from ..brokers.base import BOTH, Broker, Kinds, Pulse, Queues, Room
from ..exceptions import PartlySettled, QueueError, TaskCancelled, TaskTimeout
from ..execution import Execution
from ..jobs import Claim, Outcome, Released
from ..log_capture import listening
from ..options import BackendOptions
from .child import SupervisedHeartbeat
from .config import WorkerConfig, worker_info
from .crew import Crew
from .deadlines import Deadlines
from .endings import Endings
from .health import QUIET, READY, STOPPING, Vitals
from .heartbeat import Heartbeat
from .kinds import Hopes, kind_of, misfits, put_right
from .ledger import Ledger, makes_ready
from .listener import Listener
from .lost_ends import LostEnds
from .maintenance import Maintenance
from .memory import is_beyond, tree_bytes, weighed
from .order import QueueOrder
from .prefetch import LATE, Prefetch
from .quarantine import Quarantine
from .stacks import log_stacks
from .strangers import Strangers
from .tally import Tally

logger = logging.getLogger("reinhardt_tasks")

#: Seconds that an ended task may wait for others to be settled with it, while more of them run.
LINGER = 0.01
#: Seconds that the loop sleeps when it has no reason to wake before.
LONGEST_NAP = 1.0
#: Outcomes that are not let wait for more.
FULL = 250
#: Seconds until a suspect is offered again, where another one runs: see `Quarantine`.
SUSPECT_DELAY = 1.0
_NO_ROOM = Room.of(0)


class Worker:
    """One process's worker on one broker. `run()` blocks until it is told to stop, from another thread or a signal."""

    def __init__(
        self,
        broker: Broker,
        options: BackendOptions,
        sender: type,
        config: WorkerConfig | None = None,
        heartbeat: SupervisedHeartbeat | None = None,
        tally: Tally | None = None,
    ) -> None:
        self.config = config or WorkerConfig()
        self.broker = broker
        broker.poll_interval = self.config.poll_interval
        self.options = options
        info = worker_info(self.config, options)
        # A supervisor tells it for its processes, and again and again.
        self.info = weighed(info) if heartbeat is None else info
        self._sender = sender
        self._tally = tally
        self._news = threading.Condition()
        self._ledger = Ledger(broker, self.info, self._news, tally)
        self._running: dict[str, Execution] = {}
        self._coroutines: set[Execution] = set()
        self._endings = Endings(tally)
        self._deadlines = Deadlines(options)
        self._strangers = Strangers(broker, self.info)
        self._quarantine = Quarantine(options.max_lost)
        self._is_exchanging = False
        self._order = self.config.order or QueueOrder(self.config.queues)
        self._prefetch = Prefetch(self.config.concurrency)
        #: Turns of the loop so far; under a supervisor a number that does not grow has the process replaced.
        self.turns = 0
        #: When the last heartbeat got through, by the monotonic clock.
        self.beat_at: float | None = None
        self._is_quiet = False
        self._was_told = False
        self._is_leaving = False
        self._stops = 0
        #: By the monotonic clock; 0 while the loop turns.
        self._wakes_at = 0.0
        self._left_running = False
        #: Runs that have ended here; what was given back unbegun is none.
        self._ran = 0
        self._hopes = Hopes()
        self._crew = Crew(self.config, broker, self._ended)
        self._listener = Listener(broker, self.config.queues, self._heard)
        self._supervision = heartbeat
        self._heartbeat: Heartbeat | SupervisedHeartbeat
        if heartbeat is None:
            self._heartbeat = Heartbeat(broker, self.info, self._ledger.believed, self._pulsed)
        else:
            heartbeat.connect(self._ledger.believed, self._pulsed)
            self._heartbeat = heartbeat
        self._maintenance = Maintenance(broker, self.info, options, LostEnds(lambda: broker, sender), tally)

    def run(self) -> None:
        """Work until `stop()`, or as long as `burst` and `max_tasks` say; then end what runs, or give it back."""
        with listening() if self.options.log_lines else nullcontext():
            self._run()

    def _run(self) -> None:
        self._listener.start()
        self._heartbeat.start()
        self._maintenance.start()
        try:
            while not self._is_over():
                self._turn()
                self._sleep()
        finally:
            self._shut_down()

    def stop(self) -> None:
        """Claim no more, and end when what runs has ended; a second call ends at once and gives everything back."""
        # No lock: a signal handler may interrupt the very thread that holds it.
        self._stops += 1
        self._was_told = True
        self.wake()

    def wind_down(self) -> None:
        """Stop as after a first `stop()`, however often this is called."""
        self._stops = max(1, self._stops)
        self._was_told = True
        self.wake()

    def stop_at_once(self) -> None:
        """Stop as after a second `stop()`."""
        self._stops = 2
        self._was_told = True
        self.wake()

    def leave_when_done(self) -> None:
        """Claim no more, and end when what runs has ended, however long that takes: this process has too much memory.

        A task that itself needs so much would, given back, have the next process leave as well, and so on without an end.
        """
        if not self._is_leaving and not self.is_stopping:
            self._is_leaving = True
            logger.warning("This process has more memory than it may have: it ends what it runs, and leaves.")
            self.wake()

    def wake(self) -> None:
        """Let the loop turn now."""
        self._hopes.rise()
        threading.Thread(target=self._heard, daemon=True).start()

    @property
    def succeeded(self) -> int:
        """Tasks that ended here and were recorded as successes."""
        return self._ledger.succeeded

    @property
    def failed(self) -> int:
        """Tasks that ended here and were recorded as failed for good."""
        return self._ledger.failed

    @property
    def cancelled(self) -> int:
        """Tasks that ended here since somebody cancelled them."""
        return self._ledger.cancelled

    @property
    def retried(self) -> int:
        """Attempts that ended here and after which another one follows."""
        return self._ledger.retried

    @property
    def was_forced(self) -> bool:
        """Whether tasks were still running here when the worker ended; they were given back."""
        return self._left_running

    @property
    def is_told_to_stop(self) -> bool:
        """Whether it ends because somebody wants it to, and not because there is nothing more to do."""
        return self._was_told

    @property
    def has_had_enough(self) -> bool:
        """Whether it has run all the tasks that it may, or has more memory than it may have."""
        return self._is_leaving or self.config.max_tasks is not None and self._ran >= self.config.max_tasks

    @property
    def is_stopping(self) -> bool:
        """Whether it claims no more, and ends when what runs has ended."""
        return self._stops > 0

    def vitals(self) -> Vitals:
        """Return what those who watch over workers are told of this one."""
        state = STOPPING if self.is_stopping or self._is_leaving else QUIET if self._is_quiet else READY
        running = max(0, len(self._running) - self._crew.threads.waiting())
        return Vitals(state=state, turns=self.turns, running=running, beat_at=self.beat_at)

    def load(self) -> dict[str, float]:
        """Return how much there is room for, and how much of it is taken."""
        return {
            "thread_slots": self.config.concurrency,
            "coroutine_slots": self.config.async_concurrency,
            "thread_busy": len(self._crew.threads.running()),
            "coroutine_busy": len(self._crew.coroutines()),
            "held": len(self._ledger.held),
            **({} if (memory := tree_bytes(self.info.pid)) is None else {"memory": memory}),
        }

    def quiet(self) -> None:
        """Claim nothing until `resume()`; what runs goes on."""
        self._is_quiet = True

    def resume(self) -> None:
        """Claim again."""
        self._is_quiet = False
        self.wake()

    def drain(self, condemned: str) -> None:
        """End when everything else has ended: the task `condemned` does not stop, and is settled by the supervisor."""
        self._strangers.leave(condemned)
        with self._news:
            self._ledger.drop(condemned)
            self._running.pop(condemned, None)
            self._left_running = True
        self.wind_down()

    def keep_own_lease(self) -> None:
        """Beat from here on, in a thread: whoever kept the lease from outside is gone."""
        self._heartbeat.close()
        self._heartbeat = Heartbeat(self.broker, self.info, self._ledger.believed, self._pulsed)
        self._heartbeat.start()

    def dump_stacks(self) -> None:
        """Log the stack of each thread, and which task it runs."""
        log_stacks(self._crew)

    def _turn(self) -> None:
        self.turns += 1
        self._enforce_deadlines()
        self._give_back_late()
        try:
            self._settle_and_claim()
        finally:
            self._endings.tell()
        self._listen()

    def _settle_and_claim(self) -> None:
        if self._ledger.outages.is_resting:
            return
        self._ledger.sift_suspects()
        with self._news:
            # What has ended takes no room: counted while it is there.
            free = self._room()
            room = self._hopes.worth_asking(free)
            outcomes = self._ledger.take()
        if not outcomes and not room.kinds:
            return
        self._is_exchanging = True
        try:
            self._exchange(outcomes, room, free)
        finally:
            self._is_exchanging = False

    def _exchange(self, outcomes: list[Outcome], room: Room, free: Room) -> None:
        """Settle, and claim for as much of the `free` room as is worth asking for."""
        try:
            first, *others = self._order.turns() if room.kinds else [self.config.queues]
            lost, claims = self.broker.exchange(outcomes, first, room, self.info)
        except PartlySettled as exc:
            outcomes = self._ledger.put_by(outcomes, exc)
            lost, claims = exc.lost, exc.claims
        except Exception as exc:
            self._ledger.put_off(outcomes, exc)
            return
        else:
            claims += self._claim_from(others, room.beside(claims))
        self._ledger.outages.recovered()
        self._ledger.recorded(outcomes, lost)
        with self._news:
            self._hopes.learn(room, claims)
        self._hand_out(claims, free)
        with self._news:
            if outcomes and self.config.burst or any(makes_ready(outcome) for outcome in outcomes):
                # In a burst what ended may have enqueued something itself.
                self._hopes.rise(tuple(kind for kind in BOTH if kind not in room.kinds))

    def _listen(self) -> None:
        """Have the store tell of what it did not have, where no claim asks for that anyway."""
        with self._news:
            if (listen_at := self._hopes.listen_at) is None or time.monotonic() < listen_at:
                return
            kinds = self._hopes.lost
        self._listener.listen(kinds)

    def _claim_from(self, others: Sequence[Queues], room: Room) -> list[Claim]:
        """Fill the room that the first queue has left."""
        claims: list[Claim] = []
        for queues in others:
            left = room.beside(claims)
            if not left.kinds:
                break
            try:
                claims += self.broker.claim(queues, left, self.info)
            except QueueError as exc:
                # What was claimed before is in hand; the next turn meets the same error and deals with it.
                logger.warning("Not all queues could be asked: %s", exc)
                break
        return claims

    def _room(self) -> Room:
        is_closed = self._quarantine.is_closed(is_busy=bool(self._running))
        if is_closed or self.is_stopping or self._is_quiet or self.has_had_enough:
            return _NO_ROOM
        # What has ended takes no thread, and waits for a part of the store that is away, maybe for long.
        in_threads = len(self._ledger.held) - len(self._coroutines) - self._ledger.unrecorded
        at_once = self.config.concurrency + self._prefetch.extra()
        functions = at_once - in_threads
        if in_threads > self.config.concurrency and functions < self._prefetch.extra() // 2:
            # There is enough to do; a claim now would be a small one.
            functions = 0
        # All that there is room for at once would leave nothing to other processes.
        coroutines = min(at_once, self.config.async_concurrency - len(self._coroutines))
        functions, coroutines = max(0, functions), max(0, coroutines)
        total = functions + coroutines
        if self.config.max_tasks is not None:
            begun = self._ran + len(self._ledger.held) - self._ledger.unrecorded
            total = max(0, min(total, self.config.max_tasks - begun))
        return Room(functions, coroutines, total)

    def _hand_out(self, claims: list[Claim], free: Room) -> None:
        ordinary: list[Execution] = []
        coroutines: list[Execution] = []
        for claim in self._admitted(self._fitting(claims, free)):
            self._ledger.hold(claim)
            execution = Execution(claim, self.options, self._sender, self.broker.annotate)
            execution.keeps_log = True
            (coroutines if kind_of(claim) else ordinary).append(execution)
            if (former := self._running.get(claim.job.id)) is not None:
                # Lost while this worker was suspended, and now it is here again.
                self._halt(former, TaskCancelled("The worker's lease ran out, and the task runs again."))
            self._running[claim.job.id] = execution
            if self._deadlines.watch(execution) or self._supervision is not None:
                execution.on_begin = self._began
            if self._tally is not None:
                self._tally.watch(execution)
        with self._news:
            self._coroutines.update(coroutines)
        self._crew.put(ordinary, coroutines)

    def _fitting(self, claims: list[Claim], free: Room) -> list[Claim]:
        """Return the claims for which there is room; those whose code is of the other kind since may have to go back."""
        others = misfits(claims, free)
        if not others:
            return claims
        self._ledger.give_back(others, delay=0.0)
        try:
            put_right(self.broker, others)
        except QueueError as exc:
            logger.warning("%d tasks lie among those of the other kind still: %s", len(others), exc)
        with self._news:
            # They are ready among the others now, and what stood behind a limit of theirs may be, too.
            self._hopes.rise()
        return [claim for claim in claims if claim not in others]

    def _admitted(self, claims: list[Claim]) -> list[Claim]:
        """Return the claims that begin now; give the others back first, since what begins may end this process."""
        # What has ended and is not recorded would be lost as well.
        admitted, others = self._quarantine.admit(claims, is_busy=bool(self._running or self._ledger.ended))
        if others:
            # They keep their place, unless the next claim would only bring them here again.
            self._ledger.give_back(others, delay=0.0 if self._quarantine.is_closed(is_busy=True) else SUSPECT_DELAY)
        return admitted

    def _began(self, execution: Execution) -> None:
        """Called in the task's thread, or the loop's."""
        if self._supervision is not None:
            self._supervision.began(execution)
        if execution.deadline is not None:
            with self._news:
                # The loop sleeps without knowing of this deadline.
                self._news.notify()

    def _enforce_deadlines(self) -> None:
        for execution in self._deadlines.passed():
            if execution.claim.job.id in self._running:
                name, timeout = execution.claim.job.name, execution.timeout
                self._halt(execution, TaskTimeout(f"{name} ran for longer than its {timeout:g} s."))

    def _give_back_late(self) -> None:
        """Let others have what was claimed ahead, and waits behind tasks that are longer than those before them were."""
        since = self._crew.threads.waits_since()
        if since is not None and (waited := time.monotonic() - since) >= LATE:
            self._prefetch.was_too_much(waited)
            self._give_back(self._crew.threads.take_back())

    def _halt(self, execution: Execution, reason: BaseException) -> None:
        if not self._crew.stop(execution, reason):
            # It has not begun, and will not.
            execution.stopped_by = execution.stopped_by or reason

    def _ended(self, execution: Execution, outcome: Outcome | None, seconds: float) -> None:
        """Called in the task's thread, or the loop's."""
        job = execution.claim.job
        if self._supervision is not None:
            self._supervision.ended(execution)
        self._endings.note(execution, outcome, seconds)
        with self._news:
            self._deadlines.forget(execution)
            if self._running.get(job.id) is execution:
                del self._running[job.id]
            self._quarantine.ended(job.id)
            if execution in self._coroutines:
                self._coroutines.discard(execution)
            else:
                self._prefetch.note(seconds)
            self._ran += not isinstance(outcome, Released)
            if outcome is None:
                # An atomic task, which has settled itself.
                self._ledger.settled_itself(job.id)
                if self.config.burst:
                    self._hopes.rise()
            else:
                self._ledger.ended.append(outcome)
            # A loop that turns looks by itself before it lies down; one that lies may do so for long.
            if self._wakes_at and (self._is_pressing() or self._wakes_at - time.monotonic() > LINGER):
                self._news.notify()

    def _is_pressing(self) -> bool:
        """Return whether the loop has a reason to turn now. Called with the lock."""
        may_claim = self._hopes.fit(self._room())
        if ended := self._ledger.ended:
            return not self._running or len(ended) >= FULL or may_claim and not self._crew.threads.waiting()
        return may_claim

    def _sleep(self) -> None:
        with self._news:
            while not self._is_over():
                if not self._ledger.outages.is_resting and self._is_pressing():
                    return
                nap = self._nap()
                if nap <= 0:
                    return
                if not self._lie_down(nap):
                    return

    def _lie_down(self, nap: float) -> bool:
        """Wait for news, `nap` seconds at most; return whether there are some. Called with the lock."""
        self._wakes_at = time.monotonic() + nap
        try:
            return self._news.wait(nap)
        finally:
            self._wakes_at = 0.0

    def _nap(self) -> float:
        now = time.monotonic()
        naps = [LONGEST_NAP]
        if (listen_at := self._hopes.listen_at) is not None and not self._listener.listens_for(self._hopes.lost):
            naps.append(listen_at - now)
        if self._ledger.outages.is_resting:
            return max(0.001, min(LONGEST_NAP, self._ledger.outages.retry_at - now))
        if (ended := self._endings.untold_since()) is not None:
            naps.append(ended + LINGER - now)
        if (since := self._crew.threads.waits_since()) is not None:
            naps.append(since + LATE - now)
        if (deadline := self._deadlines.next()) is not None:
            naps.append(deadline - now)
        return min(naps)

    def _heard(self, kinds: Kinds = BOTH) -> None:
        with self._news:
            self._hopes.rise(kinds)
            self._news.notify_all()

    def _is_over(self) -> bool:
        if self.is_stopping:
            return True
        if not self._ledger.is_clear:
            return False
        if self.has_had_enough:
            return True
        return self.config.burst and not self._hopes and not self._ledger.outages.is_on

    def _pulsed(self, believed: dict[str, int], pulse: Pulse) -> None:
        self.beat_at = time.monotonic()
        if self._supervision is None and is_beyond(self.config.max_memory):
            self.leave_when_done()
        # Asked first: what is being claimed just now may come to be held between this line and the next.
        is_exchanging = self._is_exchanging or self._maintenance.is_rescuing
        unknown = {
            id_: token for id_, token in pulse.held.items() if id_ not in believed and id_ not in self._ledger.held
        }
        self._strangers.seen(unknown, may_be_late=is_exchanging)
        for job_id, token in believed.items():
            claim, execution = self._ledger.held.get(job_id), self._running.get(job_id)
            if claim is None or claim.token != token or execution is None or execution.stopped_by is not None:
                continue
            if pulse.held.get(job_id) != token and (pulse.is_whole or job_id in pulse.held):
                logger.warning(
                    "Task id=%s path=%s was taken from this worker: its lease ran out.", job_id, claim.job.name
                )
                self._halt(execution, TaskCancelled("The worker's lease ran out; another worker runs this task."))
            elif job_id in pulse.cancelled:
                logger.info("Task id=%s path=%s is being cancelled.", job_id, claim.job.name)
                self._halt(execution, TaskCancelled("The task was cancelled while it ran."))

    def _shut_down(self) -> None:
        deadline = time.monotonic() + self.config.shutdown_timeout
        self._stops = max(1, self._stops)
        self._give_back(self._crew.take_back())
        while self._ledger.held and time.monotonic() < deadline and self._stops < 2:
            self._turn()
            with self._news:
                if self._ledger.held and (not self._ledger.ended or self._ledger.outages.is_resting):
                    self._lie_down(0.05)
        self._endings.tell()
        self._left_running = self._left_running or bool(self._running)
        self._give_back(list(self._running.values()))
        self._ledger.settle_last()
        self._listener.close()
        self._heartbeat.close()
        self._maintenance.close()
        self._crew.close()
        try:
            self.broker.leave(self.info)
        except QueueError as exc:
            logger.warning("The worker could not sign off: %s", exc)
        self.broker.close()

    def _give_back(self, executions: list[Execution]) -> None:
        with self._news:
            for execution in executions:
                self._deadlines.forget(execution)
                self._quarantine.ended(execution.claim.job.id)
                self._running.pop(execution.claim.job.id, None)
                self._ledger.ended.append(Released(claim=execution.claim))
