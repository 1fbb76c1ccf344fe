"""The tables of schedules: what is to run when, and which of its times have been dealt with.

Change them by `reinhardt_tasks.scheduling.people`, which computes anew when a schedule is next due.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from ..fields import ExactCharField, InstantField, SparseIndex
from ..schedules.declarations import ALLOW, LATEST, NAME_LENGTH, PEOPLE


class ScheduleRow(models.Model):
    """A schedule with its task, and how far it has come.

    `next_slot` is its next due time, `next_at` when a scheduler has to see to it: NULL where nobody has to. What lies before
    `since_at` is none of its times: it was not there yet, was another one, or was switched off.
    """

    name = ExactCharField(_("name"), max_length=NAME_LENGTH, unique=True)
    source = ExactCharField(
        _("declared in"),
        max_length=8,
        default=PEOPLE,
        choices=[("code", _("Code")), ("settings", _("Settings")), ("people", _("Here"))],
    )
    task = ExactCharField(_("task"), max_length=255)
    args = models.TextField(_("arguments"), default="[]")
    kwargs = models.TextField(_("arguments by name"), default="{}")
    # As `schedule_as_text` writes it; {"kind": "code"} for one that only code can make.
    schedule = models.TextField(_("schedule"))
    alias = ExactCharField(_("backend"), max_length=64, null=True, blank=True)
    queue = ExactCharField(_("queue"), max_length=100, null=True, blank=True)
    priority = models.SmallIntegerField(_("priority"), null=True, blank=True)
    catch_up = ExactCharField(
        _("after an outage"),
        max_length=8,
        default=LATEST,
        choices=[("skip", _("Run nothing")), ("latest", _("Run the latest")), ("all", _("Run all"))],
    )
    overlap = ExactCharField(
        _("while the last run is going"),
        max_length=8,
        default=ALLOW,
        choices=[("allow", _("Run beside it")), ("skip", _("Leave out")), ("queue", _("Run after it"))],
    )
    start_at = InstantField(_("starts at"), null=True, blank=True)
    end_at = InstantField(_("ends at"), null=True, blank=True)
    jitter = models.FloatField(_("jitter in seconds"), default=0.0)
    enabled = models.BooleanField(_("switched on"), default=True)
    # What code or settings said when they were last taken over: a difference is a change there, not one by people.
    declared = models.TextField(null=True, editable=False)
    # The release that said so, where releases have numbers.
    version = models.BigIntegerField(null=True, editable=False)
    retired_at = InstantField(_("no longer declared since"), null=True, editable=False)

    since_at = InstantField(editable=False)
    next_slot = InstantField(_("next due"), null=True, editable=False)
    next_at = InstantField(null=True, editable=False)
    last_slot = InstantField(_("last run for"), null=True, editable=False)
    last_task = models.UUIDField(_("last task"), null=True, editable=False)
    last_alias = ExactCharField(max_length=64, null=True, editable=False)
    # While slots wait for the last task to end: how many, and the first of them.
    waiting = models.IntegerField(_("waiting"), default=0, editable=False)
    waiting_since = InstantField(null=True, editable=False)
    fired = models.BigIntegerField(_("runs"), default=0, editable=False)
    missed = models.BigIntegerField(_("missed"), default=0, editable=False)
    skipped = models.BigIntegerField(_("left out"), default=0, editable=False)
    last_error = models.TextField(_("error"), null=True, editable=False)
    failed_at = InstantField(_("failed at"), null=True, editable=False)

    class Meta:
        db_table = "reinhardt_tasks_schedule"
        verbose_name = _("schedule")
        verbose_name_plural = _("schedules")
        permissions: ClassVar = [("run_now_schedulerow", _("Can run schedules now"))]
        indexes: ClassVar = [
            SparseIndex(fields=["next_at"], name="rt_schedule_due"),
            SparseIndex(fields=["waiting_since"], name="rt_schedule_waiting"),
        ]

    def __str__(self) -> str:
        return self.name


class SlotRow(models.Model):
    """One due time of a schedule for which there is a task; its id is the task's, and follows from the two.

    `job` is there until the task is known to be in its store; `pending_at`, while it is on its way there, since when.
    """

    WAITING, SENDING, SENT, UNSURE = "WAITING", "SENDING", "SENT", "UNSURE"

    id = models.UUIDField(_("task"), primary_key=True)
    schedule = models.ForeignKey(ScheduleRow, models.CASCADE, db_index=False, related_name="slots")
    due_at = InstantField(_("due at"))
    state = ExactCharField(
        _("state"),
        max_length=7,
        choices=[
            (WAITING, _("Waits for the run before it")),
            (SENDING, _("On its way")),
            (SENT, _("Sent")),
            (UNSURE, _("May have been sent")),
        ],
    )
    alias = ExactCharField(_("backend"), max_length=64)
    pending_at = InstantField(null=True)
    job = models.TextField(null=True)

    class Meta:
        db_table = "reinhardt_tasks_slot"
        verbose_name = _("run of a schedule")
        verbose_name_plural = _("runs of schedules")
        indexes: ClassVar = [
            SparseIndex(fields=["pending_at"], name="rt_slot_pending"),
            models.Index(fields=["due_at"], name="rt_slot_due"),
        ]
        constraints: ClassVar = [models.UniqueConstraint(fields=["schedule", "due_at"], name="rt_slot_once")]

    def __str__(self) -> str:
        return f"{self.schedule_id} {self.due_at}"
