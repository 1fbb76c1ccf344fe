"""`tasks show ID`: all of one task."""

from __future__ import annotations

import json

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _

from ... import operations
from ...operations import TaskView
from ...operations.views import moment_text
from .base import OK, Options, Subcommand, chosen_stores
from .output import Output
from .tables import Table
from .words import age, at_local


class Show(Subcommand):
    name = "show"
    help = "Show one task: arguments, attempts, what happened when."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", metavar="ID", help="Its id, or a beginning that no other has.")

    def run(self, options: Options, out: Output) -> int:
        task = operations.task_view(options["id"], of=chosen_stores(options))
        _tell(task, out)
        timeline = [
            {"at": moment_text(event.at), "what": event.what, "detail": event.detail or None} for event in task.timeline
        ]
        out.data({**task.as_json(), "timeline": timeline})
        return OK


def _tell(task: TaskView, out: Output) -> None:
    facts = {
        _("id"): task.id,
        _("task"): task.name if task.is_registered else _("{name} (not registered here)").format(name=task.name),
        _("status"): task.status.value + (_(", to be cancelled") if task.cancel_requested else ""),
        _("backend"): task.backend,
        _("queue"): task.queue,
        _("priority"): _("{django} ({scale} of 9)").format(django=task.priority, scale=task.task_priority),
        _("arguments"): task.call.problem or str(task.call),
        _("worker"): task.worker,
        _("progress"): "{:g} / {:g}".format(*task.progress) if task.progress else None,
        _("metadata"): json.dumps(dict(task.metadata), ensure_ascii=False) if task.metadata else None,
        _("once key"): task.once_key,
        _("result"): task.result,
    }
    places = max(len(name) for name in facts)
    for name, value in facts.items():
        if value is not None:
            out.say(f"{name:<{places}}  {value}")
    out.say()
    table = Table([_("when"), _("what"), ""])
    for event in task.timeline:
        table.add(at_local(event.at), event.what, event.detail)
    out.table(table)
    for attempt in task.attempts:
        if attempt.exception:
            out.say()
            out.say(
                _("Attempt {number} ({duration}): {exception}").format(
                    number=attempt.number, duration=age(attempt.duration), exception=attempt.exception
                )
            )
            out.say(attempt.traceback.rstrip())
