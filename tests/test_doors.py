"""Two doors, one house: what the admin can do `manage.py tasks` can, and the other way round, by the same functions."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management.base import CommandParser

from reinhardt_tasks.admin import care_page, deeds, failures_page, queues_page, schedule_pages, workflow_pages
from reinhardt_tasks.admin.schedules import SchedulesAdmin
from reinhardt_tasks.admin.searching import SearchForm
from reinhardt_tasks.admin.tasks import TasksAdmin
from reinhardt_tasks.admin.workflows import WorkflowsAdmin
from reinhardt_tasks.management.commands.tasks import SUBCOMMANDS
from reinhardt_tasks.management.tasks_cli.groups import Group
from reinhardt_tasks.operations import ACTIONS, Store, act_on_group
from reinhardt_tasks.operations.schedules import SCHEDULE_ACTIONS
from reinhardt_tasks.operations.workflows import WORKFLOW_ACTIONS
from tests.commands.telling import data
from tests.operations import chores
from tests.operations.stores import database_store, fail, redis_store, store

__all__ = ["database_store", "redis_store", "store"]

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
    "task failures_act": (failures_page.GROUP_DEEDS, ""),
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


#: Filter on the page of tasks → the flags that ask the same. A period is a moment since, in words.
FILTERS = {
    "state": {"--status"},
    "q": {"--id", "--name"},
    "queue": {"--queue"},
    "period": {"--since"},
    "since": {"--since"},
    "until": {"--until"},
    "finished_since": {"--finished-since"},
    "finished_until": {"--finished-until"},
    "worker": {"--worker"},
    "exception": {"--exception"},
    "place": {"--place"},
    "text": {"--text"},
}


def flags_of(name: str) -> set[str]:
    parser = CommandParser()
    SUBCOMMANDS[name].add_arguments(parser)
    return {flag for action in parser._actions for flag in action.option_strings}


def test_tasks_are_chosen_by_the_same_filters_at_both_doors() -> None:
    assert {"state", *SearchForm.base_fields} == FILTERS.keys()
    flags = {flag for some in FILTERS.values() for flag in some}
    assert flags == flags_of("list") - {"-h", "--help", "--limit", "--after"}
    # An id is named without a flag where something is done.
    for name in deeds.DEEDS:
        assert flags - {"--id"} <= flags_of(name)


@pytest.mark.parametrize("name", failures_page.GROUP_DEEDS)
def test_a_group_of_failures_is_one_and_the_same_at_both_doors(store: Store, name: str) -> None:
    """The page names a group by the fields of its form, the command line by the flags of the same names."""
    ids: dict[str, list[str]] = {"one": [], "other": []}
    for number in range(4):
        chores.add.enqueue(number)
        place = "one" if number % 2 else "other"
        ids[place].append(fail(store, traceback=f'  File "{place}.py", line 9, in y\nValueError: no'))
    told = data("failures")["groups"]
    group = next(each for each in told if each["place"] == "one.py:9 in y")
    words = [word for part in ("name", "exception", "place") for word in (f"--{part}", group[part])]
    rehearsed = data(name, "--all", "--status", "failure", *words, "--dry-run")["ids"]
    assert sorted(rehearsed) == sorted(ids["one"])
    assert data(name, "--all", "--status", "failure", *words, "--yes")["count"] == 2
    left = data("failures")["groups"]
    assert [(each["place"], each["count"]) for each in left] == [("other.py:9 in y", 2)]
    (step,) = act_on_group(store, ACTIONS[name], **{part: left[0][part] for part in ("name", "exception", "place")})
    assert sorted(step.done.took) == sorted(ids["other"])


def test_an_action_on_schedules_or_workflows_is_one_and_the_same_at_both_doors() -> None:
    groups: Any = SUBCOMMANDS
    for name, action in SCHEDULE_ACTIONS.items():
        assert groups["schedules"].members[name].action is action
    for name, flow_action in WORKFLOW_ACTIONS.items():
        assert groups["workflows"].members[name].action is flow_action
    assert schedule_pages.RIGHTS.keys() == SCHEDULE_ACTIONS.keys()
    assert workflow_pages.RIGHTS.keys() == WORKFLOW_ACTIONS.keys()
