"""What type checkers are to see of a task that Django's own decorator has made. Never run: see `sample.py`."""

from __future__ import annotations

from typing import assert_type

from django.tasks import task


@task
def ship(order: int) -> str:
    return f"order {order}"


def use() -> None:
    assert_type(ship.enqueue(1).return_value, str)
    ship.enqueue("1")  # type: ignore[arg-type]
    ship.enqueue()  # type: ignore[call-arg]
