"""The tables: tasks, workers, paused queues, and results that are kept apart.

The queue itself is worked by `brokers/database`, in SQL; these models make the tables and serve those who read them. Change
a task through its result or the admin, never by saving a row: a worker may hold it.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from ..fields import ConditionalIndex, ExactCharField, InstantField, SparseIndex
from ..jobs import TaskPriority, TaskStatus

STATUSES = [
    (TaskStatus.PENDING.value, _("Pending")),
    (TaskStatus.SCHEDULED.value, _("Scheduled")),
    (TaskStatus.RUNNING.value, _("Running")),
    (TaskStatus.RETRY.value, _("Waiting to be retried")),
    (TaskStatus.SUCCESS.value, _("Succeeded")),
    (TaskStatus.FAILURE.value, _("Failed")),
    (TaskStatus.CANCELLED.value, _("Cancelled")),
]


class JobRow(models.Model):
    """A task as stored. The three columns at the end say where it lies; each is NULL elsewhere, and has an index of its own."""

    id = models.UUIDField(_("id"), primary_key=True)
    alias = ExactCharField(_("backend"), max_length=64)
    name = ExactCharField(_("task"), max_length=255)
    queue = ExactCharField(_("queue"), max_length=100)
    # Django's priority with its sign turned, so that the smallest runs first and one ascending index serves all databases.
    precedence = models.SmallIntegerField(_("precedence"), default=0)
    payload = models.TextField(_("arguments"))
    status = ExactCharField(_("state"), max_length=9, choices=STATUSES)
    token = models.IntegerField(_("claims"), default=0)
    max_attempts = models.IntegerField(_("attempts at most"), null=True)
    once_key = ExactCharField(_("once key"), max_length=200, null=True)
    once_until = ExactCharField(_("once key until"), max_length=8, null=True)
    # Most have none. One that has some knocks, by `wakes_at`, whenever something becomes of it: see brokers/database/gates.py.
    limits = models.TextField(_("limits"), null=True)
    # Its kind: a coroutine. The database gives the default to rows of versions that do not know of kinds; for anything but a Value,
    # and for NOT NULL, Django would copy the whole table on SQLite.
    is_async = models.BooleanField(null=True, db_default=models.Value(False), editable=False)
    metadata = models.TextField(_("metadata"), default="{}")
    # Two numbers and a message, of which JSON writes a control character as six letters.
    progress = ExactCharField(_("progress"), max_length=1400, null=True)
    history = models.TextField(_("failed attempts"), null=True)
    result = models.TextField(_("result"), null=True)
    log = models.TextField(_("log"), null=True)
    cancel_requested = models.BooleanField(_("cancellation requested"), default=False)
    worker = ExactCharField(_("worker"), max_length=150, null=True)
    run_after = InstantField(_("run after"), null=True)
    enqueued_at = InstantField(_("enqueued at"))
    due_at = InstantField(_("due at"))
    started_at = InstantField(_("first started at"), null=True)
    last_attempted_at = InstantField(_("last attempted at"), null=True)
    finished_at = InstantField(_("finished at"), null=True)

    # While it is ready: alias and queue, see `lane_of`.
    lane = ExactCharField(max_length=165, null=True, editable=False)
    # While it waits for its time.
    wakes_at = InstantField(null=True, editable=False)
    # While it runs.
    held_by = ExactCharField(max_length=150, null=True, editable=False)

    class Meta:
        db_table = "reinhardt_tasks_job"
        verbose_name = _("task")
        verbose_name_plural = _("tasks")
        # What people may do in the admin. `change` is of the priority and the queue, `delete` is to discard.
        default_permissions = ("view", "change", "delete")
        permissions: ClassVar = [
            ("retry_jobrow", _("Can retry tasks, and run finished ones again")),
            ("cancel_jobrow", _("Can cancel tasks")),
            ("run_now_jobrow", _("Can run tasks now that wait for a later time")),
            ("edit_jobrow", _("Can edit the arguments of tasks and run them")),
            ("view_arguments_jobrow", _("Can see arguments and results of tasks")),
            ("pause_queue_jobrow", _("Can pause and resume queues")),
            ("clear_queue_jobrow", _("Can clear queues")),
        ]
        indexes: ClassVar = [
            SparseIndex(fields=["lane", "is_async", "precedence", "due_at", "id"], name="rt_job_next"),
            SparseIndex(fields=["wakes_at"], name="rt_job_wakes"),
            SparseIndex(fields=["held_by"], name="rt_job_held"),
            SparseIndex(fields=["finished_at"], name="rt_job_finished"),
            # For people who look for what failed among millions that did not.
            ConditionalIndex(
                fields=["alias", "id"],
                name="rt_job_failed",
                where=models.Q(status__in=[TaskStatus.FAILURE.value, TaskStatus.CANCELLED.value]),
            ),
        ]
        constraints: ClassVar = [
            # NULLs are distinct in every database that this runs on.
            models.UniqueConstraint(fields=["alias", "once_key"], name="rt_job_once"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.id}"

    @property
    def priority(self) -> int:
        """Django's priority, −100 to 100, higher first."""
        return -self.precedence

    @property
    def task_priority(self) -> TaskPriority:
        return TaskPriority.from_django(self.priority)


