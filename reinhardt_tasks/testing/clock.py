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

    def moment(self, to: timedelta | datetime) -> datetime:
        """Return a moment, or the one that is so long from now. Raise ValueError for what lies behind."""
        now = self.now()
        moment = to if isinstance(to, datetime) else now + to
        if timezone.is_naive(moment):
            raise ValueError(f"travel() needs a moment with its time zone, not {to!r}.")
        if moment < now:
            raise ValueError(f"travel() moves time forward only; that lies {now - moment} back.")
        return moment

    def move(self, to: datetime) -> None:
        """Move forward to a moment."""
        self.ahead += to - self.now()
        if not self._is_patched:
            self._patch.start()
            self._is_patched = True

    def close(self) -> None:
        if self._is_patched:
            self._patch.stop()
            self._is_patched = False
