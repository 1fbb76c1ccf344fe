"""Fronts are shared by the threads of a process: see brokers/database/fronts.py."""

from __future__ import annotations

from typing import Any

from reinhardt_tasks.brokers.database.dialects import Stretch
from reinhardt_tasks.brokers.database.fronts import SLOW, Fronts
from reinhardt_tasks.brokers.database.rows import COLUMNS

STRETCH = Stretch(lane="default:default", is_async=False, room=1)
OTHER = Stretch(lane="default:other", is_async=False, room=1)


def row(due_at: int, queue: str = "default") -> list[Any]:
    values = {"id": "1", "alias": "default", "queue": queue, "precedence": 0, "due_at": due_at, "is_async": False}
    return [values.get(column) for column in COLUMNS]


def test_a_front_that_another_thread_has_dropped_stays_dropped() -> None:
    fronts = Fronts()
    fronts.learn([STRETCH, OTHER], [row(7), row(8, "other")], 2, 2 * SLOW)
    fronted = fronts.onto([STRETCH])
    assert fronted[0].front == (0, 7, "1")
    fronts.drop([STRETCH])
    fronts.learn(fronted, [row(9)], 1, 0.0)
    assert fronts.onto([STRETCH, OTHER])[0].front is None


def test_a_front_moves_on_behind_what_was_taken() -> None:
    fronts = Fronts()
    fronts.learn([STRETCH], [row(7)], 1, 2 * SLOW)
    fronts.learn(fronts.onto([STRETCH]), [row(9)], 1, 0.0)
    assert fronts.onto([STRETCH])[0].front == (0, 9, "1")