class WorkerRow(models.Model):
    """A worker process, alive until `expires_at`. Its lease is the lease of everything that it holds."""

    id = ExactCharField(_("id"), max_length=150, primary_key=True)
    alias = ExactCharField(_("backend"), max_length=64)
    name = ExactCharField(_("name"), max_length=100)
    host = ExactCharField(_("host"), max_length=255)
    pid = models.IntegerField(_("process id"))
    slots = models.IntegerField(_("slots"))
    queues = models.TextField(_("queues"))
    lease = models.FloatField(_("lease in seconds"))
    started_at = InstantField(_("started at"))
    beat_at = InstantField(_("last heartbeat"))
    expires_at = InstantField(_("lease ends at"))
    memory = models.BigIntegerField(_("memory in bytes"), null=True)

    class Meta:
        db_table = "reinhardt_tasks_worker"
        verbose_name = _("worker")
        verbose_name_plural = _("workers")

    def __str__(self) -> str:
        return self.id


class PauseRow(models.Model):
    """A queue from which nothing is claimed."""

    lane = ExactCharField(max_length=165, primary_key=True)
    paused_at = InstantField(_("paused at"))

    class Meta:
        db_table = "reinhardt_tasks_pause"
        verbose_name = _("paused queue")
        verbose_name_plural = _("paused queues")

    def __str__(self) -> str:
        return self.lane


class ResultRow(models.Model):
    """A result that is kept apart from its queue, by DatabaseResultBackend."""

    task_id = ExactCharField(_("task id"), max_length=64, primary_key=True)
    status = ExactCharField(_("state"), max_length=9, choices=STATUSES)
    result = models.TextField(_("result"), null=True)
    error = models.TextField(_("error"), null=True)
    created_at = models.BigIntegerField(_("created at"))

    class Meta:
        db_table = "reinhardt_tasks_result"
        verbose_name = _("stored result")
        verbose_name_plural = _("stored results")

    def __str__(self) -> str:
        return self.task_id


class OutboxRow(models.Model):
    """A task on its way to a store that takes no part in the database's transactions."""

    id = models.UUIDField(_("id"), primary_key=True)
    alias = ExactCharField(_("backend"), max_length=64)
    job = models.TextField(_("task"))
    created_at = InstantField(_("created at"))

    class Meta:
        db_table = "reinhardt_tasks_outbox"
        verbose_name = _("task to be sent")
        verbose_name_plural = _("tasks to be sent")
        indexes: ClassVar = [models.Index(fields=["alias", "created_at"], name="rt_outbox_next")]

    def __str__(self) -> str:
        return str(self.id)


def lane_of(alias: str, queue: str) -> str:
    """Return the name under which the ready jobs of one queue of one alias lie."""
    return f"{alias}:{queue}"
