"""The tabs over the list of tasks: one for each state, called as the state is on all pages."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _

from ..jobs import TaskStatus
from ..models import STATUSES

#: What somebody has to look at stands before what has ended well.
_ORDER = (
    TaskStatus.PENDING,
    TaskStatus.RUNNING,
    TaskStatus.SCHEDULED,
    TaskStatus.RETRY,
    TaskStatus.FAILURE,
    TaskStatus.SUCCESS,
    TaskStatus.CANCELLED,
)
_LABELS: dict[str, Any] = dict(STATUSES)

#: Tab → its label and the state that it shows; None: all.
TABS: dict[str, tuple[Any, TaskStatus | None]] = {
    "all": (_("All"), None),
    **{status.value.lower(): (_LABELS[status.value], status) for status in _ORDER},
}
