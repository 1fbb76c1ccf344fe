"""Moments as tables of other systems keep them: without a zone where the project has USE_TZ switched off."""

from __future__ import annotations

from datetime import datetime
from typing import overload

from django.utils import timezone


@overload
def aware(moment: datetime) -> datetime: ...


@overload
def aware(moment: None) -> None: ...


def aware(moment: datetime | None) -> datetime | None:
    """Return a moment with a zone: its own, else the project's."""
    return timezone.make_aware(moment) if moment is not None and timezone.is_naive(moment) else moment
