"""Many jobs on their way to a store that does not take all of them: those that are to blame keep no others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from ..exceptions import JobsRefused, QueueError
from ..jobs import Job

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

#: What is raised of jobs that no other try brings in.
REFUSALS = (JobsRefused, ValueError, TypeError)


@dataclass(frozen=True)
class Unsent:
    """What kept jobs from being sent, by their ids: the store takes others, or does not answer for them."""

    refused: dict[str, Exception] = field(default_factory=dict)
    away: dict[str, QueueError] = field(default_factory=dict)

    def __contains__(self, job_id: str) -> bool:
        return job_id in self.refused or job_id in self.away


def send_all_that_can_be(
    jobs: Sequence[Job], send: Callable[[list[Job]], object], part_of: Callable[[Job], Hashable]
) -> Unsent:
    """Send jobs by `send`, which stores all or none; return what kept some.

    `part_of` is that of the broker: what belongs to one part of the store is sent on its own where another is away, and one by
    one where some of it is refused.
    """
    unsent = Unsent()
    parts = by_part(jobs, part_of)
    if len(parts) > 1:
        # At one go they keep their order.
        with suppress(QueueError, *REFUSALS):
            send(list(jobs))
            return unsent
    for some in parts.values():
        try:
            send(some)
        except REFUSALS:
            for number, job in enumerate(some):
                try:
                    send([job])
                except REFUSALS as exc:
                    unsent.refused[job.id] = exc
                except QueueError as exc:
                    # Each of the others would wait as long for no answer.
                    unsent.away.update((other.id, exc) for other in some[number:])
                    break
        except QueueError as exc:
            unsent.away.update((job.id, exc) for job in some)
    return unsent


def by_part(things: Iterable[T], part_of: Callable[[T], K]) -> dict[K, list[T]]:
    """Return things by the parts of the store that they belong to."""
    parts: dict[K, list[T]] = defaultdict(list)
    for thing in things:
        parts[part_of(thing)].append(thing)
    return parts
