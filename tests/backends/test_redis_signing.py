"""Signed arguments on Redis."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from reinhardt_tasks.jobs import TaskStatus

from . import chores
from .chores import add, note
from .redis_doors import Door, door, redis_of, work_off

__all__ = ["door"]

pytestmark = pytest.mark.django_db(transaction=True)


def _tampered(client: Any, base: str, victim: str, other: str) -> None:
    client.hset(f"{base}job:{victim}", "a", client.hget(f"{base}job:{victim}", "a").replace("[[1]", "[[666]"))


def _moved(client: Any, base: str, victim: str, other: str) -> None:
    client.hset(f"{base}job:{victim}", "a", client.hget(f"{base}job:{other}", "a"))


def _renamed(client: Any, base: str, victim: str, other: str) -> None:
    client.hset(f"{base}job:{victim}", "n", add.module_path)


def _unsigned(client: Any, base: str, victim: str, other: str) -> None:
    client.hset(f"{base}job:{victim}", "a", "[[1],{}]")


def _cut(client: Any, base: str, victim: str, other: str) -> None:
    client.hdel(f"{base}job:{victim}", "n")
    client.hset(f"{base}job:{victim}", mapping={"n": note.module_path, "a": ""})


@pytest.mark.parametrize("tamper", [_tampered, _moved, _renamed, _unsigned, _cut])
def test_what_nobody_with_a_key_has_written_never_runs(tamper: Any, door: Door) -> None:
    backend = door(SIGN=True, MAX_ATTEMPTS=3)
    victim, other = note.enqueue(1), note.enqueue(2)
    base, client = redis_of(backend).base, redis_of(backend).connections.sender
    if tamper is _cut:
        client.hset(f"{base}job:{victim.id}", "a", " ")
    tamper(client, base, victim.id, other.id)
    work_off(backend)
    assert chores.noted == [2]
    found = backend.get_result(victim.id)
    assert (backend.get_status(victim.id), found.attempts) == (TaskStatus.FAILURE, 1)
    assert "not signed with a key of this project" in found.errors[0].traceback


def test_a_wrong_key_for_a_while_costs_no_arguments(door: Door, settings: Any) -> None:
    backend = door(SIGN=True, RESULT_BACKEND="database")
    result, key = note.enqueue("mine"), settings.SECRET_KEY
    settings.SECRET_KEY = "that of a wrong deploy"
    work_off(backend)
    result.refresh()
    assert result.state is TaskStatus.FAILURE
    assert "mine" not in result.errors[0].traceback
    # After an hour it lies in the archive only.
    broker: Any = backend.broker
    assert broker.broker.delete([result.id]) == [result.id]
    for right in ("that of another wrong deploy", key):
        settings.SECRET_KEY = right
        assert broker.retry([result.id]) == [result.id]
        work_off(backend)
        broker.broker.delete([result.id])
    assert chores.noted == ["mine"]
    result.refresh()
    assert (result.state, result.args) == (TaskStatus.SUCCESS, ["mine"])


def test_what_was_refused_is_signed_by_nobody(door: Door) -> None:
    backend = door(SIGN=True, RESULT_BACKEND="database")
    result, other = note.enqueue(1), note.enqueue(2)
    client, base = redis_of(backend).connections.sender, redis_of(backend).base
    _tampered(client, base, result.id, other.id)
    work_off(backend)
    broker: Any = backend.broker
    broker.broker.delete([result.id])
    assert broker.retry([result.id]) == [result.id]
    work_off(backend)
    assert chores.noted == [2]
    assert backend.get_status(result.id) is TaskStatus.FAILURE


def test_signed_tasks_run_and_what_an_older_key_has_signed_too(door: Door, settings: Any) -> None:
    settings.SECRET_KEY = "the old one"
    backend = door(SIGN=True)
    old = note.enqueue("old")
    assert note.get_result(old.id).args == ["old"]
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "the new one", ["the old one"]
    new = note.enqueue("new")
    asyncio.run(note.aenqueue("by a coroutine"))
    work_off(backend)
    assert sorted(chores.noted) == ["by a coroutine", "new", "old"]
    settings.SECRET_KEY_FALLBACKS = []
    assert note.get_result(new.id).args == ["new"]
