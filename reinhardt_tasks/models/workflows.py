"""The tables of workflows. `workflows/` alone writes them; its functions are the way to cancel and to retry."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from ..fields import ExactCharField, InstantField, SparseIndex
from ..workflow_states import ChainStatus, StepStatus

WORKFLOW_STATUSES = [
    (ChainStatus.PENDING.value, _("Pending")),
    (ChainStatus.RUNNING.value, _("Running")),
    (ChainStatus.COMPLETED.value, _("Completed")),
    (ChainStatus.FAILED.value, _("Failed")),
    (ChainStatus.CANCELLED.value, _("Cancelled")),
]
STEP_STATUSES = [
    (StepStatus.WAITING.value, _("Waiting")),
    (StepStatus.READY.value, _("Ready")),
    (StepStatus.SUCCESS.value, _("Succeeded")),
    (StepStatus.FAILURE.value, _("Failed")),
    (StepStatus.CANCELLED.value, _("Cancelled")),
    (StepStatus.SKIPPED.value, _("Skipped")),
]


class WorkflowRow(models.Model):
    """A workflow that was started. Its steps never touch this row while they succeed, but for the first and the last."""

    id = models.UUIDField(_("id"), primary_key=True)
    name = ExactCharField(_("name"), max_length=200)
    status = ExactCharField(_("state"), max_length=9, choices=WORKFLOW_STATUSES)
    steps = models.IntegerField(_("steps"))
    # Where the result of the whole, and of each named part that is no single step, comes from: see `workflows/sources.py`.
    output = models.TextField(_("result's source"))
    names = models.TextField(_("named parts"), default="{}")
    created_at = InstantField(_("created at"))
    started_at = InstantField(_("started at"), null=True)
    finished_at = InstantField(_("finished at"), null=True)

    class Meta:
        db_table = "reinhardt_tasks_workflow"
        verbose_name = _("workflow")
        verbose_name_plural = _("workflows")
        # Nobody makes or changes one by hand.
        default_permissions = ("view",)
        permissions: ClassVar = [
            ("cancel_workflowrow", _("Can cancel workflows")),
            ("retry_workflowrow", _("Can retry workflows")),
        ]
        indexes: ClassVar = [SparseIndex(fields=["finished_at"], name="rt_workflow_finished")]

    def __str__(self) -> str:
        return f"{self.name} {self.id}"


class StepRow(models.Model):
    """One step: a task to run; or a gate, at which many steps meet and which opens when all of them are through.

    A step that is run for each item of a result (`over`) is laid out when that is there: its members are rows with
    `member_of`, made as it is, and it is a gate from then on, with their number for a result.

    Positions are in topological order. `open_needs` counts what has not ended of what it needs; `followers` are the
    positions of what needs it.
    """

    id = models.UUIDField(_("id"), primary_key=True)
    workflow = models.ForeignKey(
        WorkflowRow, verbose_name=_("workflow"), on_delete=models.CASCADE, related_name="+", db_index=False
    )
    position = models.IntegerField(_("position"))
    is_gate = models.BooleanField(_("gate"), default=False)
    name = ExactCharField(_("name"), max_length=200, null=True)
    status = ExactCharField(_("state"), max_length=9, choices=STEP_STATUSES, default=StepStatus.WAITING.value)
    needs = models.IntegerField(_("needs"))
    open_needs = models.IntegerField(_("open needs"))
    followers = models.TextField(_("followers"), default="[]")
    # The position of the step whose failure it handles.
    guards = models.IntegerField(_("handles the failure of"), null=True)
    on_failure = ExactCharField(_("on failure"), max_length=8, default="stop")
    instead = models.TextField(_("result instead"), default="null")
    # Where the items come from that the step is run for: see `workflows/sources.py`.
    over = models.TextField(_("items' source"), null=True)
    # The position of the step that this one, or this gate, was made for.
    member_of = models.IntegerField(_("member of"), null=True)
    # Whether its followers were told of its end. A failure that stopped the workflow has told nobody.
    is_through = models.BooleanField(_("through"), default=False)

    # The task, as it is sent.
    alias = ExactCharField(_("backend"), max_length=64, default="")
    task = ExactCharField(_("task"), max_length=255, default="")
    queue = ExactCharField(_("queue"), max_length=100, default="")
    priority = models.SmallIntegerField(_("priority"), default=0)
    max_attempts = models.IntegerField(_("attempts at most"), null=True)
    run_after = InstantField(_("run after"), null=True)
    payload = models.TextField(_("arguments"), default="")
    metadata = models.TextField(_("metadata"), default="{}")
    limits = models.TextField(_("limits"), null=True)
    # How often it was started anew; each time has a job of its own.
    round = models.IntegerField(_("round"), default=0)
    # Whether its job was seen in the queue, or went there in the transaction that made the step ready.
    is_sent = models.BooleanField(_("sent"), default=False)
    # When to look whether it stands still; NULL where there is nothing to look for.
    look_at = InstantField(null=True, editable=False)

    result = models.TextField(_("result"), null=True)
    error = models.TextField(_("error"), null=True)
    attempts = models.IntegerField(_("attempts"), default=0)
    ready_at = InstantField(_("ready at"), null=True)
    started_at = InstantField(_("started at"), null=True)
    finished_at = InstantField(_("finished at"), null=True)

    class Meta:
        db_table = "reinhardt_tasks_step"
        verbose_name = _("step")
        verbose_name_plural = _("steps")
        indexes: ClassVar = [SparseIndex(fields=["look_at"], name="rt_step_look")]
        constraints: ClassVar = [models.UniqueConstraint(fields=["workflow", "position"], name="rt_step_position")]

    def __str__(self) -> str:
        return self.name or self.task
