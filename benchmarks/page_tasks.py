"""The task that the pages show millions of."""

from __future__ import annotations

from reinhardt_tasks import task


@task
def charge(number: int) -> dict[str, int]:
    return {"charged": number}
