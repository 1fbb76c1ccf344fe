"""Tables for jobs with limits only: each key's rule, and who has passed it or waits for it."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from ..fields import ExactCharField, InstantField


class LimitRow(models.Model):
    """A key, and what it allows. Whoever moves jobs past it holds this row's lock meanwhile."""

    #: Alias and key.
    limit_key = ExactCharField(_("key"), max_length=230, primary_key=True)
    size = models.IntegerField(_("at once"))
    # Microseconds between two starts; 0 for a limit of concurrency.
    every = models.BigIntegerField(_("microseconds a start"), default=0)
    # Up to then all starts are spoken for, see Limit.
    reach = models.BigIntegerField(default=0, editable=False)
    # The job, the youngest so far, that said what the key allows.
    said_by = ExactCharField(max_length=36, editable=False)

    class Meta:
        db_table = "reinhardt_tasks_limit"
        verbose_name = _("limit")
        verbose_name_plural = _("limits")

    def __str__(self) -> str:
        return self.limit_key


class TicketRow(models.Model):
    """A job at a limit: it has passed, or is parked there. The job's place in line is copied here, for an index of few rows."""

    PARKED, PASSED = 0, 1

    job_id = models.UUIDField(_("task"))
    limit_key = ExactCharField(_("key"), max_length=230)
    place = models.SmallIntegerField(_("place"), choices=[(PARKED, _("In line")), (PASSED, _("Passed"))])
    # The job's token when this was written: one of an attempt that is over, or of a job that was changed since, is void.
    token = models.IntegerField(editable=False)
    precedence = models.SmallIntegerField(_("precedence"))
    due_at = InstantField(_("due at"))
    # When the job may go on, where a rate says so.
    opens_at = InstantField(null=True, editable=False)

    class Meta:
        db_table = "reinhardt_tasks_ticket"
        verbose_name = _("place in line")
        verbose_name_plural = _("places in line")
        indexes: ClassVar = [
            models.Index(fields=["limit_key", "place", "precedence", "due_at", "job_id"], name="rt_ticket_line"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["job_id", "limit_key"], name="rt_ticket_job"),
        ]

    def __str__(self) -> str:
        return f"{self.job_id} {self.limit_key}"
