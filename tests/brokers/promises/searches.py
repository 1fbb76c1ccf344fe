"""Searching within a bound, and what is told of what has ended."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from reinhardt_tasks.brokers import lookups
from reinhardt_tasks.brokers.base import Broker, Query
from reinhardt_tasks.jobs import Cancelled, Failed, Job, Succeeded, TaskStatus, new_id
from reinhardt_tasks.serialization import encode_call

from .base import LONG, Promises, attempt_of, claimed, enqueued, ids_of, new_job, new_worker, running, stored_job

#: A name that nobody has registered: all of its arguments are redacted.
UNKNOWN = "nowhere.tasks.none"
KNOWN = "tests.tasks.note"


class Searches(Promises):
    @pytest.fixture
    def narrow(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let the bounds be reached by a handful of jobs."""
        monkeypatch.setattr(lookups, "WALKED", 4)
        monkeypatch.setattr(lookups, "SCANNED", 4)
        monkeypatch.setattr(lookups, "GATHERED", 6)
        monkeypatch.setattr(lookups, "PAGE", 2)
        for module, name in (("redis.lookups", "LOOKED_AT_ONCE"), ("database.lookups", "_FIRST_WINDOW")):
            monkeypatch.setattr(f"reinhardt_tasks.brokers.{module}.{name}", 2)

    def test_jobs_are_found_by_when_they_were_enqueued(self, broker: Broker) -> None:
        (first,) = enqueued(broker, new_job())
        self.after(first.enqueued_at)
        (second,) = enqueued(broker, new_job())
        assert second.enqueued_at is not None

        def found(**span: datetime) -> list[str]:
            return ids_of(broker.find(Query(**span)))

        assert found(enqueued_since=second.enqueued_at) == [second.id]
        assert found(enqueued_until=second.enqueued_at) == [first.id]
        assert found(enqueued_since=first.enqueued_at, enqueued_until=second.enqueued_at) == [first.id]
        assert found(enqueued_since=second.enqueued_at + timedelta(seconds=LONG)) == []

    def test_jobs_are_found_by_when_they_finished(self, broker: Broker) -> None:
        first = stored_job(broker, self.job_in(broker, TaskStatus.SUCCESS))
        self.after(first.finished_at)
        second = stored_job(broker, self.job_in(broker, TaskStatus.FAILURE))
        waiting = self.job_in(broker, TaskStatus.PENDING)

        def found(**conditions: object) -> list[str]:
            return ids_of(broker.find(Query(**conditions)))

        assert found(finished_since=first.finished_at) == [second.id, first.id]
        assert found(finished_since=second.finished_at) == [second.id]
        assert found(finished_until=second.finished_at) == [first.id]
        assert found(finished_since=first.finished_at, statuses=(TaskStatus.SUCCESS,)) == [first.id]
        assert found(finished_since=first.finished_at, queue=second.queue) == [second.id]
        assert waiting.id not in found(finished_until=self.now() + timedelta(seconds=LONG))

    def test_jobs_are_found_by_their_id_or_its_beginning(self, broker: Broker) -> None:
        one = new_job(id=f"01975e20-{new_id()[9:]}")
        other = new_job(id=f"01975e21-{new_id()[9:]}")
        broker.enqueue([one, other])

        def found(prefix: str, **more: object) -> list[str]:
            return ids_of(broker.find(Query(id_prefix=prefix, **more)))

        assert found("01975e2") == [other.id, one.id]
        assert found(one.id) == found(one.id.replace("-", "").upper()) == found(one.id[:-3]) == [one.id]
        assert found("01975e21") == [other.id]
        assert found("01975e21", queue="another") == found(one.id, queue="another") == []
        assert found("01975e22") == found("nonsense") == found(one.id + "0") == found(new_id()) == []

    def test_living_jobs_are_found_behind_any_number_that_ended(self, broker: Broker, narrow: None) -> None:
        kept = {status: self.job_in(broker, status) for status in TaskStatus if not status.is_finished}
        for _ in range(6):
            broker.enqueue([new_job(queue="history")])
            broker.settle([Succeeded(claim=claimed(broker, queues=["history"]))])
        for status, job in kept.items():
            page = broker.search(Query(statuses=(status,)))
            assert (ids_of(page.jobs), page.after, page.is_cut) == ([job.id], None, False)
            assert ids_of(broker.find(Query(statuses=(status,), queue=job.queue))) == [job.id]
            assert broker.find(Query(statuses=(status,), queue="other")) == []

    def test_a_search_says_where_its_bound_ended_it(self, broker: Broker, narrow: None) -> None:
        wanted = [new_job(name="tasks.rare") for _ in range(2)]
        common = [new_job() for _ in range(50)]
        jobs = [wanted[0], *common[:25], wanted[1], *common[25:]]
        for job, id_ in zip(jobs, sorted(job.id for job in jobs), strict=True):
            object.__setattr__(job, "id", id_)
        broker.enqueue(jobs)

        found: list[Job] = []
        pages, after = 0, None
        while True:
            page = broker.search(Query(name="tasks.rare"), after, 5)
            found += page.jobs
            pages += 1
            assert page.is_cut == (page.after is not None)
            if page.after is None:
                break
            after = page.after
        assert ids_of(found) == ids_of(wanted[::-1])
        assert self.walks_everything or pages > 1

    def test_pages_of_any_search_leave_nothing_out_and_have_nothing_twice(self, broker: Broker, narrow: None) -> None:
        for number in range(7):
            broker.enqueue([new_job(queue="ab"[number % 2], id=new_id())])
        later = [new_job(run_after=self.now() + timedelta(seconds=LONG), queue="ab"[n % 2]) for n in range(7)]
        broker.enqueue(later)
        everything = {job.id for job in self._all(broker, Query(), 3)}
        assert len(everything) == 14
        for query in (
            Query(statuses=(TaskStatus.SCHEDULED,)),
            Query(statuses=(TaskStatus.PENDING, TaskStatus.SCHEDULED), queue="a"),
            Query(queue="b"),
            Query(enqueued_since=self.now() - timedelta(seconds=LONG)),
        ):
            for limit in (1, 2, 5):
                found = self._all(broker, query, limit)
                assert ids_of(found) == sorted(set(ids_of(found)), reverse=True)
                assert set(ids_of(found)) == {job.id for job in broker.get(everything).values() if query.matches(job)}

    def test_failures_are_found_by_their_exception(self, broker: Broker) -> None:
        claim = running(broker)
        broker.settle([Failed(claim=claim, attempt=attempt_of(claim, exception="shop.errors.NoStock"))])
        other = self.job_in(broker, TaskStatus.FAILURE)
        self.job_in(broker, TaskStatus.SUCCESS)

        def found(exception: str) -> list[str]:
            return ids_of(broker.find(Query(exception=exception)))

        assert found("shop.errors.NoStock") == found("NoStock") == [claim.job.id]
        assert found("ValueError") == [other.id]
        assert found("Stock") == found("nostock") == found("errors.NoStock") == []

    def test_failures_are_found_by_their_place(self, broker: Broker) -> None:
        claim = running(broker, name=KNOWN, payload="[[],{}]")
        trace = 'Traceback (most recent call last):\n  File "/srv/shop/a.py", line 3, in go\nValueError: no'
        broker.settle([Failed(claim=claim, attempt=attempt_of(claim, traceback=trace))])
        other = self.job_in(broker, TaskStatus.FAILURE)

        def found(place: str) -> list[str]:
            return ids_of(broker.find(Query(place=place, statuses=(TaskStatus.FAILURE,))))

        assert found("/srv/shop/a.py:3 in go") == [claim.job.id]
        assert found("") == [other.id]
        assert found("/srv/shop/a.py:4 in go") == []

    def test_words_in_arguments_are_found_unless_they_are_redacted(self, broker: Broker) -> None:
        seen = new_job(name=KNOWN, payload=encode_call(KNOWN, ["a path", "Straße"], {}))
        unseen = new_job(name=UNKNOWN, payload=encode_call(UNKNOWN, ["Straße"], {}))
        broker.enqueue([seen, unseen])
        assert ids_of(broker.find(Query(text="STRASSE"))) == [seen.id]
        assert ids_of(broker.find(Query(text="a path", queue="default"))) == [seen.id]
        assert broker.find(Query(text="a path", queue="other")) == broker.find(Query(text="nowhere")) == []

    def test_a_scan_says_where_its_bound_ended_it(self, broker: Broker, narrow: None) -> None:
        (wanted,) = broker.enqueue([new_job(name=KNOWN, payload=encode_call(KNOWN, ["needle", ""], {}))])
        broker.enqueue([new_job(name=KNOWN, payload="[[],{}]") for _ in range(50)])
        page = broker.search(Query(text="needle"))
        assert (ids_of(page.jobs), page.is_cut) == ([], True)
        assert page.after is not None
        assert ids_of(self._all(broker, Query(text="needle"), 5)) == [wanted.id]

    def test_what_ended_is_tallied_by_queue_and_outcome(self, broker: Broker) -> None:
        since = self.now() - timedelta(seconds=60)
        for status in (TaskStatus.SUCCESS, TaskStatus.SUCCESS, TaskStatus.FAILURE, TaskStatus.CANCELLED):
            self.job_in(broker, status)
        self.job_in(broker, TaskStatus.PENDING)
        until = self.now() + timedelta(seconds=60)
        tallies = broker.tally(since, until, until - since)
        assert [(t.queue, dict(t.counts), t.begins_at) for t in tallies.tallies] == [
            ("only-cancelled", {TaskStatus.CANCELLED: 1}, since),
            ("only-failure", {TaskStatus.FAILURE: 1}, since),
            ("only-success", {TaskStatus.SUCCESS: 2}, since),
        ]
        assert not tallies.is_estimate
        assert broker.tally(since - timedelta(hours=1), since, timedelta(minutes=1)).tallies == []

    def ended(self, broker: Broker, job: Job) -> Job:
        """Return an ended job as it is tallied."""
        return stored_job(broker, job)

    def test_a_tally_has_a_step_for_each_time(self, broker: Broker) -> None:
        first = self.ended(broker, self.job_in(broker, TaskStatus.SUCCESS))
        self.after(first.finished_at)
        second = self.ended(broker, self.job_in(broker, TaskStatus.SUCCESS))
        assert first.finished_at is not None and second.finished_at is not None
        step = second.finished_at - first.finished_at
        tallies = broker.tally(first.finished_at, second.finished_at + step, step)
        assert [(t.begins_at, dict(t.counts)) for t in tallies.tallies] == [
            (first.finished_at, {TaskStatus.SUCCESS: 1}),
            (second.finished_at, {TaskStatus.SUCCESS: 1}),
        ]

    def test_too_much_to_tally_is_estimated(self, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(lookups, "TALLIED", 20)
        monkeypatch.setattr(lookups, "SAMPLED", 20)
        since = self.now() - timedelta(seconds=30)
        worker = new_worker()
        broker.enqueue([new_job() for _ in range(200)])
        claims = broker.claim(None, 200, worker)
        for good, bad in zip(claims[::2], claims[1::2], strict=True):
            broker.settle([Succeeded(claim=good), Failed(claim=bad, attempt=attempt_of(bad))])
        until = self.now() + timedelta(seconds=30)
        tallies = broker.tally(since, until, until - since)
        (tally,) = tallies.tallies
        assert tallies.is_estimate or self.walks_everything
        # How many there were is known, of which kind only about.
        assert 190 <= sum(tally.counts.values()) <= 210
        assert set(tally.counts) == {TaskStatus.SUCCESS, TaskStatus.FAILURE}
        assert all(number >= 40 for number in tally.counts.values())

    def test_failures_are_counted_by_queue(self, broker: Broker) -> None:
        assert broker.failures().counts == {} and not broker.failures().is_cut
        for queue, number in (("a", 3), ("b", 1)):
            for _ in range(number):
                claim = running(broker, queue=queue)
                broker.settle([Failed(claim=claim, attempt=attempt_of(claim))])
        self.job_in(broker, TaskStatus.CANCELLED)
        self.job_in(broker, TaskStatus.SUCCESS)
        failures = broker.failures()
        assert (dict(failures.counts), failures.is_cut) == ({"a": 3, "b": 1}, False)
        claim = running(broker, queue="a")
        broker.cancel([claim.job.id])
        broker.settle([Cancelled(claim=claim, attempt=attempt_of(claim))])
        assert dict(broker.failures().counts) == {"a": 3, "b": 1}

    @pytest.mark.parametrize("status", list(TaskStatus), ids=str.lower)
    def test_rewrite(self, broker: Broker, status: TaskStatus) -> None:
        job = self.job_in(broker, status)
        payload = '[[1],{"b":"ü"}]'
        may = status not in (TaskStatus.RUNNING, TaskStatus.SUCCESS)
        assert self.another_broker().rewrite(job.id, payload) is may
        after = stored_job(broker, job)
        assert after.payload == (payload if may else job.payload)
        assert (after.status, after.history, after.due_at) == (status, job.history, job.due_at)
        assert broker.rewrite(new_id(), payload) is False
        assert broker.rewrite("nonsense", payload) is False

    def _all(self, broker: Broker, query: Query, limit: int) -> list[Job]:
        """Return all that match, page by page."""
        found: list[Job] = []
        after: str | None = None
        for _ in range(100):
            page = broker.search(query, after, limit)
            assert len(page.jobs) <= limit
            found += page.jobs
            if page.after is None:
                return found
            assert after is None or page.after < after
            after = page.after
        raise AssertionError("There is no end.")
