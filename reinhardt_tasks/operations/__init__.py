"""What people do to queues, once for every store: plain functions, which the command line and the admin call and show.

All of them take a `Store` (one alias of TASKS and its broker) or work on all that there are. Everything is bounded, whatever
the backlog; what may take long is a generator that tells how far it came. They raise OperationRefused for what cannot be
done, TaskNotFound for an id that is not there, and QueueError where a store is away.
"""

from __future__ import annotations

from ..brokers.lookups import Page, Query, Tallies
from .actions import (
    ACTIONS,
    CANCEL,
    DISCARD,
    RETRY,
    RUN_NOW,
    Action,
    Done,
    Step,
    act,
    change,
    check_changes,
    narrowed_to,
    on_all,
)
from .alerts import Alert, alerts_of
from .at_work import AtWork, WorkerAtWork, at_work
from .attempts import AttemptView
from .checking import Finding, QueueCheck, check_queue
from .counting import Count, bound_of, count_tasks, count_waiting, counted
from .editing import arguments_of, edit, run_again
from .failures import FailureGroup, FailureGroups, act_on_group, failures
from .finding import Listing, find_task, list_tasks, task_view
from .limits import HeldBack, LineView, held_back, held_back_by, rule_in_words
from .overview import QueueOverview, StoreOverview, overview
from .queues import check_queue_name, clear, known_queues, pause, prune, resume
from .requeue import requeue_lost, requeue_unknown
from .stores import Store, aliases, store_of, stores
from .throughput import Rate, Throughput, throughput
from .timelines import Event
from .views import TaskView, view
from .workers import Workers, WorkerView, workers

__all__ = [
    "ACTIONS",
    "CANCEL",
    "DISCARD",
    "RETRY",
    "RUN_NOW",
    "Action",
    "Alert",
    "AtWork",
    "AttemptView",
    "Count",
    "Done",
    "Event",
    "FailureGroup",
    "FailureGroups",
    "Finding",
    "HeldBack",
    "LineView",
    "Listing",
    "Page",
    "Query",
    "QueueCheck",
    "QueueOverview",
    "Rate",
    "Step",
    "Store",
    "StoreOverview",
    "Tallies",
    "TaskView",
    "Throughput",
    "WorkerAtWork",
    "WorkerView",
    "Workers",
    "act",
    "act_on_group",
    "alerts_of",
    "aliases",
    "arguments_of",
    "at_work",
    "bound_of",
    "change",
    "check_changes",
    "check_queue",
    "check_queue_name",
    "clear",
    "count_tasks",
    "count_waiting",
    "counted",
    "edit",
    "failures",
    "find_task",
    "held_back",
    "held_back_by",
    "known_queues",
    "list_tasks",
    "narrowed_to",
    "on_all",
    "overview",
    "pause",
    "prune",
    "requeue_lost",
    "requeue_unknown",
    "resume",
    "rule_in_words",
    "run_again",
    "store_of",
    "stores",
    "task_view",
    "throughput",
    "view",
    "workers",
]
