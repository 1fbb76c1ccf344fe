"""How far workflows are, as people are told: of a cancelled one, what succeeded; all of its other steps have ended as well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from ..workflow_states import ChainStatus, StepStatus
from ..workflows.reading import counts_of_all
from ..workflows.runs import WorkflowRun


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkflowProgress:
    """How many steps have ended, how many of these well, of how many."""

    ended: int
    succeeded: int
    total: int
    #: Steps whose task is in a queue, or runs: some may be after the workflow's own end.
    under_way: int
    was_cancelled: bool

    @property
    def done(self) -> int:
        """How many of the steps a bar shows as done."""
        return self.succeeded if self.was_cancelled else self.ended

    @property
    def share(self) -> tuple[int, int]:
        return self.done, self.total

    def __str__(self) -> str:
        words = _("{done} of {total} succeeded") if self.was_cancelled else _("{done} of {total}")
        return words.format(done=self.done, total=self.total)


def progress_of_runs(runs: Sequence[WorkflowRun]) -> dict[str, WorkflowProgress]:
    """Return of each workflow, by its id, how far it is: one look, which counts all of their steps."""
    counts = counts_of_all([run.id for run in runs])
    return {
        run.id: WorkflowProgress(
            ended=sum(number for status, number in counts[run.id].items() if status.is_finished),
            succeeded=counts[run.id][StepStatus.SUCCESS],
            total=counts[run.id].total(),
            under_way=counts[run.id][StepStatus.READY],
            was_cancelled=run.status is ChainStatus.CANCELLED,
        )
        for run in runs
    }
