"""Debouncing: calls in a row become one, with the last arguments."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from reinhardt_tasks.brokers.base import Broker
from reinhardt_tasks.gates import Until
from reinhardt_tasks.jobs import Job, Succeeded, TaskStatus
from tests.servers import wait_until

from .base import (
    LONG,
    Promises,
    claimed,
    ids_of,
    new_worker,
    running,
    stored_job,
)
from .limited import due_now, one_of, settled, unique


class Debouncing(Promises):
    def call(self, payload: str, wait: float = LONG, most: float | None = None, **values: Any) -> Job:
        return unique(Until.STARTED, payload=payload, debounce=wait, max_wait=most, **values)

    def test_the_last_call_before_the_start_counts(self, broker: Broker) -> None:
        (first,) = broker.enqueue([self.call('"one"', 0.2)])
        assert stored_job(broker, first).status is TaskStatus.SCHEDULED
        before = stored_job(broker, first).due_at
        self.move_time(0.1)
        (again,) = broker.enqueue([self.call('"two"', 0.4)])
        assert again.id == first.id
        stored = stored_job(broker, first)
        assert stored.payload == again.payload == '"two"'
        assert stored.due_at == stored.run_after > before
        (claim,) = self.claim_when_due(broker, 0.5, new_worker())
        assert (claim.job.id, claim.job.payload) == (first.id, '"two"')

        (second,) = broker.enqueue([self.call('"three"')])
        assert second.id != first.id
        assert stored_job(broker, first).payload == '"two"'

    def test_it_is_not_put_off_beyond_its_longest_wait(self, broker: Broker) -> None:
        (first,) = broker.enqueue([self.call('"one"', 100, 150)])
        broker.enqueue([self.call('"two"', 100, 150)])
        stored = stored_job(broker, first)
        assert stored.due_at - stored.enqueued_at <= timedelta(seconds=150)
        (first,) = broker.enqueue([self.call('"one"', 0.1, 0.1, queue="other")])
        broker.delete([first.id])

    def test_one_that_is_due_takes_arguments_until_it_starts(self, broker: Broker) -> None:
        (first,) = broker.enqueue([self.call('"one"', 0.05, 0.05)])
        self.move_time(1)
        wait_until(lambda: broker.wait(None, 0), "it is due")
        broker.enqueue([self.call('"two"', LONG, 0.05)])
        claim = claimed(broker)
        assert (claim.job.id, claim.job.payload) == (first.id, '"two"')

    def test_many_in_one_call_leave_the_last(self, broker: Broker) -> None:
        answer = broker.enqueue([self.call(f'"{number}"') for number in range(10)])
        assert len(set(ids_of(answer))) == 1
        assert stored_job(broker, answer[0]).payload == '"9"'

    def test_it_waits_in_line_with_what_it_was_told_last(self, broker: Broker) -> None:
        claim = running(broker, limits=one_of())
        (first,) = broker.enqueue([self.call('"one"', 0.05, 0.05, limits=one_of())])
        self.move_time(1)
        wait_until(lambda: self.now() > stored_job(broker, first).due_at, "it is due")
        broker.wait(None, 0)
        broker.enqueue([self.call('"two"', LONG, 0.05, limits=one_of())])
        assert due_now(broker) == []
        settled(broker, Succeeded(claim=claim))
        claim = claimed(broker)
        assert (claim.job.id, claim.job.payload) == (first.id, '"two"')
