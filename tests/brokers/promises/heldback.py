"""Who is held back by which limit, as people are told."""

from __future__ import annotations

from datetime import timedelta

from reinhardt_tasks.brokers.base import Broker
from reinhardt_tasks.gates import Limit
from reinhardt_tasks.jobs import Succeeded

from .base import Promises, claimed, new_job
from .limited import due_now, one_of, paced, settled


class HeldBack(Promises):
    def test_a_line_is_told_with_who_is_past_it_and_who_waits(self, broker: Broker) -> None:
        for key, number in (("long", 5), ("short", 2), ("none", 1)):
            broker.enqueue([new_job(limits=one_of(key)) for _ in range(number)])
        assert len(due_now(broker)) == 3
        assert [(line.limit, line.held, line.waiting, line.opens_at) for line in broker.lines()] == [
            (Limit(key="long", size=1), 1, 4, None),
            (Limit(key="short", size=1), 1, 1, None),
        ]

    def test_a_job_is_told_which_limit_holds_it_back(self, broker: Broker) -> None:
        first, second = broker.enqueue([new_job(limits=one_of("user") + one_of("queue", 5)) for _ in range(2)])
        claim = claimed(broker)
        assert claim.job.id == first.id
        assert broker.line_of(first.id) is None
        line = broker.line_of(second.id)
        assert line is not None and (line.limit.key, line.held, line.waiting) == ("user", 1, 1)
        settled(broker, Succeeded(claim=claim))
        assert due_now(broker) == [second.id]
        assert broker.line_of(second.id) is None and broker.lines() == []

    def test_a_rate_tells_when_the_next_one_begins(self, broker: Broker) -> None:
        first, second, third = broker.enqueue([new_job(limits=paced(step=3600)) for _ in range(3)])
        claim = claimed(broker)
        assert claim.job.id == first.id and due_now(broker) == []
        (line,) = broker.lines()
        assert line.limit.every == 3_600_000_000 and line.waiting == 1
        assert claim.job.started_at is not None and line.opens_at is not None
        assert timedelta(minutes=59) < line.opens_at - claim.job.started_at < timedelta(minutes=61)
        # The second has that start, and the third is the first in line.
        for id_ in (second.id, third.id):
            its = broker.line_of(id_)
            assert its is not None and its.limit.key == "rate", id_

    def test_a_job_without_limits_or_that_is_gone_is_held_back_by_none(self, broker: Broker) -> None:
        (job,) = broker.enqueue([new_job()])
        assert broker.line_of(job.id) is None and broker.line_of(new_job().id) is None and broker.lines() == []
