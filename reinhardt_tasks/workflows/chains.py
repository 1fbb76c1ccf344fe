"""Steps one after the other, in the original's words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self
from uuid import UUID

from ..workflow_states import ChainStatus
from .flows import Flow
from .plans import Ground, Laid, Node, Plan
from .sources import Source
from .steps import Part, as_part


class TaskChain(Flow):
    """Tasks in order: each begins when the one before has succeeded; the chain fails when one has failed for good.

    Before it is started it is moved by hand (`advance`) and PENDING; it begins where it stands. Then workers move it, and
    `status` and `current_task` read how far it is from the database.
    """

    def __init__(self, name: str, tasks: Iterable[Any] = (), *, id: str | UUID | None = None) -> None:
        super().__init__(name, id)
        self._parts: list[Part] = [as_part(task) for task in tasks]
        self._index = 0
        #: After which node of the ground each part has ended, as it was laid out last; from the one at `_index` on.
        self._doors: list[int] = []

    @property
    def tasks(self) -> tuple[Part, ...]:
        """Its steps (or groups, chains, workflows), in order."""
        return tuple(self._parts)

    def add_task(self, task: Any, /, *args: Any, **kwargs: Any) -> Self:
        """Append a task with its arguments, a step, or another part. What is started already does not change by it."""
        self._parts.append(as_part(task, *args, **kwargs))
        return self

    @property
    def task_count(self) -> int:
        """How many parts it has; a group counts as one."""
        return len(self._parts)

    @property
    def current_task(self) -> Part | None:
        """The first of its tasks that has not ended well; None when all have."""
        index = self._index if self.started is None else self._parts_done(self.started)
        return self._parts[index] if index < len(self._parts) else None

    def advance(self) -> bool:
        """Go on to the next task, with which the chain will begin; return whether one is left.

        A chain that was started is not moved by hand: what stands still in it is looked after, as a worker does it.
        """
        if self.started is None:
            self._index += 1
            return self._index < len(self._parts)
        from .tending import look_after

        look_after(self.id)
        return self.current_task is not None

    @property
    def status(self) -> ChainStatus:
        """As it was started by this object; in other processes ask `get_workflow(id)`."""
        if self.started is None:
            return ChainStatus.PENDING
        from .reading import status_of

        return status_of(self.id)

    @property
    def is_complete(self) -> bool:
        """Whether it has come to an end, good or bad."""
        return self.status.is_finished

    def _parts_done(self, plan: Plan) -> int:
        from .reading import through

        done = through(self.id, [plan.position_of[door] for door in self._doors])
        return self._index + next((index for index, is_done in enumerate(done) if not is_done), len(done))

    def _lay(self, ground: Ground, before: Sequence[int], previous: Source) -> Laid:
        self._doors = []
        source: Source = None
        for part in self._parts[self._index :]:
            laid = part.lay(ground, before, previous)
            self._doors.append(laid.door(ground))
            before, previous, source = self._doors[-1:], laid.source, laid.source
        return Laid(self._doors[-1:] or [ground.add(Node(step=None, before=set(before)))], source)


class TaskChainBuilder:
    """Builds a chain: `TaskChainBuilder("nightly").add_task(clean).add_tasks([pack, send]).build()`."""

    def __init__(self, name: str) -> None:
        self._chain = TaskChain(name)

    def add_task(self, task: Any, /, *args: Any, **kwargs: Any) -> Self:
        """Append a task with its arguments, a step, or another part."""
        self._chain.add_task(task, *args, **kwargs)
        return self

    def add_tasks(self, tasks: Iterable[Any]) -> Self:
        """Append several, in order."""
        for task in tasks:
            self._chain.add_task(task)
        return self

    def build(self) -> TaskChain:
        """Return the chain. Raise InvalidWorkflow, SerializationFailed or InvalidTask for what could not be started."""
        self._chain.check()
        return self._chain
