"""`tasks show ID`: all of one task."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from ... import operations
from ...jobs import TaskStatus
from ...operations import AttemptView, Event, LineView, TaskView
from ...operations.facts import log_as_json, moment_text
from ...priorities import both_scales
from ...serialization import shown_json
from .base import OK, Options, Subcommand, chosen_stores
from .limits import line_facts, next_start
from .output import Output
from .tables import Table
from .words import age, ago, at_local, how_far, status_words


class Show(Subcommand):
    name = "show"
    help = gettext_lazy("Show one task: arguments, attempts, what happened when.")

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", metavar="ID", help=_("Its id, or a beginning that no other has."))

    def run(self, options: Options, out: Output) -> int:
        store, job = operations.find_task(options["id"], of=chosen_stores(options))
        task = operations.view(job)
        line = operations.held_back_by(store, task)
        _tell(task, line, out)
        out.data({**_facts(task), "held_back_by": line and line_facts(line)})
        return OK


def _facts(task: TaskView) -> dict[str, Any]:
    """Return a task with what a list, which reads no log, has not."""
    facts = {**task.as_json(), **log_as_json(task)}
    for its, attempt in zip(facts["attempts"], task.attempts, strict=True):
        its["log_dropped"] = attempt.dropped
        its["no_log"] = attempt.no_log_words or None
    facts["timeline"] = [
        {
            "at": moment_text(event.at),
            "what": event.what,
            "detail": event.detail or None,
            "gap": event.gap,
            "is_ahead": event.is_ahead,
        }
        for event in task.timeline
    ]
    return facts


def _tell(task: TaskView, line: LineView | None, out: Output) -> None:
    facts = {
        _("id"): task.id,
        _("task"): task.name if task.is_registered else _("{name} (not registered here)").format(name=task.name),
        _("status"): status_words(task),
        _("put back"): task.put_back_words or None,
        _("backend"): task.backend,
        _("queue"): task.queue,
        _("priority"): both_scales(task.priority),
        _("arguments"): task.call.problem or str(task.call),
        _("attempts"): _attempts(task),
        _("schedule"): task.schedule or None,
        _("workflow"): task.workflow or None,
        _("worker"): task.worker,
        _("progress"): how_far(task.progress),
        _("metadata"): shown_json(dict(task.metadata)) if task.metadata else None,
        _("limits"): ", ".join(f"{limit.key} ({operations.rule_in_words(limit)})" for limit in task.limits) or None,
        _("held back by"): None if line is None else _held_back_words(line),
        _("once key"): task.once_key,
        _("result"): task.result,
        _("error"): task.exception_line or None if task.status is not TaskStatus.SUCCESS else None,
    }
    out.facts(facts)
    out.say()
    table = Table([_("when"), _("what"), _("after"), ""], numbers=[2])
    for event in task.timeline:
        table.add(at_local(event.at), event.what, _gap(event), event.detail)
    out.table(table)
    _tell_attempts(task, out)
    for attempt in task.attempts:
        if attempt.exception:
            out.say()
            out.say(
                _("Attempt {number} ({duration}): {exception}").format(
                    number=attempt.number, duration=age(attempt.duration), exception=attempt.exception
                )
            )
            out.say(attempt.traceback.rstrip())
        if attempt.log:
            _tell_log(attempt, out)


def _gap(event: Event) -> str:
    if event.is_ahead:
        return ago(event.at)
    return "" if event.gap is None else age(event.gap)


def _tell_attempts(task: TaskView, out: Output) -> None:
    if not task.attempts:
        return
    out.say()
    table = Table([_("attempt"), _("ended"), _("took"), _("worker"), _("log")], numbers=[0, 2])
    for attempt in task.attempts:
        lines = len(attempt.log) + attempt.dropped
        log = ngettext("{number} line", "{number} lines", lines).format(number=f"{lines:,}")
        table.add(
            attempt.number, attempt.state_words, age(attempt.duration), attempt.worker, attempt.no_log_words or log
        )
    out.table(table)


def _tell_log(attempt: AttemptView, out: Output) -> None:
    out.say()
    out.say(_("Log of attempt {number}:").format(number=attempt.number))
    if attempt.dropped:
        words = ngettext("{number} older line was dropped", "{number} older lines were dropped", attempt.dropped)
        out.say(f"… {words.format(number=f'{attempt.dropped:,}')}")
    for line in attempt.log:
        out.say(f"{at_local(line.at)}  {line.level:<7}  {line.logger}  {line.message}")


def _attempts(task: TaskView) -> str:
    number = f"{len(task.attempts):,}"
    if task.max_attempts is None:
        return number
    return _("{number} of at most {most}").format(number=number, most=f"{task.max_attempts:,}")


def _held_back_words(line: LineView) -> str:
    if line.opens_at is not None:
        return _("{key}: {waiting} wait, the next begins {when}").format(
            key=line.key, waiting=line.waiting, when=next_start(line)
        )
    return _("{key}: {held} of {size} are past it, {waiting} wait").format(
        key=line.key, held=line.held, size=line.size, waiting=line.waiting
    )
