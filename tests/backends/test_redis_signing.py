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
