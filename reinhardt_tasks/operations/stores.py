"""The stores that people work on: each alias of TASKS whose backend keeps tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import Error, InterfaceError, OperationalError
from django.utils.connection import ConnectionDoesNotExist
from django.utils.functional import Promise

from .._compat import task_backends
from ..backends.base import ReinhardtBackend
from ..backends.named import backend_named
from ..brokers.base import Broker
from ..brokers.database.session import migrate_hint
from ..exceptions import OperationRefused, QueueError

#: What a store says that cannot be asked: it is away, or its settings name a database that there is not. What a broker asks
#: of Django before its own first statement, such as the kind of a server, fails with Django's own errors.
STORE_ERRORS = (QueueError, ConnectionDoesNotExist, OperationalError, InterfaceError)


@contextmanager
def as_queue_error(problem: str | Promise, database: str) -> Iterator[None]:
    """Raise QueueError with these words, in which `{database}` and `{reason}` stand, where that is away or was not migrated.

    For what is read as rows, by no broker: a broker raises QueueError itself.
    """
    try:
        yield
    except Error as exc:
        raise QueueError(
            f"{str(problem).format(database=repr(database), reason=exc)}.{migrate_hint(str(exc), database)}"
        ) from exc


@dataclass(frozen=True, slots=True)
class Store:
    """One alias of TASKS, its backend and its broker."""

    alias: str
    backend: ReinhardtBackend
    broker: Broker

    def __str__(self) -> str:
        return self.alias


def aliases() -> list[str]:
    """Return all aliases of TASKS, also those that keep no tasks."""
    return list(task_backends.settings)


def store_of(alias: str) -> Store:
    """Return one store. Raise OperationRefused for an alias that there is not, or that keeps no tasks."""
    backend = backend_named(alias)
    return Store(alias, backend, backend.broker)


def stores(only: Sequence[str] | None = None) -> list[Store]:
    """Return the stores of these aliases; of all that keep tasks, where None are named."""
    if only is not None:
        return [store_of(alias) for alias in only]
    found = []
    for alias in aliases():
        try:
            found.append(store_of(alias))
        except OperationRefused:
            # It keeps none, or its settings are wrong, which `overview` and the system checks say.
            continue
    return found
