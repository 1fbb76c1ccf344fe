"""Two doors, one house: what the admin can do `manage.py tasks` can, and the other way round, by the same functions."""

from __future__ import annotations

from typing import Any

import pytest

from reinhardt_tasks.admin import care_page, deeds, queues_page, schedule_pages, workflow_pages
from reinhardt_tasks.admin.schedules import SchedulesAdmin
from reinhardt_tasks.admin.tasks import TasksAdmin
from reinhardt_tasks.admin.workflows import WorkflowsAdmin
from reinhardt_tasks.management.commands.tasks import SUBCOMMANDS
from reinhardt_tasks.management.tasks_cli.groups import Group
from reinhardt_tasks.operations import ACTIONS
from reinhardt_tasks.operations.schedules import SCHEDULE_ACTIONS
from reinhardt_tasks.operations.workflows import WORKFLOW_ACTIONS

#: Page (model and name) → the subcommands that show or do the same.
PAGES = {
    "task changelist": {"status"},
    "task tasks": {"list"},
    # Its button *Run again* is no action of the list.
    "task change": {"show", "run-again"},
    "task edit": {"edit"},
    "task queues": {"limits"},
    "task check": {"check-queue"},
    "task workers": {"workers"},
    "task failures": {"failures"},
    "schedule changelist": {"schedules list"},
    "schedule change": {"schedules show"},
    "schedule add": {"schedules add"},
    "schedule edit": {"schedules edit"},
    "workflow changelist": {"workflows list"},
    "workflow change": {"workflows show"},
}
#: What is done once, at a move or a deploy, where a person has a shell: there is no page for it.
SHELL_ONLY = {"import"}
#: Pages that only do what a button asks for → these buttons, and what stands before them on the command line.
BUTTONS: dict[str, tuple[Any, str]] = {
    "task act": (deeds.DEEDS, ""),
    "task queues_act": (queues_page.DEEDS, ""),
    "task care_act": (care_page.DEEDS, ""),
    "task failures_act": ({name: deeds.DEEDS[name] for name in ("retry", "discard")}, ""),
    "schedule act": (schedule_pages.RIGHTS, "schedules "),
    "workflow act": (workflow_pages.RIGHTS, "workflows "),
}


def admin_pages() -> set[str]:
    kinds = {"task": TasksAdmin, "schedule": SchedulesAdmin, "workflow": WorkflowsAdmin}
    return {f"{model} {name}" for model, kind in kinds.items() for _route, _show, name in kind.pages}


def subcommands() -> set[str]:
    return {
        f"{name} {verb}".strip()
        for name, subcommand in SUBCOMMANDS.items()
        for verb in (subcommand.members if isinstance(subcommand, Group) else [""])
    }


def test_each_page_and_each_button_has_its_subcommand_and_each_subcommand_its_page() -> None:
    assert admin_pages() == PAGES.keys() | BUTTONS.keys()
    shown = {words for some in PAGES.values() for words in some}
    done = {f"{before}{name}" for names, before in BUTTONS.values() for name in names}
    assert shown | done | SHELL_ONLY == subcommands()


@pytest.mark.parametrize("name", ACTIONS)
def test_an_action_on_tasks_is_one_and_the_same_at_both_doors(name: str) -> None:
    acting: Any = SUBCOMMANDS[name]
    assert deeds.DEEDS[name].action is acting.deed({}) is ACTIONS[name]


def test_an_action_on_schedules_or_workflows_is_one_and_the_same_at_both_doors() -> None:
    groups: Any = SUBCOMMANDS
    for name, action in SCHEDULE_ACTIONS.items():
        assert groups["schedules"].members[name].action is action
    for name, flow_action in WORKFLOW_ACTIONS.items():
        assert groups["workflows"].members[name].action is flow_action
    assert schedule_pages.RIGHTS.keys() == SCHEDULE_ACTIONS.keys()
    assert workflow_pages.RIGHTS.keys() == WORKFLOW_ACTIONS.keys()
