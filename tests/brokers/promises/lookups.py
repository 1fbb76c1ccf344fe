"""Looking: get, find, counts, workers."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from reinhardt_tasks.brokers.base import Broker, Query, QueueCounts
from reinhardt_tasks.jobs import Job, TaskStatus, new_id

from .base import LONG, SHORT_LEASE, Promises, enqueued, ids_of, new_job, new_worker, running, signed_in


class Lookups(Promises):
    def test_get_leaves_out_what_is_not_there(self, broker: Broker) -> None:
        (job,) = enqueued(broker, new_job())
        assert broker.get([new_id(), job.id, new_id()]) == {job.id: job}
        assert broker.get([new_id()]) == {}

    def test_what_is_no_id_at_all_is_only_not_there(self, broker: Broker) -> None:
        nonsense = ["", "nonsense", "ümlaut", "0"]
        assert broker.get(nonsense) == {}
        assert broker.cancel(nonsense) == broker.retry(nonsense) == broker.delete(nonsense) == []

    def test_found_jobs_are_whole(self, broker: Broker) -> None:
        jobs = [self.job_in(broker, status) for status in TaskStatus]
        assert broker.find(Query()) == jobs[::-1]

    def test_find_goes_page_by_page_from_the_newest_to_the_oldest(self, broker: Broker) -> None:
        jobs = broker.enqueue([new_job() for _ in range(10)])
        found: list[Job] = []
        pages = 0
        while page := broker.find(Query(), after=found[-1].id if found else None, limit=4):
            found += page
            pages += 1
        assert ids_of(found) == ids_of(jobs[::-1])
        assert pages == 3

    def test_each_condition_of_find_narrows_it(self, broker: Broker) -> None:
        running_worker, other_worker = new_worker("one"), new_worker("two")
        held = running(broker, running_worker, queue="a", name="tasks.one")
        other = running(broker, other_worker, queue="b", name="tasks.two")
        waiting, later = broker.enqueue(
            [
                new_job(queue="a", name="tasks.two"),
                new_job(queue="b", name="tasks.One", run_after=self.now() + timedelta(seconds=LONG)),
            ]
        )

        def found(**conditions: object) -> list[str]:
            return ids_of(broker.find(Query(**conditions)))

        assert found() == ids_of([later, waiting, other, held])
        assert found(queue="a") == ids_of([waiting, held])
        assert found(queue="A") == found(queue="none") == []
        assert found(name="tasks.two") == ids_of([waiting, other])
        assert found(name="tasks.one") == ids_of([held])
        assert found(worker=running_worker.id) == ids_of([held])
        assert found(worker="nobody") == []
        assert found(statuses=(TaskStatus.RUNNING,)) == ids_of([other, held])
        assert found(statuses=(TaskStatus.RUNNING, TaskStatus.SCHEDULED)) == ids_of([later, other, held])
        assert found(statuses=()) == []
        assert found(statuses=(TaskStatus.RUNNING,), queue="b", name="tasks.two", worker=other_worker.id) == ids_of(
            [other]
        )
        assert ids_of(broker.find(Query(queue="a"), after=waiting.id, limit=1)) == ids_of([held])

    def test_counts_tell_each_queue_apart_and_leave_out_what_has_finished(self, broker: Broker) -> None:
        for status in TaskStatus:
            self.job_in(broker, status)
        oldest = self.now() - timedelta(hours=1)
        broker.enqueue([new_job(queue="busy"), new_job(queue="busy", run_after=oldest), new_job(queue="busy")])

        counts = {each.queue: each for each in broker.counts()}

        assert [each.queue for each in broker.counts()] == sorted(counts)
        for status in TaskStatus:
            one = counts.get(f"only-{status.lower()}")
            assert _present(one) == ({} if status.is_finished else {status: 1})
        assert _present(counts["busy"]) == {TaskStatus.PENDING: 3}
        assert counts["busy"].oldest_due_at == oldest
        assert counts["only-scheduled"].oldest_due_at is None

    def test_counts_are_bounded(self, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(type(broker), "COUNT_LIMIT", 5)
        broker.enqueue([new_job(queue="many") for _ in range(9)])
        broker.enqueue([new_job(queue="many", run_after=self.now() + timedelta(seconds=LONG)) for _ in range(3)])
        (counts,) = broker.counts()
        assert _present(counts) == {TaskStatus.PENDING: 5, TaskStatus.SCHEDULED: 3}

    def test_nothing_is_counted_where_nothing_is(self, broker: Broker) -> None:
        assert broker.counts() == []
        assert broker.workers() == []
        assert broker.find(Query()) == []

    def test_workers_are_shown_while_they_live_and_until_what_they_held_is_saved(self, broker: Broker) -> None:
        living, dying = signed_in(broker, "living"), new_worker("dying", lease=SHORT_LEASE)
        claim = running(broker, dying)
        self.end_lease(broker, dying)

        records = {record.info: record for record in self.another_broker().workers()}
        assert set(records) == {living, dying}
        assert (records[living].is_alive, records[living].running) == (True, 0)
        assert (records[dying].is_alive, records[dying].running) == (False, 1)
        assert all(record.started_at <= record.beat_at for record in records.values())

        (rescued,) = broker.rescue(10, living)
        assert rescued.job.id == claim.job.id
        (record,) = (record for record in broker.workers() if record.is_alive)
        assert (record.info, record.running) == (living, 1)

    def test_a_heartbeat_moves_beat_at_and_leaves_started_at(self, broker: Broker) -> None:
        worker = signed_in(broker)
        (before,) = broker.workers()
        self.after(before.beat_at)
        broker.heartbeat(worker)
        (after,) = broker.workers()
        assert after.started_at == before.started_at
        assert after.beat_at > before.beat_at

    def test_a_workers_memory_is_what_it_last_told(self, broker: Broker) -> None:
        def told() -> list[int | None]:
            return [record.info.memory for record in self.another_broker().workers()]

        worker = signed_in(broker)
        assert told() == [None]
        for memory in (80 * 2**20, 3 * 2**32):
            broker.heartbeat(replace(worker, memory=memory))
            assert told() == [memory]
        # It signs in once more, or a release that does not tell keeps its lease.
        broker.heartbeat(worker)
        assert told() == [3 * 2**32]

    def test_a_worker_that_left_is_not_shown(self, broker: Broker) -> None:
        staying, leaving = signed_in(broker, "staying"), signed_in(broker, "leaving")
        broker.leave(leaving)
        broker.leave(new_worker("never-there"))
        assert [record.info for record in broker.workers()] == [staying]

    def test_a_broker_says_where_its_jobs_are(self, broker: Broker) -> None:
        assert broker.traits.place


def _present(counts: QueueCounts | None) -> dict[TaskStatus, int]:
    return {status: number for status, number in counts.counts.items() if number} if counts else {}
