"""Leases: who is alive keeps what it holds, and what the dead held is taken over, once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reinhardt_tasks.brokers.base import Broker, WorkerInfo
from reinhardt_tasks.jobs import Retrying, Succeeded, TaskStatus, new_id
from tests.servers import wait_until

from .base import (
    LONG,
    SHORT_LEASE,
    Promises,
    attempt_of,
    claimed,
    ids_of,
    new_job,
    new_worker,
    running,
    signed_in,
    stored_job,
)


class Leases(Promises):
    @pytest.mark.parametrize("text", ["host \udcff", "host \x00", "\udcff" * 300], ids=["half", "NUL", "long"])
    def test_a_worker_may_be_called_as_its_host_and_command_line_say(self, broker: Broker, text: str) -> None:
        worker = WorkerInfo(id=f"{text[:8]}-{new_id()}", name=text, host=text, lease=LONG)
        (job,) = broker.enqueue([new_job()])
        claim = claimed(broker, worker)
        assert broker.heartbeat(worker).held == {job.id: claim.token}
        (record,) = broker.workers()
        assert (record.info.id, record.running) == (worker.id, 1)
        assert broker.settle([Succeeded(claim=claim)]) == []
        assert stored_job(broker, job).worker == worker.id

    def test_a_silent_workers_jobs_are_rescued_once(self, broker: Broker) -> None:
        silent = new_worker("silent", lease=SHORT_LEASE)
        broker.enqueue([new_job(), new_job()])
        held = broker.claim(None, 2, silent)
        others = self.another_broker()
        rescuer = signed_in(others, "rescuer")
        self.end_lease(others, silent)

        rescued = others.rescue(10, rescuer)

        assert sorted(ids_of(rescued)) == sorted(ids_of(held))
        assert broker.rescue(10, signed_in(broker, "late")) == []
        assert others.heartbeat(rescuer).held == {claim.job.id: claim.token for claim in rescued}
        started = {claim.job.id: claim.job.started_at for claim in held}
        for claim in rescued:
            assert (claim.worker, claim.job.worker) == (rescuer.id, silent.id)
            assert claim.job.started_at == started[claim.job.id]
            assert claim.token == claim.job.token > 1

    def test_a_rescued_job_runs_again_and_tells_of_the_loss(self, broker: Broker) -> None:
        lost = new_worker("lost")
        running(broker, lost)
        broker.leave(lost)
        rescuer = signed_in(broker, "rescuer")
        (claim,) = broker.rescue(10, rescuer)
        attempt = attempt_of(claim, worker=claim.job.worker, exception="WorkerLost", lost=True)
        assert broker.settle([Retrying(claim=claim, attempt=attempt)]) == []

        again = claimed(broker, rescuer)
        assert (again.job.failures, again.job.losses) == (0, 1)
        assert again.job.worker_ids == [lost.id, rescuer.id]
        assert broker.settle([Succeeded(claim=again)]) == []

    def test_a_worker_that_heartbeats_keeps_its_jobs(self, broker: Broker) -> None:
        beating = new_worker("beating", lease=SHORT_LEASE)
        kept = running(broker, beating)
        witness = new_worker("witness", lease=SHORT_LEASE)
        fallen = running(broker, witness)
        # Its first lease ends with the witness's or earlier; only this heartbeat carries it further.
        broker.heartbeat(replace(beating, lease=3600))
        self.end_lease(broker, witness)

        others = self.another_broker()
        assert ids_of(others.rescue(10, signed_in(others, "rescuer"))) == [fallen.job.id]
        assert broker.heartbeat(beating).held == {kept.job.id: kept.token}
        assert broker.settle([Succeeded(claim=kept)]) == []

    def test_nothing_is_rescued_from_the_living(self, broker: Broker) -> None:
        running(broker)
        others = self.another_broker()
        assert others.rescue(10, signed_in(others, "rescuer")) == []
        assert others.rescue(10, new_worker("stranger")) == []

    def test_a_worker_that_leaves_gives_its_jobs_up_at_once(self, broker: Broker) -> None:
        leaving, rescuer = signed_in(broker, "leaving"), signed_in(broker, "rescuer")
        claim = running(broker, leaving)
        broker.leave(leaving)
        (rescued,) = self.another_broker().rescue(10, rescuer)
        assert (rescued.job.id, rescued.job.worker) == (claim.job.id, leaving.id)

    def test_a_claim_gives_its_worker_a_first_lease(self, broker: Broker) -> None:
        worker = new_worker()
        running(broker, worker)
        (record,) = broker.workers()
        assert (record.info.id, record.is_alive, record.running) == (worker.id, True, 1)

    def test_a_rescue_gives_its_worker_a_first_lease(self, broker: Broker) -> None:
        lost = new_worker("lost")
        claim = running(broker, lost)
        broker.leave(lost)
        rescuer = new_worker("rescuer")
        (rescued,) = broker.rescue(10, rescuer)
        assert rescued.job.id == claim.job.id
        assert broker.rescue(10, new_worker("second")) == []
        assert broker.heartbeat(rescuer).held == {rescued.job.id: rescued.token}

    def test_a_rescue_takes_no_more_than_its_limit(self, broker: Broker) -> None:
        lost, rescuer = new_worker("lost"), signed_in(broker, "rescuer")
        broker.enqueue([new_job() for _ in range(5)])
        broker.claim(None, 5, lost)
        broker.leave(lost)
        assert [len(broker.rescue(2, rescuer)) for _ in range(4)] == [2, 2, 1, 0]

    def test_jobs_of_a_lost_rescuer_are_rescued_again(self, broker: Broker) -> None:
        lost, second, third = (signed_in(broker, name) for name in ("lost", "second", "third"))
        running(broker, lost)
        broker.leave(lost)
        (first,) = broker.rescue(10, second)
        broker.leave(second)
        (again,) = broker.rescue(10, third)
        assert again.job.id == first.job.id
        assert again.token > first.token
        assert broker.settle([Succeeded(claim=first)]) == [first]

    def test_a_late_worker_whose_job_nobody_took_may_still_settle(self, broker: Broker) -> None:
        late = new_worker("late", lease=SHORT_LEASE)
        claim = running(broker, late)
        self.end_lease(broker, late)
        assert broker.settle([Succeeded(claim=claim)]) == []
        assert stored_job(broker, claim).status is TaskStatus.SUCCESS

    def test_a_late_worker_holds_its_jobs_again_with_its_next_heartbeat(self, broker: Broker) -> None:
        late = new_worker("late", lease=SHORT_LEASE)
        claim = running(broker, late)
        self.end_lease(broker, late)
        assert broker.heartbeat(replace(late, lease=3600)).held == {claim.job.id: claim.token}
        assert broker.rescue(10, signed_in(broker, "rescuer")) == []

    @pytest.mark.parametrize("others", [0, 1], ids=["alone", "beside another"])
    def test_a_worker_rescues_nothing_of_its_own(self, broker: Broker, others: int) -> None:
        fallen = [running(broker, new_worker("lost", lease=SHORT_LEASE)) for _ in range(others)]
        # It was suspended, or kept from the store; what it does first is to look for the dead.
        late = new_worker("late", lease=SHORT_LEASE)
        kept = running(broker, late)
        self.end_lease(broker, late)
        rescued = ids_of(broker.rescue(10, late))
        if others and not rescued:
            # Where it lets others that were late as well beat first, it takes over when it looks again.
            rescued = ids_of(wait_until(lambda: broker.rescue(10, late), "it looks again"))
        assert rescued == ids_of(fallen)
        assert broker.settle([Succeeded(claim=kept)]) == []
        assert stored_job(broker, kept).status is TaskStatus.SUCCESS

    def test_a_late_worker_claims_nothing_that_would_be_taken_from_it_at_once(self, broker: Broker) -> None:
        late = signed_in(broker, "late", lease=SHORT_LEASE)
        self.end_lease(broker, late)
        broker.enqueue([new_job()])
        broker.claim(None, 10, late)
        # Either it got nothing before it has signed in again, or the claim has signed it in.
        assert self.another_broker().rescue(10, signed_in(broker, "rescuer")) == []

    def test_a_heartbeat_tells_which_claims_were_lost(self, broker: Broker) -> None:
        worker, rescuer = new_worker(), signed_in(broker, "rescuer")
        lost = running(broker, worker)
        broker.leave(worker)
        broker.rescue(10, rescuer)
        kept = running(broker, replace(worker))
        pulse = broker.heartbeat(worker)
        assert pulse.held == {kept.job.id: kept.token}
        assert lost.job.id not in pulse.held
        assert pulse.cancelled == frozenset()

    def test_a_worker_that_holds_nothing_is_forgotten_after_its_lease(self, broker: Broker) -> None:
        silent, rescuer = signed_in(broker, "silent", lease=SHORT_LEASE), signed_in(broker, "rescuer")
        self.end_lease(broker, silent)
        broker.rescue(10, rescuer)
        assert [record.info.id for record in broker.workers()] == [rescuer.id]
