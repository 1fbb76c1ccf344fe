"""Several backends in one store: each knows its own jobs only, also by their ids."""

from __future__ import annotations

import pytest

from reinhardt_tasks.brokers.base import Broker, Changes, Query
from reinhardt_tasks.jobs import TaskStatus

from .base import Promises, claimed, new_job, stored_job
from .interventions import EVERY_STATE
from .limited import one_of


class Aliases(Promises):
    @EVERY_STATE
    def test_two_aliases_in_one_store_do_not_see_each_others_jobs(self, broker: Broker, status: TaskStatus) -> None:
        job = self.job_in(broker, status)
        other = self.another_broker("other")
        assert other.get([job.id]) == {}
        assert list(other.search(Query(id_prefix=job.id)).jobs) == list(other.search(Query()).jobs) == []
        assert {each.queue for each in other.counts()} == set()

    @EVERY_STATE
    @pytest.mark.parametrize("verb", ["cancel", "retry", "delete", "change", "rewrite"])
    def test_an_alias_does_nothing_to_the_jobs_of_another(self, broker: Broker, status: TaskStatus, verb: str) -> None:
        job = self.job_in(broker, status)
        other = self.another_broker("other")
        match verb:
            case "change":
                assert other.change([job.id], Changes(priority=5, queue="changed")) == []
            case "rewrite":
                assert not other.rewrite(job.id, '[["other"],{}]')
            case _:
                assert getattr(other, verb)([job.id]) == []
        assert stored_job(broker, job) == job

    def test_what_holds_a_job_back_is_not_told_to_another_alias(self, broker: Broker) -> None:
        _first, second = broker.enqueue([new_job(limits=one_of("user")) for _ in range(2)])
        claimed(broker)
        assert broker.line_of(second.id) is not None
        assert self.another_broker("other").line_of(second.id) is None
