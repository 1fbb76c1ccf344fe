"""A priority as people are shown it: on both scales, since either may have been written."""

from __future__ import annotations

from django.utils.translation import gettext as _

from ._compat import TASK_MAX_PRIORITY, TASK_MIN_PRIORITY
from .jobs import TaskPriority


def scale_of(priority: int) -> int:
    """Return what Django's number is on the scale from 0 to 9; one beyond its bounds, which a store may have, is at the end."""
    return TaskPriority.from_django(max(TASK_MIN_PRIORITY, min(TASK_MAX_PRIORITY, priority))).value


def both_scales(priority: int) -> str:
    """Return Django's number, and what it is on the scale from 0 to 9."""
    return _("{django} ({scale} of 9)").format(django=priority, scale=scale_of(priority))
