"""When: schedules as values, and what is declared to run by them. Pure; the engine that fires them is `scheduling`."""

from .base import (
    Schedule,
    as_schedule,
    schedule_as_dict,
    schedule_as_text,
    schedule_from_dict,
    schedule_from_text,
)
from .cron import CronSchedule
from .declarations import (
    Declaration,
    ScheduleRegistry,
    declaration_of,
    declared,
    declared_in_settings,
    scheduled,
)
from .intervals import At, IntervalSchedule

__all__ = [
    "At",
    "CronSchedule",
    "Declaration",
    "IntervalSchedule",
    "Schedule",
    "ScheduleRegistry",
    "as_schedule",
    "declaration_of",
    "declared",
    "declared_in_settings",
    "schedule_as_dict",
    "schedule_as_text",
    "schedule_from_dict",
    "schedule_from_text",
    "scheduled",
]
