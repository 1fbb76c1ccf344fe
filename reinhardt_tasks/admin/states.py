"""The tabs over the list of tasks."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from ..jobs import TaskStatus

#: Tab → its label and the states that it shows; None: all.
TABS = {
    "all": (_("All"), None),
    "pending": (_("Pending"), TaskStatus.PENDING),
    "running": (_("Running"), TaskStatus.RUNNING),
    "scheduled": (_("Scheduled"), TaskStatus.SCHEDULED),
    "retry": (_("Waiting to be retried"), TaskStatus.RETRY),
    "failure": (_("Failed"), TaskStatus.FAILURE),
    "success": (_("Succeeded"), TaskStatus.SUCCESS),
    "cancelled": (_("Cancelled"), TaskStatus.CANCELLED),
}
