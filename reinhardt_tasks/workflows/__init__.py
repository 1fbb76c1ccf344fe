"""Chains, groups and graphs of tasks, kept in the database whatever runs their steps."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..workflow_states import ChainStatus, StepStatus
    from .chains import TaskChain, TaskChainBuilder
    from .graphs import Workflow
    from .groups import Group, group
    from .placeholders import failure, item, previous_result, result_of
    from .runs import StepView, WorkflowRun, aget_workflow, get_workflow, list_workflows, steps_of
    from .steps import Step, step

#: Public name → the module that has it. What reads the database is loaded when asked for.
_PLACES = {
    "..workflow_states": ["ChainStatus", "StepStatus"],
    ".chains": ["TaskChain", "TaskChainBuilder"],
    ".graphs": ["Workflow"],
    ".groups": ["Group", "group"],
    ".placeholders": ["failure", "item", "previous_result", "result_of"],
    ".runs": ["StepView", "WorkflowRun", "aget_workflow", "get_workflow", "list_workflows", "steps_of"],
    ".steps": ["Step", "step"],
}
_PLACE_OF = {name: module for module, names in _PLACES.items() for name in names}

__all__ = [
    "ChainStatus",
    "Group",
    "Step",
    "StepStatus",
    "StepView",
    "TaskChain",
    "TaskChainBuilder",
    "Workflow",
    "WorkflowRun",
    "aget_workflow",
    "failure",
    "get_workflow",
    "group",
    "item",
    "list_workflows",
    "previous_result",
    "result_of",
    "step",
    "steps_of",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_PLACE_OF[name], __name__), name)
    globals()[name] = value
    return value
