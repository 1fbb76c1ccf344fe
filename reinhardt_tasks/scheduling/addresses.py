"""From a slot to its task: which backend keeps it, and how it gets there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from .._compat import CoreTask, task_backends
from ..arguments import passed_call
from ..brokers.base import Broker
from ..jobs import Job, new_id
from ..registry import registry
from ..schedules.declarations import Declaration, check_arguments
from ..schedules.slots import slot_headers, slot_id, slot_key
from ..serialization import decode_call, encode_call


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where a schedule's tasks go."""

    alias: str
    backend: Any
    task: CoreTask
    #: None for a backend that keeps no jobs: it is told to enqueue, and that is all that is known.
    broker: Broker | None

    def is_in(self, database: str) -> bool:
        """Whether a task can be stored in one transaction with what is written to `database`."""
        return (
            self.broker is not None
            and self.broker.traits.is_transactional
            and getattr(self.backend, "database", None) == database
        )


def address_of(declaration: Declaration) -> Address:
    """Return where a schedule's tasks go.

    Raise TaskNotFound, InvalidTaskBackend, InvalidTask (its queue) or InvalidSchedule (its arguments) where they cannot.
    """
    task = registry.get(declaration.task)
    alias = declaration.backend or task.backend
    backend: Any = task_backends[alias]
    check_arguments(declaration, task)
    changes = {"queue_name": declaration.queue_name, "priority": declaration.priority, "backend": alias}
    task = task.using(**{name: value for name, value in changes.items() if value is not None})
    return Address(alias=alias, backend=backend, task=task, broker=broker_of(backend))


def broker_of(backend: Any) -> Broker | None:
    """Return where a backend keeps its jobs; None for one that keeps none, or is not of this package."""
    if not hasattr(backend, "jobs_of"):
        return None
    try:
        broker: Broker = backend.broker
    except NotImplementedError:
        return None
    return broker


def slot_job(declaration: Declaration, address: Address, slot: datetime) -> Job:
    """Return the job of a slot: whoever makes it makes the same one."""
    return _job(
        declaration,
        address,
        slot,
        id=slot_id(declaration.name, slot),
        # A slot's key is kept, whatever its task is unique by: that is what it fires once by.
        once_key=slot_key(declaration.name, slot),
        once_until=None,
        debounce=None,
        max_wait=None,
    )


def extra_job(declaration: Declaration, address: Address, now: datetime) -> Job:
    """Return a job of a schedule beside its slots."""
    return _job(declaration, address, now, id=new_id())


def _job(declaration: Declaration, address: Address, slot: datetime, **changes: Any) -> Job:
    args, kwargs, headers = declaration.args, declaration.kwargs, slot_headers(declaration.name, slot)
    if address.broker is None:
        payload = encode_call(declaration.task, args, kwargs, headers)
        return Job(name=declaration.task, payload=payload, backend=address.alias, **changes)
    job: Job = address.backend.jobs_of(
        address.task, [passed_call(address.task, args, kwargs)], stored=[(args, kwargs)]
    )[0]
    # What travels with every task travels with this one too.
    headers = {**decode_call(job.payload).headers, **headers}
    return replace(job, payload=encode_call(declaration.task, args, kwargs, headers), **changes)
