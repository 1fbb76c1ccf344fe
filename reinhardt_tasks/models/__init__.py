"""All tables, under the name that Django looks for. Each file beside this one holds the tables of one part."""

from . import installed  # noqa: F401 - before any model is made
from .limits import LimitRow, TicketRow
from .queue import STATUSES, JobRow, OutboxRow, PauseRow, ResultRow, WorkerRow, lane_of
from .schedules import ScheduleRow, SlotRow
from .workflows import StepRow, WorkflowRow

__all__ = [
    "STATUSES",
    "JobRow",
    "LimitRow",
    "OutboxRow",
    "PauseRow",
    "ResultRow",
    "ScheduleRow",
    "SlotRow",
    "StepRow",
    "TicketRow",
    "WorkerRow",
    "WorkflowRow",
    "lane_of",
]
