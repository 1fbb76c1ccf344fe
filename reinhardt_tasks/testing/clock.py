"""The time of a test: the real one, or as far ahead of it as the test has moved it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from unittest import mock

from django.utils import timezone

_django_now = timezone.now


class Clock:
    """Goes like any clock, and can be moved forward. From then on Django's `timezone.now()` follows it."""

    def __init__(self, ahead: timedelta = timedelta(0)) -> None:
        self.ahead = ahead
        self._patch = mock.patch.object(timezone, "now", lambda: _django_now() + self.ahead)
        self._is_patched = False

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def move(self, to: timedelta | datetime) -> None:
        """Move forward: by a timedelta, or to a moment. Raise ValueError for what lies behind."""
        if isinstance(to, datetime):
            if timezone.is_naive(to):
                raise ValueError(f"travel() needs a moment with its time zone, not {to!r}.")
            to = to - self.now()
        if to < timedelta(0):
            raise ValueError(f"travel() moves time forward only; that lies {-to} back.")
        self.ahead += to
        if not self._is_patched:
            self._patch.start()
            self._is_patched = True

    def close(self) -> None:
        if self._is_patched:
            self._patch.stop()
            self._is_patched = False
