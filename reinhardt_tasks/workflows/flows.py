"""What can be started: chains, groups and workflows alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from asgiref.sync import sync_to_async

from ..exceptions import InvalidWorkflow
from ..jobs import new_id
from .plans import Ground, Laid, Plan
from .sources import Source
from .steps import checked_name

if TYPE_CHECKING:
    from .runs import WorkflowRun


class Flow:
    """A part of a workflow that is a workflow by itself. It can be started once; its id is known before."""

    def __init__(self, name: str, id: str | UUID | None = None) -> None:
        self.id = new_id() if id is None else str(UUID(str(id)))
        self.name = checked_name(name)
        #: As it was started by this very object.
        self.started: Plan | None = None

    @property
    def part_name(self) -> str | None:
        return self.name

    def lay(self, ground: Ground, before: Sequence[int], previous: Source) -> Laid:
        """See Part.lay()."""
        laid = self._lay(ground, before, previous)
        ground.call(self.part_name, laid)
        return laid

    def _lay(self, ground: Ground, before: Sequence[int], previous: Source) -> Laid:
        raise NotImplementedError

    def plan(self) -> Plan:
        """Return the flat graph of its steps. Raise InvalidWorkflow where there can be none."""
        ground = Ground(self.name)
        try:
            # The whole has a name for people; within itself nothing can refer to it.
            return ground.plan(self._lay(ground, (), None))
        except RecursionError:
            raise InvalidWorkflow(
                f"Workflow {self.name!r} is nested too deeply, or contains itself. Let fewer parts lie in one another."
            ) from None

    def check(self) -> None:
        """Raise what starting it would raise: InvalidWorkflow for its form, SerializationFailed, InvalidTask for its steps."""
        from .launching import jobs_of

        jobs_of(self.id, self.plan())

    def start(self) -> WorkflowRun:
        """Store the workflow and send what can begin; return a handle. Raise what `check` raises, and QueueError.

        Inside of `transaction.atomic()` all that is part of the transaction, or happens when it commits. Starting it twice
        starts it once.
        """
        from .launching import start

        return start(self)

    async def astart(self) -> WorkflowRun:
        """See start()."""
        return await sync_to_async(self.start, thread_sensitive=True)()
