"""The engine that fires schedules, and what people do with them."""

from .people import ScheduleView, create, delete, edit, list_schedules, run_now, switch
from .scheduler import Scheduler

__all__ = ["ScheduleView", "Scheduler", "create", "delete", "edit", "list_schedules", "run_now", "switch"]
