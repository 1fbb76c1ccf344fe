"""Django's three task signals, and one of ours for what Django has no word for yet.

All are sent with the backend's class as sender and `task_result=`. `task_retried` also gets `delay=` in seconds: the
attempt failed and another will follow.
"""

from __future__ import annotations

from django.dispatch import Signal

from ._compat import task_enqueued, task_finished, task_started

task_retried = Signal()

__all__ = ["task_enqueued", "task_finished", "task_retried", "task_started"]
