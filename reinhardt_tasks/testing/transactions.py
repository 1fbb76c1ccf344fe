"""Transactions as a test sees them: what Django's TestCase holds around a test counts as none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DatabaseError, connections

from ..brokers.database.session import open_blocks


def waiting_callbacks() -> list[tuple[Any, int, Callable[[], Any]]]:
    """Return what waits for the commit that a TestCase never makes: connection, position, function."""
    found = []
    for connection in _in_test(connections.all(initialized_only=True)):
        for index, (_, func, _) in enumerate(connection.run_on_commit):
            if func is not _has_run:
                found.append((connection, index, func))
    return found


def run_callbacks() -> int:
    """Run what waits for the commit that a TestCase never makes, and what that adds; return how many these were."""
    number = 0
    while waiting := waiting_callbacks():
        connection, index, func = waiting[0]
        sids, _, robust = connection.run_on_commit[index]
        # In its place: captureOnCommitCallbacks() counts.
        connection.run_on_commit[index] = (sids, _has_run, robust)
        func()
        number += 1
    return number


def _in_test(connections: Iterable[Any]) -> Iterator[Any]:
    """Return the connections on which nothing is open but what a TestCase holds."""
    return (each for each in connections if each.in_atomic_block and not open_blocks(each))


def _has_run() -> None:
    """Stands where a callback was that has run."""


@contextmanager
def savepoints(failure: Callable[[], BaseException | None]) -> Iterator[None]:
    """Keep a TestCase's transaction usable: a task that broke it loses its changes; `failure` tells how the task ended.

    Outside of tests such a task breaks nothing, since nothing is around it.
    """
    points = [
        (connection, connection.savepoint())
        for connection in _in_test(connections.all(initialized_only=True))
        if not connection.needs_rollback
    ]
    yield
    for connection, sid in points:
        if sid is None or connection.connection is None:
            continue
        is_broken = connection.needs_rollback or isinstance(failure(), DatabaseError)
        if not is_broken:
            try:
                connection.savepoint_commit(sid)
            except DatabaseError:
                # The task has caught what broke it; PostgreSQL takes nothing more in this transaction.
                is_broken = True
        if is_broken:
            connection.needs_rollback = False
            connection.savepoint_rollback(sid)
