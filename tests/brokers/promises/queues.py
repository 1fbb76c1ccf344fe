"""Queues: served by name or all of them, paused and resumed."""

from __future__ import annotations

from datetime import timedelta

from reinhardt_tasks.brokers.base import Broker
from reinhardt_tasks.jobs import Released

from .base import SOON, Promises, claimed, ids_of, new_job, new_worker


class QueuePromises(Promises):
    def test_only_the_queues_that_were_asked_for_are_served(self, broker: Broker) -> None:
        one, two, three = broker.enqueue([new_job(queue=name) for name in ("one", "two", "three")])
        worker = new_worker()
        assert broker.claim(["unknown"], 10, worker) == []
        assert set(ids_of(broker.claim(["three", "one", "unknown"], 10, worker))) == {one.id, three.id}
        assert ids_of(broker.claim(["two"], 10, worker)) == [two.id]

    def test_none_serves_every_queue(self, broker: Broker) -> None:
        jobs = broker.enqueue([new_job(queue=name) for name in ("one", "two", "three")])
        assert set(ids_of(broker.claim(None, 10, new_worker()))) == set(ids_of(jobs))

    def test_none_serves_queues_that_are_born_later(self, broker: Broker) -> None:
        worker = new_worker()
        assert broker.claim(None, 10, worker) == []
        (job,) = self.another_broker().enqueue([new_job(queue="newborn")])
        assert ids_of(broker.claim(None, 10, worker)) == [job.id]

    def test_queue_names_are_compared_letter_by_letter(self, broker: Broker) -> None:
        names = ("mail", "Mail", "maïl", "m:a:i:l", "почта", "mail%", "ma_l")
        jobs = broker.enqueue([new_job(queue=name) for name in names])
        worker = new_worker()
        for job in jobs:
            assert ids_of(broker.claim([job.queue], 10, worker)) == [job.id]

    def test_a_paused_queue_is_left_alone_until_it_is_resumed(self, broker: Broker) -> None:
        paused, other = broker.enqueue([new_job(queue="paused", priority=9), new_job(queue="other")])
        worker = new_worker()
        broker.pause("paused")
        broker.pause("paused")
        assert ids_of(self.another_broker().claim(None, 10, worker)) == [other.id]
        assert broker.claim(["paused", "other"], 10, worker) == []

        self.another_broker().resume("paused")
        assert ids_of(broker.claim(None, 10, worker)) == [paused.id]

    def test_what_becomes_due_or_is_given_back_in_a_paused_queue_waits_too(self, broker: Broker) -> None:
        worker = new_worker()
        broker.enqueue([new_job(queue="paused")])
        claim = claimed(broker, worker)
        broker.pause("paused")
        soon = self.now() + timedelta(seconds=SOON)
        _, marker = broker.enqueue([new_job(queue="paused", run_after=soon), new_job(queue="open", run_after=soon)])
        broker.settle([Released(claim=claim)])

        assert ids_of(self.claim_when_due(broker, SOON, worker)) == [marker.id]
        broker.resume("paused")
        assert len(broker.claim(None, 10, worker)) == 2

    def test_resuming_a_queue_that_was_not_paused_is_harmless(self, broker: Broker) -> None:
        broker.resume("never-paused")
        assert broker.counts() == []

    def test_paused_queues_are_shown_even_without_jobs(self, broker: Broker) -> None:
        broker.enqueue([new_job(queue="busy")])
        broker.pause("idle")
        assert [(each.queue, each.is_paused) for each in broker.counts()] == [("busy", False), ("idle", True)]
        broker.resume("idle")
        assert [each.queue for each in broker.counts()] == ["busy"]
