"""The stores that people work on: each alias of TASKS whose backend keeps tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from django.core.exceptions import ImproperlyConfigured
from django.db import Error, InterfaceError, OperationalError
from django.utils.connection import ConnectionDoesNotExist
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from .._compat import task_backends
from ..backends.base import ReinhardtBackend
from ..brokers.base import Broker
from ..brokers.database.session import migrate_hint
from ..exceptions import OperationRefused, QueueError
from ..options import did_you_mean

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
    known = aliases()
    if alias not in known:
        raise OperationRefused(
            _("TASKS has no backend {alias}{hint}; it has {known}.").format(
                alias=repr(alias), hint=did_you_mean(alias, known), known=", ".join(map(repr, known))
            )
        )
    try:
        backend = task_backends[alias]
    except ImproperlyConfigured as exc:
        raise OperationRefused(str(exc)) from exc
    if not isinstance(backend, ReinhardtBackend):
        raise OperationRefused(_("TASKS[{alias}] is not a backend of reinhardt_tasks.").format(alias=repr(alias)))
    if backend.problems:
        raise OperationRefused(f"{backend.problems[0].message} {backend.problems[0].hint}")
    try:
        return Store(alias, backend, backend.broker)
    except NotImplementedError as exc:
        raise OperationRefused(
            _("The {kind} of TASKS[{alias}] keeps no tasks.").format(alias=repr(alias), kind=type(backend).__name__)
        ) from exc


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
