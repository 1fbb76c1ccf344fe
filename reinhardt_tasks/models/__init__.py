"""All tables, under the name that Django looks for. Each file beside this one holds the tables of one part."""

from .queue import STATUSES, JobRow, OutboxRow, PauseRow, ResultRow, WorkerRow, lane_of
from .workflows import StepRow, WorkflowRow

__all__ = [
    "STATUSES",
    "JobRow",
    "OutboxRow",
    "PauseRow",
    "ResultRow",
    "StepRow",
    "WorkerRow",
    "WorkflowRow",
    "lane_of",
]
