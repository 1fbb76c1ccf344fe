"""The broker whose jobs are rows. Each verb is a statement or two; what differs between databases is in the dialects."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from ...exceptions import QueueError
from ...jobs import Claim, Job, Outcome, Progress, Released, Retrying, as_enqueued
from ...models import lane_of
from ...timestamps import to_micros
from ..base import (
    BOTH,
    Broker,
    BrokerTraits,
    Changes,
    Kinds,
    Line,
    Pulse,
    QueueCounts,
    Queues,
    Room,
    WorkerInfo,
    WorkerRecord,
)
from ..lookups import Failures, Page, Query, Tallies
from . import gates, heldback, lookups, once, people, waiting
from .dialects import JOBS, WORKERS, Row, Stretch, marks
from .fronts import Fronts
from .inserts import insert_sql
from .news import News
from .outcomes import Group, groups_of
from .rows import COLUMNS, WHOLE, is_uuid, job_of, uuid_text
from .session import Session

T = TypeVar("T")

logger = logging.getLogger("reinhardt_tasks")

#: Jobs that one statement promotes at most, and the least seconds between two looks for such.
_PROMOTED_AT_ONCE = 500
_PROMOTE_EVERY = 0.02
#: How often a job is stored again whose key was free again before it was seen who had it.
_TRIES = 20
#: Rounds of attending in a row: a job that has several limits passes one in each.
_ROUNDS = 5


class DatabaseBroker(Broker):
    """Jobs of the backend `alias`, in the database `database`. One object serves all threads of a process.

    `notify` says whether workers are told of new jobs (PostgreSQL).
    """

    def __init__(self, alias: str, database: str, *, notify: bool = True) -> None:
        self.alias = alias
        self.session = Session(database)
        self.news = News(self.session, alias, notify=notify)
        #: When something was ready here last, by the monotonic clock.
        self.found_at = 0.0
        self._fronts = Fronts()
        self._beats: dict[str, float] = {}
        self._promoted_at = 0.0
        # Whether somebody was seen to knock, and how far the rules of limits were swept.
        self._is_knocked_at = False
        self._swept = ""

    @property
    def traits(self) -> BrokerTraits:
        settings = self.session.connection.settings_dict
        name = str(settings.get("NAME") or "")
        host = str(settings.get("HOST") or "")
        vendor = self.session.connection.display_name
        place = f"{vendor} {name}" + (f" at {host}:{settings.get('PORT') or 'default port'}" if host else "")
        # Consumer, listener, heartbeat and maintenance have one each; PostgreSQL's LISTEN another.
        return BrokerTraits(is_transactional=True, place=place, connections=4 + self.news.is_notifying)

    def enqueue(self, jobs: Sequence[Job]) -> list[Job]:
        if not jobs:
            return []
        debounced = any(job.debounce is not None for job in jobs)
        stored = self._run(
            lambda cursor: self._insert(cursor, jobs), together=debounced or len(jobs) > self._dialect.insert_rows
        )
        if any(job.limits for job in jobs):
            # They knock: whoever claims here next is to look at once.
            self._promoted_at = 0.0
        self.news.rouse()
        return stored

    def get(self, ids: Collection[str]) -> dict[str, Job]:
        wanted = [id_ for id_ in ids if is_uuid(id_)]
        if not wanted:
            return {}
        params = [self._dialect.id_param(id_) for id_ in wanted]
        found = self._run(lambda cursor: self._select(cursor, "id", params, WHOLE))
        return {job.id: job for job in found if job.backend == self.alias}

    def wait(self, queues: Queues, timeout: float, kinds: Kinds = BOTH) -> bool:
        return waiting.wait(self, self.news.ear(), queues, timeout, kinds)

    def wake(self) -> None:
        self.news.wake()

    def claim(self, queues: Queues, limit: int | Room, worker: WorkerInfo) -> list[Claim]:
        room = Room.of(limit)
        if not room.kinds:
            return []
        self._sign_in(worker)
        heeds = not self.session.is_in_transaction
        claims = self._run(
            lambda cursor: self._claim(cursor, queues, room, worker, heeds=heeds), together=queues is None
        )
        return claims + self._attend(claims, (), queues, room.beside(claims), worker)

    def settle(self, outcomes: Sequence[Outcome]) -> list[Claim]:
        if not outcomes:
            return []
        groups = groups_of(outcomes, self._dialect)
        together = len(groups) > 1 or any(o.claim.job.once_until for o in outcomes)
        lost = self._run(lambda cursor: self._settle(cursor, groups), together=together)
        self._attend((), outcomes, None, Room.of(0), None)
        self._tell_of(outcomes)
        return lost

    def exchange(
        self, outcomes: Sequence[Outcome], queues: Queues, limit: int | Room, worker: WorkerInfo
    ) -> tuple[list[Claim], list[Claim]]:
        room = Room.of(limit)
        if not outcomes or not room.kinds:
            return self.settle(outcomes), self.claim(queues, room, worker)
        self._sign_in(worker)

        groups = groups_of(outcomes, self._dialect)
        heeds = not self.session.is_in_transaction

        def both(cursor: Any) -> tuple[list[Claim], list[Claim]]:
            return self._settle(cursor, groups), self._claim(cursor, queues, room, worker, heeds=heeds)

        lost, claims = self._run(both, together=True)
        claims += self._attend(claims, outcomes, queues, room.beside(claims), worker)
        self._tell_of(outcomes)
        return lost, claims

    def heartbeat(self, worker: WorkerInfo) -> Pulse:
        def beat(cursor: Any) -> Pulse:
            self._upsert_worker(cursor, worker)
            cursor.execute(f"SELECT id, token, cancel_requested FROM {JOBS} WHERE held_by = %s", [worker.id])
            rows = [(uuid_text(id_), token, cancelled) for id_, token, cancelled in cursor.fetchall()]
            return Pulse(
                held={id_: token for id_, token, _ in rows},
                cancelled=frozenset(id_ for id_, _, cancelled in rows if cancelled),
            )

        pulse = self._run(beat)
        self._beats[worker.id] = time.monotonic()
        return pulse

    def rescue(self, limit: int, worker: WorkerInfo) -> list[Claim]:
        dead = self._run(self._dead_workers)
        if not dead or limit <= 0:
            return []
        asked_at = time.monotonic()
        self._sign_in(worker)
        if worker.id in dead or time.monotonic() - asked_at > worker.lease / 6:
            # It was kept from writing, as others that look dead may have been: they have until its next look to beat.
            return []

        def take_over(cursor: Any) -> list[Row]:
            still_dead = [id_ for id_ in self._dead_workers(cursor) if id_ in dead]
            rows: list[Row] = self._dialect.take_over(cursor, still_dead, limit, worker.id) if still_dead else []
            return rows

        rows = self._run(take_over, together=True)
        if len(rows) < limit:
            self._run(lambda cursor: self._forget_workers(cursor, dead))
        return [Claim(job=job, token=job.token, worker=worker.id) for job in map(job_of, rows)]

    def leave(self, worker: WorkerInfo) -> None:
        # The row stays until nothing is held in its name: that is how others find what it held.
        self._beats.pop(worker.id, None)
        self._run(lambda cursor: cursor.execute(f"UPDATE {WORKERS} SET expires_at = 0 WHERE id = %s", [worker.id]))

    def annotate(self, claim: Claim, metadata: Mapping[str, Any], progress: Progress | None) -> bool:
        return self._run(
            lambda cursor: people.annotate(
                cursor, self._dialect.id_param(claim.job.id), claim.token, metadata, progress
            )
        )

    def cancel(self, ids: Collection[str]) -> list[str]:
        return self._edit(ids, people.cancel)

    def retry(self, ids: Collection[str]) -> list[str]:
        done = self._edit(ids, people.retry)
        if done:
            self._tell_now()
        return done

    def delete(self, ids: Collection[str]) -> list[str]:
        return self._edit(ids, people.delete)

    def change(self, ids: Collection[str], changes: Changes) -> list[str]:
        done = self._edit(ids, partial(people.change, changes=changes))
        if done:
            self._tell_now()
        return done

    def rewrite(self, id_: str, payload: str) -> bool:
        return is_uuid(id_) and self._run(
            lambda cursor: lookups.rewrite(cursor, self._dialect, self.alias, id_, payload)
        )

    def page(self, query: Query, after: str | None, limit: int) -> Page:
        return self._run(lambda cursor: lookups.page(cursor, self._dialect, self.alias, query, after, limit))

    def tally(self, since: datetime, until: datetime, step: timedelta) -> Tallies:
        return self._run(lambda cursor: lookups.tally(cursor, self.alias, since, until, step))

    def failures(self, limit: int = 1000) -> Failures:
        return self._run(lambda cursor: lookups.failures(cursor, self._dialect, self.alias, limit))

    def counts(self) -> list[QueueCounts]:
        return self._run(lambda cursor: people.counts(cursor, self._dialect, self.alias, self.COUNT_LIMIT))

    def lines(self, limit: int = 100) -> list[Line]:
        return self._run(lambda cursor: heldback.lines(cursor, self._dialect, self.alias, limit, self.COUNT_LIMIT))

    def line_of(self, id_: str) -> Line | None:
        return self._run(lambda cursor: heldback.line_of(cursor, self._dialect, self.alias, id_, self.COUNT_LIMIT))

    def workers(self) -> list[WorkerRecord]:
        return self._run(lambda cursor: people.workers(cursor, self._dialect, self.alias))

    def pause(self, queue: str) -> None:
        self._run(lambda cursor: people.pause(cursor, self._dialect, lane_of(self.alias, queue)))

    def resume(self, queue: str) -> None:
        self._run(lambda cursor: people.resume(cursor, lane_of(self.alias, queue)))
        self._tell_now()

    def prune(self, before: datetime, limit: int) -> int:
        def work(cursor: Any) -> tuple[tuple[list[str], str], int]:
            looked = gates.idle(cursor, self._dialect, self._swept, limit)
            return looked, people.prune(cursor, self._dialect, self.alias, to_micros(before), limit)

        (idle, self._swept), pruned = self._run(work)
        if idle:
            self._run(lambda cursor: gates.drop(cursor, self._dialect, idle), together=True)
        return pruned

    def transaction(self) -> AbstractContextManager[None]:
        return self.session.transaction()

    def close(self) -> None:
        self.news.close_ear()
        self.session.close()

    @property
    def _dialect(self) -> Any:
        return self.session.dialect

    def _run(self, work: Callable[[Any], T], *, together: bool = False) -> T:
        return self.session.run(work, together=together)

    def _insert(self, cursor: Any, jobs: Sequence[Job]) -> list[Job]:
        stored: list[Job] = []
        step = self._dialect.insert_rows
        for start in range(0, len(jobs), step):
            stored += self._insert_some(cursor, jobs[start : start + step])
        return stored

    def _insert_some(self, cursor: Any, jobs: Sequence[Job], tries: int = 0) -> list[Job]:
        if tries > _TRIES:
            raise QueueError(
                f"The once key {jobs[0].once_key!r} was taken and given back {tries} times while a job was stored under it. "
                "In a transaction of isolation level REPEATABLE READ it may be held by one that is not to be seen there."
            )
        # Two that store the same keys in different orders would each wait for the other.
        in_one_order = sorted(jobs, key=lambda job: job.once_key or "")
        sql, params = insert_sql(self._dialect, self.alias, in_one_order)
        channel = self.news.channel_if_due()
        made = self._dialect.insert(cursor, sql, params, channel)
        if channel is None:
            self.news.tell_if_late()
        now = datetime.now(UTC)
        # What a bulk stores is told without reading it back; only where a row was there already has anybody to look.
        stored = [as_enqueued(job, now) for job in jobs]
        return stored if made == len(jobs) else self._firsts(cursor, stored, jobs, tries)

    def _firsts(self, cursor: Any, jobs: Sequence[Job], given: Sequence[Job], tries: int) -> list[Job]:
        """Return what stands for each job of which some were not stored: itself, or the first with its id or key."""
        # An id is one job's in the whole table: what was sent by another alias before is not sent once more.
        by_id = {job.id: job for job in self._select(cursor, "id", [self._dialect.id_param(job.id) for job in jobs])}
        keys = [job.once_key for job in jobs if job.once_key is not None and job.id not in by_id]
        by_key = {
            job.once_key: job
            for job in (self._select(cursor, "once_key", keys) if keys else [])
            if job.backend == self.alias
        }
        answer = []
        for job, its in zip(jobs, given, strict=True):
            first = by_id.get(job.id) or by_key.get(job.once_key)
            if first is not None and first.id != job.id and its.debounce is not None:
                first = once.put_off(cursor, self._dialect, first, its)
            if first is None:
                # Whoever had the key has given it back in between.
                (first,) = self._insert_some(cursor, [its], tries + 1)
            if job.once_key is not None:
                by_key[job.once_key] = first
            answer.append(first)
        return answer

    def _select(self, cursor: Any, column: str, values: Sequence[Any], columns: Sequence[str] = COLUMNS) -> list[Job]:
        found: list[Row] = []
        for start in range(0, len(values), 1000):
            some = values[start : start + 1000]
            cursor.execute(f"SELECT {', '.join(columns)} FROM {JOBS} WHERE {column} IN ({marks(some)})", some)
            found += cursor.fetchall()
        return [job_of(row) for row in found]

    def _claim(
        self, cursor: Any, queues: Queues, room: Room, worker: WorkerInfo, *, heeds: bool = False
    ) -> list[Claim]:
        """Claim; or nothing, where somebody knocks and the caller `heeds` that: one of those may be more urgent."""
        self.promote(cursor)
        if heeds and self._is_knocked_at:
            return []
        lanes = self.lanes(cursor, queues)
        if not lanes:
            return []
        rows = self._take(
            cursor, [Stretch(lane, kind, room.for_kind(kind)) for lane in lanes for kind in room.kinds], room, worker
        )
        if rows:
            self.found_at = time.monotonic()
        jobs = sorted(map(job_of, rows), key=lambda job: (-job.priority, job.due_at, job.id))
        return [Claim(job=job, token=job.token, worker=worker.id) for job in jobs]

    def _take(self, cursor: Any, stretches: Sequence[Stretch], room: Room, worker: WorkerInfo) -> list[Row]:
        if not self._dialect.uses_fronts:
            rows: list[Row] = self._dialect.claim(cursor, stretches, room.total, worker.id)
            return rows
        fronted = self._fronts.onto(stretches)
        rows, seconds = self._dialect.timed_claim(cursor, fronted, room.total, worker.id)
        self._fronts.learn(fronted, rows, room.total, seconds)
        if not rows and any(its.front for its in fronted):
            self._fronts.drop(stretches)
            rows = self._dialect.claim(cursor, stretches, room.total, worker.id)
        return rows

    def lanes(self, cursor: Any, queues: Queues) -> list[str]:
        """Return where to look for ready jobs of these queues; of all that have some, where None are named."""
        if queues is not None:
            return [lane_of(self.alias, queue) for queue in queues]
        prefix = lane_of(self.alias, "")
        return [lane for lane in self._dialect.ready_lanes(cursor) if lane.startswith(prefix)]

    def promote(self, cursor: Any, *, now: bool = False) -> None:
        """Make ready what is due; at most every few milliseconds, unless it is known to be due."""
        if now or time.monotonic() - self._promoted_at >= _PROMOTE_EVERY:
            self._promoted_at = time.monotonic()
            if self._dialect.promote(cursor, _PROMOTED_AT_ONCE):
                self._is_knocked_at = True

    def attend(self) -> bool:
        """Attend to limited jobs that were seen to knock. Return whether there were some."""
        # In a transaction of the caller's a key would be locked for as long as that takes: others will see the knock.
        if not self._is_knocked_at or self.session.is_in_transaction:
            return False
        self._is_knocked_at = False
        try:
            for _ in range(_ROUNDS):
                if not self._run(lambda cursor: gates.attend(cursor, self._dialect), together=True):
                    break
        except QueueError as exc:
            # The caller has claims in its hands, or others to make; who knocks goes on knocking.
            logger.warning("Tasks with limits wait a little longer: %s", exc)
        return True

    def _attend(
        self,
        claims: Sequence[Claim],
        given: Sequence[Outcome],
        queues: Queues,
        room: Room,
        worker: WorkerInfo | None,
    ) -> list[Claim]:
        """Attend to limited jobs, if there were any; claim what that has made ready, where there is `room`."""
        is_told = False
        if any(limit.every for claim in claims for limit in claim.job.limits) or any(
            outcome.claim.job.limits for outcome in given
        ):
            self._is_knocked_at = is_told = True
        has_attended = self.attend()
        if is_told and has_attended:
            # Somebody who sleeps may take what is ready now, or has to rise earlier.
            self.news.rouse()
            self.news.tell()
        if not has_attended or not room.kinds or worker is None:
            return []
        try:
            more = self._run(lambda cursor: self._claim(cursor, queues, room, worker), together=queues is None)
        except QueueError as exc:
            if not claims and not given:
                raise
            # What was settled stands, and what was claimed is held: whoever is told of an error would do it once more.
            logger.warning("What limits have made ready waits for the next claim: %s", exc)
            return []
        return more + self._attend(more, (), queues, room.beside(more), worker) if more else []

    def _settle(self, cursor: Any, groups: Sequence[Group]) -> list[Claim]:
        lost: list[Claim] = []
        for group in groups:
            written = self._dialect.settle(cursor, [row for _, row in group])
            if ended := [outcome.claim.job.id for outcome, _ in group if outcome.claim.job.once_until is not None]:
                once.free_keys(cursor, self._dialect, ended)
            lost += [outcome.claim for outcome, row in group if written.pop(str(row[0]), None) is None]
        return lost

    def _tell_of(self, given: Sequence[Outcome]) -> None:
        """Wake whoever waits, when outcomes made something ready or waiting again."""
        if any(isinstance(outcome, (Released, Retrying)) for outcome in given):
            self._tell_now()

    def _sign_in(self, worker: WorkerInfo) -> None:
        if time.monotonic() - self._beats.get(worker.id, float("-inf")) > worker.lease / 2:
            self.heartbeat(worker)

    def _upsert_worker(self, cursor: Any, worker: WorkerInfo) -> None:
        now = self._dialect.now
        facts: dict[str, str | float] = {
            "id": worker.id,
            "alias": self.alias,
            "name": worker.name[:100],
            "host": worker.host[:255],
            "pid": worker.pid,
            "slots": worker.slots,
            "queues": ",".join(worker.queues),
            "lease": worker.lease,
        }
        updated = ["slots", "queues", "lease", "beat_at", "expires_at"]
        if worker.memory is not None:
            facts["memory"] = worker.memory
            updated.append("memory")
        clock = {"started_at": now, "beat_at": now, "expires_at": f"{now} + {int(worker.lease * 1_000_000)}"}
        sql = self._dialect.upsert_worker(
            [*facts, *clock],
            updated,
            [*(["%s"] * len(facts)), *clock.values()],
        )
        cursor.execute(sql, list(facts.values()))

    def _dead_workers(self, cursor: Any) -> list[str]:
        cursor.execute(
            f"SELECT id FROM {WORKERS} WHERE alias = %s AND expires_at <= {self._dialect.now} LIMIT 100",
            [self.alias],
        )
        return [id_ for (id_,) in cursor.fetchall()]

    def _forget_workers(self, cursor: Any, dead: Sequence[str]) -> None:
        cursor.execute(
            f"DELETE FROM {WORKERS} WHERE id IN ({marks(dead)}) AND expires_at <= {self._dialect.now} "
            f"AND NOT EXISTS (SELECT 1 FROM {JOBS} j WHERE j.held_by = {WORKERS}.id)",
            list(dead),
        )

    def _edit(self, ids: Collection[str], edit: Callable[..., list[str]]) -> list[str]:
        wanted = [id_ for id_ in ids if is_uuid(id_)]
        if not wanted:
            return []
        done = self._run(lambda cursor: edit(cursor, self._dialect, self.alias, wanted), together=True)
        # Whoever has limits knocks now.
        self._promoted_at = 0.0
        return done

    def _tell_now(self) -> None:
        """Let everybody look, those included who are about to sleep."""
        self.news.wake()
        self.news.tell()
