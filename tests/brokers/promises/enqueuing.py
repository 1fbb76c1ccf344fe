"""Storing jobs: as they were given, all of them, and each only once."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta

import pytest

from reinhardt_tasks.brokers.base import Broker
from reinhardt_tasks.jobs import Succeeded

from .base import LONG, Promises, claimed, ids_of, new_job, new_worker, stored_job


class Enqueuing(Promises):
    def test_everything_that_a_caller_says_of_a_job_is_kept(self, broker: Broker) -> None:
        moment = (self.now() + timedelta(seconds=LONG)).replace(microsecond=123456)
        given = {
            "name": "project.tasks.send",
            "queue": "emails",
            "priority": -37,
            "run_after": moment,
            "once_key": "send:42",
            "max_attempts": 7,
            "metadata": {"tenant": "acme"},
        }
        (returned,) = broker.enqueue([new_job(**given)])
        stored = self.another_broker().get([returned.id])[returned.id]
        # A broker may tell the times by its own clock, where the store has not yet told them.
        assert replace(stored, enqueued_at=None) == replace(returned, enqueued_at=None)
        assert None not in (stored.enqueued_at, returned.enqueued_at)
        assert {name: getattr(stored, name) for name in given} == given

    def test_jobs_come_back_in_the_order_in_which_they_were_given(self, broker: Broker, rng: random.Random) -> None:
        jobs = [new_job(priority=rng.randint(-100, 100)) for _ in range(20)]
        rng.shuffle(jobs)
        assert ids_of(broker.enqueue(jobs)) == ids_of(jobs)

    def test_an_id_used_twice_gives_the_first(self, broker: Broker) -> None:
        job = new_job(payload='"first"')
        again = new_job(id=job.id, payload='"second"')
        first, same = broker.enqueue([job, again])
        (later,) = self.another_broker().enqueue([again])
        assert first == same == later
        assert first.payload == '"first"'
        claimed(broker)
        assert broker.claim(None, 10, new_worker()) == []

    def test_a_once_key_used_twice_gives_the_first(self, broker: Broker) -> None:
        one, two, three, other = (new_job(once_key=key) for key in ("a", "a", "a", "b"))
        answer = broker.enqueue([one, other, two])
        assert ids_of(answer) == ids_of([one, other, one])
        assert ids_of(self.another_broker().enqueue([three])) == [one.id]
        assert broker.get(ids_of([two, three])) == {}

    def test_a_once_key_is_used_up_by_a_job_that_has_finished(self, broker: Broker) -> None:
        (first,) = broker.enqueue([new_job(once_key="slot")])
        broker.settle([Succeeded(claim=claimed(broker))])
        (again,) = broker.enqueue([new_job(once_key="slot")])
        assert again == stored_job(broker, first)
        assert broker.claim(None, 10, new_worker()) == []

    def test_a_once_key_is_free_again_when_its_job_is_deleted(self, broker: Broker) -> None:
        (first,) = broker.enqueue([new_job(once_key="slot")])
        broker.delete([first.id])
        (second,) = broker.enqueue([new_job(once_key="slot")])
        assert second.id != first.id
        assert claimed(broker).job.id == second.id

    @pytest.mark.parametrize(
        "keys",
        [("key", "Key"), ("key", "key "), ("resume", "résumé"), ("k" * 199 + "1", "k" * 199 + "2")],
        ids=["case", "blank at the end", "accent", "length"],
    )
    def test_once_keys_are_compared_letter_by_letter(self, broker: Broker, keys: tuple[str, str]) -> None:
        jobs = broker.enqueue([new_job(once_key=key) for key in keys])
        assert jobs[0].id != jobs[1].id
        assert [job.once_key for job in jobs] == list(keys)

    def test_jobs_without_a_once_key_do_not_stand_for_each_other(self, broker: Broker) -> None:
        assert len({job.id for job in broker.enqueue([new_job(), new_job(once_key=None)])}) == 2
