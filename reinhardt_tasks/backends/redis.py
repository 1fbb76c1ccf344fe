"""The backend for a project with a Redis or Valkey: fast, spread over machines, with the same promises."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from asgiref.sync import AsyncToSync, sync_to_async
from django.db import transaction

from .. import carriers
from .._compat import CoreTask, TaskResultDoesNotExist
from ..brokers.base import Broker
from ..calls import Call
from ..exceptions import QueueError
from ..jobs import Job, as_enqueued
from ..options import BackendOptions, a_flag, a_number, a_text, a_text_or_none, option
from ..receivers import aannounce, announce
from ..registry import task_of
from ..results import TaskResult, enqueued_result, result_of
from .base import ReinhardtBackend, newly_stored
from .places import Place, a_mapping, nodes, place_of
from .stand_ins import stand_in_of
from .transactions import open_database


@dataclass(frozen=True, kw_only=True)
class RedisOptions(BackendOptions):
    """The options of a Redis backend, beyond those that all have."""

    #: redis://, rediss:// (TLS) or unix://, with user and password where the server wants them.
    url: str | None = option(None, a_text_or_none)
    #: A django-redis cache alias whose server, credentials and TLS are taken over.
    cache: str | None = option(None, a_text_or_none)
    #: Keyword arguments of redis-py's connections: {"host": …, "ssl_ca_certs": …}.
    connection: Mapping[str, Any] = option(dict, a_mapping)
    #: Addresses of Sentinels, [("10.0.0.1", 26379), …], and the name of the master that they watch.
    sentinels: tuple[tuple[str, int], ...] = option((), nodes)
    service: str = option("mymaster", a_text)
    #: The server is a node of a Redis Cluster.
    cluster: bool = option(False, a_flag)
    #: All keys begin with this.
    prefix: str = option("reinhardt:tasks:", a_text)
    #: Into how many parts the alias is split, on one server or over a Cluster. Never change it while tasks wait.
    shards: int = option(1, a_number(1))
    #: Send at the commit of the caller's transaction, in the database that `database` names.
    enqueue_on_commit: bool = option(True, a_flag)
    database: str | None = option(None, a_text_or_none)
    #: Write the task into a table in the caller's transaction first; it is sent from there even if the sender dies.
    outbox: bool = option(False, a_flag)
    #: Replicas that must have a task before `enqueue()` returns.
    wait_replicas: int = option(0, a_number(0))
    #: Sign arguments with Django's SECRET_KEY; what nobody with a key has written never runs.
    sign: bool = option(False, a_flag)
    #: "database" keeps finished tasks in the project's database.
    result_backend: str | None = option(None, a_text_or_none)


class RedisBackend(ReinhardtBackend):
    """Durable tasks in Redis 6.2 or later, or Valkey 7.2 or later: standalone, Sentinel, Cluster."""

    options_class: ClassVar[type[BackendOptions]] = RedisOptions
    settings: RedisOptions

    def __init__(self, alias: str, params: Mapping[str, Any]) -> None:
        super().__init__(alias, params)
        self._place: Place = place_of(alias, params, self.settings)
        self.problems += self._place.problems

    @property
    def has_outbox(self) -> bool:
        return self.settings.outbox

    @property
    def broker(self) -> Broker:
        return stand_in_of(self) or self._place.broker

    def send(self, task: CoreTask, jobs: Sequence[Job]) -> list[TaskResult[Any]]:
        """Send jobs now, or when the caller's transaction commits; a rollback sends nothing.

        The results have their final ids in any case. In a transaction QueueError comes from its commit, unless
        OPTIONS['OUTBOX'] is on.
        """
        if (stand_in := stand_in_of(self)) is not None:
            return self._announce(task, jobs, stand_in.enqueue(jobs))
        database = self._open_database() if self.settings.enqueue_on_commit else None
        if self.settings.outbox:
            return self._announce(task, jobs, self._place.outbox.send(jobs))
        if database is None:
            return self._announce(task, jobs, self.broker.enqueue(jobs))
        now = datetime.now(UTC)
        results = [enqueued_result(as_enqueued(job, now), task) for job in jobs]
        transaction.on_commit(self._at_commit(jobs, results), using=database)
        return results

    def enqueue_jobs(self, jobs: Sequence[Job]) -> None:
        if self.settings.outbox and stand_in_of(self) is None:
            self._announce_jobs(newly_stored(jobs, self._place.outbox.send(jobs)))
        else:
            super().enqueue_jobs(jobs)

    def commits_with(self, database: str) -> bool:
        return self.settings.outbox and self._place.outbox.database == database

    async def aenqueue(self, task: CoreTask, args: Sequence[Any], kwargs: Mapping[str, Any]) -> TaskResult[Any]:
        """See enqueue(). The way to Redis has no thread, unless a transaction may be open in one that waits for this coroutine;
        ordinary receivers of `task_enqueued` are run in one, as Django does it.
        """
        return (await self.aenqueue_many(task, [(args, kwargs)]))[0]

    async def aenqueue_many(self, task: CoreTask, calls: Sequence[Call]) -> list[TaskResult[Any]]:
        """See aenqueue()."""
        if _is_under_sync_code() or self.settings.outbox or stand_in_of(self) is not None:
            # Sync code waits for us, and its transaction lives in its thread.
            return await sync_to_async(self.enqueue_many, thread_sensitive=True)(task, calls)
        with carriers.enqueueing(task, len(calls)):
            jobs = self.jobs_of(task, calls)
            return await self._aannounce(task, jobs, await self._place.aenqueue(jobs))

    async def aget_result(self, result_id: str) -> TaskResult[Any]:
        """See get_result(); without a thread."""
        if stand_in_of(self) is not None:
            return self.get_result(result_id)
        job = await self._place.aget(str(result_id))
        if job is None:
            raise TaskResultDoesNotExist(result_id)
        return result_of(job, task_of(job))

    def why_waiting_is_hopeless(self) -> str | None:
        if (stand_in := stand_in_of(self)) is not None:
            return stand_in.why_waiting_is_hopeless()
        if self.settings.enqueue_on_commit and self._open_database() is not None:
            return "it is sent when the transaction that is open here commits. Wait after the transaction."
        return None

    def unsent(self) -> int:
        return self._place.outbox.aside() if self.settings.outbox and stand_in_of(self) is None else 0

    def _at_commit(self, jobs: Sequence[Job], results: list[TaskResult[Any]]) -> Callable[[], None]:
        def send() -> None:
            try:
                stored = self.broker.enqueue(jobs)
            except QueueError as exc:
                raise QueueError(
                    f"The transaction was committed, but its {len(jobs)} tasks could not be sent: {exc} "
                    "OPTIONS['OUTBOX'] = True keeps them in the database until they are."
                ) from exc
            new = {job.id for job in newly_stored(jobs, stored)}
            for result in results:
                if result.id in new:
                    announce(type(self), result)

        return send

    async def _aannounce(self, task: CoreTask, sent: Sequence[Job], stored: Sequence[Job]) -> list[TaskResult[Any]]:
        results = [enqueued_result(job, task) for job in stored]
        for result in newly_stored(sent, results):
            await aannounce(type(self), result)
        return results

    def _open_database(self) -> str | None:
        # What a TestCase holds around a test counts: nothing is sent to a server from there.
        return open_database(lambda connection: connection.in_atomic_block, self.settings.database)


def _is_under_sync_code() -> bool:
    """Return whether this coroutine runs under `async_to_sync`, whose caller's thread may hold a transaction."""
    return getattr(AsyncToSync.executors, "current", None) is not None
