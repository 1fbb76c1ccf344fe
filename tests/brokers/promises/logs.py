"""What attempts have logged: kept with the outcome, one after the other, under the same fence."""

from __future__ import annotations

import pytest

from reinhardt_tasks.brokers.base import Broker
from reinhardt_tasks.jobs import Cancelled, Claim, Failed, Outcome, Released, Retrying, Succeeded, TaskStatus
from reinhardt_tasks.log_lines import LOG_LETTERS, AttemptLog, LogLine, decode_log, encode_log

from .base import LONG, Promises, attempt_of, claimed, new_worker, running, signed_in, stored_job


def log_of(claim: Claim, *messages: str) -> str:
    """Return what an attempt of a claim logged, as its worker writes it."""
    number = len(claim.job.history) + 1
    at = claim.job.started_at
    lines = tuple(LogLine(at, "INFO", "shop.orders", message, number) for message in messages)
    return encode_log(AttemptLog(number, lines))


def ended(kind: type[Outcome], claim: Claim, log: str | None) -> Outcome:
    return (
        Succeeded(claim=claim, log=log) if kind is Succeeded else kind(claim=claim, attempt=attempt_of(claim), log=log)
    )


def messages_of(broker: Broker, claim: Claim) -> list[tuple[int, str]]:
    return [(line.attempt, line.message) for log in decode_log(stored_job(broker, claim).log) for line in log.lines]


KINDS = pytest.mark.parametrize("kind", [Succeeded, Failed, Retrying, Cancelled], ids=lambda kind: kind.__name__)


class Logs(Promises):
    @KINDS
    def test_what_an_attempt_logged_is_kept_however_it_ended(self, broker: Broker, kind: type[Outcome]) -> None:
        claim = running(broker)
        log = log_of(claim, "one", "<b>zwei</b>\n三 \N{PILE OF POO} '%s' \\ \"")
        assert broker.settle([ended(kind, claim, log)]) == []
        assert stored_job(self.another_broker(), claim).log == log

    @KINDS
    def test_an_attempt_that_logged_nothing_leaves_nothing(self, broker: Broker, kind: type[Outcome]) -> None:
        claim = running(broker)
        broker.settle([ended(kind, claim, None)])
        assert stored_job(broker, claim).log is None

    def test_attempts_add_to_one_another_and_nothing_is_lost_by_those_that_log_nothing(self, broker: Broker) -> None:
        worker = new_worker()
        first = running(broker, worker)
        broker.settle([Retrying(claim=first, attempt=attempt_of(first), log=log_of(first, "a", "b"))])
        second = claimed(broker, worker)
        broker.settle([Retrying(claim=second, attempt=attempt_of(second))])
        third = claimed(broker, worker)
        broker.settle([Failed(claim=third, attempt=attempt_of(third), log=log_of(third, "c"))])
        assert broker.retry([first.job.id]) == [first.job.id]
        assert messages_of(broker, first) == [(1, "a"), (1, "b"), (3, "c")]
        fourth = claimed(broker, worker)
        broker.settle([Succeeded(claim=fourth, log=log_of(fourth, "d"))])
        assert messages_of(broker, first) == [(1, "a"), (1, "b"), (3, "c"), (4, "d")]

    def test_an_exchange_keeps_logs_too_each_with_its_own_job(self, broker: Broker) -> None:
        worker = new_worker()
        claims = [running(broker, worker) for _ in range(3)]
        outcomes = [
            Succeeded(claim=claims[0], log=log_of(claims[0], "first")),
            Succeeded(claim=claims[1]),
            Failed(claim=claims[2], attempt=attempt_of(claims[2]), log=log_of(claims[2], "third")),
        ]
        assert broker.exchange(outcomes, None, 1, worker) == ([], [])
        assert [messages_of(broker, claim) for claim in claims] == [[(1, "first")], [], [(1, "third")]]

    def test_a_job_given_back_keeps_what_is_there_already(self, broker: Broker) -> None:
        worker = new_worker()
        first = running(broker, worker)
        broker.settle([Retrying(claim=first, attempt=attempt_of(first), log=log_of(first, "a"))])
        broker.settle([Released(claim=claimed(broker, worker))])
        broker.settle([Released(claim=claimed(broker, worker), delay=LONG)])
        assert messages_of(broker, first) == [(1, "a")]

    def test_a_late_workers_lines_are_not_kept(self, broker: Broker) -> None:
        late, rescuer = new_worker("late"), signed_in(broker, "rescuer")
        claim = running(broker, late)
        broker.leave(late)
        (rescued,) = broker.rescue(10, rescuer)
        assert broker.settle([Succeeded(claim=claim, log=log_of(claim, "late"))]) == [claim]
        broker.settle([Succeeded(claim=rescued, log=log_of(rescued, "in time"))])
        assert messages_of(broker, claim) == [(1, "in time")]

    def test_a_success_that_was_cancelled_keeps_its_lines(self, broker: Broker) -> None:
        claim = running(broker)
        broker.cancel([claim.job.id])
        broker.settle([Succeeded(claim=claim, log=log_of(claim, "done all the same"))])
        assert stored_job(broker, claim).status is TaskStatus.CANCELLED
        assert messages_of(broker, claim) == [(1, "done all the same")]

    def test_of_very_much_the_newest_is_kept(self, broker: Broker) -> None:
        worker = new_worker()
        first = running(broker, worker)
        long = "x" * (LOG_LETTERS // 2)
        for number in range(4):
            claim = first if number == 0 else claimed(broker, worker)
            broker.settle([Retrying(claim=claim, attempt=attempt_of(claim), log=log_of(claim, f"{number}{long}"))])
        assert [message[0] for _, message in messages_of(broker, first)] == ["2", "3"]
        assert len(stored_job(broker, first).log or "") < 2 * LOG_LETTERS
