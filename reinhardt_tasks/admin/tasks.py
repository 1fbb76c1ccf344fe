"""The pages about tasks, queues, workers and failures, of every backend."""

from __future__ import annotations

from . import (
    acting,
    care_page,
    editing_page,
    failures_page,
    overview_page,
    queues_page,
    task_list,
    task_page,
    workers_page,
)
from .pages import PagesAdmin
from .rights import Rights


class TasksAdmin(PagesAdmin):
    """They hang on the model of tasks, though tasks on Redis are no rows of it."""

    rights_kind = Rights
    # "changelist" and "change" are Django's own names: its lists of apps and its history lead to them.
    pages = [
        ("", overview_page.show, "changelist"),
        ("tasks/", task_list.show, "tasks"),
        ("act/", acting.act_on_tasks, "act"),
        ("queues/", queues_page.show, "queues"),
        ("queues/act/", queues_page.act, "queues_act"),
        ("care/act/", care_page.act, "care_act"),
        ("check/", care_page.check, "check"),
        ("workers/", workers_page.show, "workers"),
        ("failures/", failures_page.show, "failures"),
        ("failures/act/", failures_page.act, "failures_act"),
        ("<path:id_>/change/", task_page.show, "change"),
        ("<path:id_>/edit/", editing_page.show, "edit"),
    ]
