"""What is done to a workflow, by the name that a button and a subcommand share, and finding one by the beginning of its id."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from ..exceptions import OperationRefused
from ..workflow_states import ACTIVE, ENDED, ChainStatus
from ..workflows.places import database
from ..workflows.runs import WorkflowRun, get_workflow, workflows_like
from .stores import as_queue_error

#: Ids that an ambiguous beginning is answered with, and one.
_NAMED = 6


@dataclass(frozen=True, kw_only=True)
class WorkflowAction:
    """Something that can be done to a workflow in certain states."""

    name: str
    label: str | Promise
    help: str | Promise
    #: What it does, asked before it is done.
    question: str | Promise
    #: What happened, for a history: in English, translated for whoever reads it.
    done: str
    applies_to: tuple[ChainStatus, ...]
    destroys: bool = False
    #: Returns False where the state did not allow it any more.
    does: Callable[[WorkflowRun], bool]


WORKFLOW_ACTIONS = {
    action.name: action
    for action in (
        WorkflowAction(
            name="retry-failed",
            label=gettext_lazy("Retry from where it failed"),
            help=gettext_lazy("Run the steps that failed again, and what follows them."),
            question=gettext_lazy("Run the steps that failed again, and what follows them?"),
            done=gettext_noop("Retried from where it failed."),
            does=WorkflowRun.retry_failed,
            applies_to=(ChainStatus.FAILED, ChainStatus.CANCELLED),
        ),
        WorkflowAction(
            name="retry",
            label=gettext_lazy("Retry from the beginning"),
            help=gettext_lazy("Run workflows again from the beginning; the results of their steps are forgotten."),
            question=gettext_lazy("Run all of the workflow again? The results of its steps are forgotten."),
            done=gettext_noop("Retried from the beginning."),
            does=WorkflowRun.retry,
            applies_to=ENDED,
            destroys=True,
        ),
        WorkflowAction(
            name="cancel",
            label=gettext_lazy("Cancel"),
            help=gettext_lazy("Cancel workflows: what waits of them ends, what runs is told to stop."),
            question=gettext_lazy("Cancel this workflow? What waits of it ends, what runs is told to stop."),
            done=gettext_noop("Cancelled."),
            does=WorkflowRun.cancel,
            applies_to=ACTIVE,
            destroys=True,
        ),
    )
}


def reading_workflows() -> AbstractContextManager[None]:
    """Raise QueueError from what is done in it where the workflows cannot be read."""
    return as_queue_error(gettext_lazy("The workflows in the database {database} cannot be read: {reason}"), database())


def find_workflow(id_: str) -> WorkflowRun:
    """Return the one workflow whose id is, or begins with, `id_`.

    Raise WorkflowNotFound where there is none, OperationRefused where there are several.
    """
    found = workflows_like(id_, limit=_NAMED)
    if len(found) > 1:
        some = ", ".join(run.id for run in found[: _NAMED - 1])
        raise OperationRefused(
            _("Several workflows have an id that begins with {id}: {some}.").format(id=repr(id_), some=some)
        )
    return found[0] if found else get_workflow(id_)
