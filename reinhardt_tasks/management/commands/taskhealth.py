"""`manage.py taskhealth`: whether one worker is alive, by its health file, or whether a backend is served, by its store."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from ...backends.named import backend_named
from ...brokers.base import Broker, QueueCounts
from ...exceptions import OperationRefused, QueueError
from ...jobs import TaskStatus
from ...worker.health import STATES
from ..flags import seconds
from ..spoken import SpokenCommand

HEALTHY, UNHEALTHY, USAGE, UNREACHABLE = 0, 1, 2, 3
MAX_AGE, MIN_WORKERS = 30.0, 1


@dataclass(kw_only=True)
class Report:
    """What was found: a sentence for each problem, and facts for machines."""

    about: str
    facts: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    is_reached: bool = True

    @property
    def code(self) -> int:
        if not self.is_reached:
            return UNREACHABLE
        return UNHEALTHY if self.problems else HEALTHY


class Command(SpokenCommand):
    about = gettext_lazy(
        "Tell whether one worker is alive (--file: no database is asked), or whether a backend is served: living workers, "
        "tasks that wait for too long, paused queues. Exit codes: 0 healthy, 1 unhealthy, 2 for a usage that cannot be, "
        "3 where the store cannot be reached."
    )
    # They are not what was asked for, and a probe has little time.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--file", metavar="PATH", help=_("The file of runworker's --health-file."))
        parser.add_argument(
            "--max-age", type=seconds, metavar="S", help=_("With --file: its greatest age (default: 30).")
        )
        parser.add_argument("--backend", metavar="ALIAS", help=_("Alias in TASKS (default: default)."))
        parser.add_argument("--max-oldest", type=seconds, metavar="S", help=_("How long a ready task may wait."))
        parser.add_argument(
            "--min-workers", type=_number, metavar="N", help=_("How many workers must live (default: 1).")
        )
        parser.add_argument("--json", action="store_true", help=_("Print one JSON object."))

    def handle(self, *args: Any, **options: Any) -> None:
        if options["file"] is None:
            _refuse_beside(_("--max-age needs --file"), options, "max_age")
            report = self._ask(options)
        else:
            _refuse_beside(_("--file asks no store"), options, "backend", "max_oldest", "min_workers")
            report = look_at(Path(options["file"]), _given(options["max_age"], MAX_AGE))
        self._tell(report, options["json"])
        if report.code != HEALTHY:
            sys.exit(report.code)

    def _ask(self, options: dict[str, Any]) -> Report:
        alias = options["backend"] or "default"
        broker = _broker(alias)
        try:
            return ask(broker, alias, options["max_oldest"], _given(options["min_workers"], MIN_WORKERS))
        except QueueError as exc:
            return Report(
                about=f"TASKS[{alias!r}]",
                facts={"backend": alias},
                problems=[_("TASKS[{alias}] cannot be reached: {exc}").format(alias=repr(alias), exc=exc)],
                is_reached=False,
            )
        finally:
            broker.close()

    def _tell(self, report: Report, as_json: bool) -> None:
        if as_json:
            facts = {"healthy": not report.problems, "problems": report.problems, **report.facts}
            self.stdout.write(json.dumps(facts))
            return
        for problem in report.problems:
            self.stderr.write(problem)
        if not report.problems:
            self.stdout.write(_("Healthy: {about}.").format(about=report.about))


def look_at(path: Path, max_age: float) -> Report:
    """Return what a worker's health file says: whether it is young, and a worker's at all."""
    report = Report(about=str(path), facts={"file": str(path)})
    try:
        age = time.time() - path.stat().st_mtime
        said = json.loads(path.read_text())
    except FileNotFoundError:
        report.problems.append(_("{path} is not there: no worker writes it yet, or it has stopped.").format(path=path))
        return report
    except (OSError, ValueError) as exc:
        report.problems.append(_("{path} cannot be read: {exc}").format(path=path, exc=exc))
        return report
    state = said.get("state") if isinstance(said, dict) else None
    if state not in STATES:
        report.problems.append(_("{path} is not the health file of a worker.").format(path=path))
        return report
    report.about = _("process {pid} is {state}; {path} is {age} s old").format(
        pid=said.get("pid"), state=state, path=path, age=f"{max(0.0, age):.0f}"
    )
    report.facts |= {**said, "age": round(age, 3)}
    if abs(age) > max_age:
        # Ahead of the clock it is when that was set back: then its age says nothing for as long.
        when = (_("{age} s old") if age > 0 else _("{age} s ahead of the clock")).format(age=f"{abs(age):.0f}")
        report.problems.append(
            _("{path} is {when}, and may be {max_age}: process {pid} gets nothing done.").format(
                path=path, when=when, max_age=f"{max_age:g}", pid=said.get("pid")
            )
        )
    return report


def ask(broker: Broker, alias: str, max_oldest: float | None, min_workers: int) -> Report:
    """Return what the store says of a backend. Raise QueueError where it cannot be reached."""
    living = sum(record.is_alive for record in broker.workers())
    queues = broker.counts()
    now = datetime.now(UTC)
    report = Report(
        about=_("TASKS[{alias}] has {workers} and {queues}").format(
            alias=repr(alias),
            workers=_living_workers(living),
            # One that is paused may have none, and is told of as a problem instead.
            queues=ngettext("{number} queue with tasks", "{number} queues with tasks", len(queues)).format(
                number=len(queues)
            ),
        ),
        facts={"backend": alias, "workers": living, "queues": [_facts(queue, now) for queue in queues]},
    )
    if living < min_workers:
        report.problems.append(
            _("TASKS[{alias}] has {workers}, and should have {min_workers} or more.").format(
                alias=repr(alias), workers=_living_workers(living), min_workers=min_workers
            )
        )
    for queue in queues:
        if queue.is_paused:
            report.problems.append(
                _("Queue {queue} is paused: none of its tasks is begun until it is resumed.").format(
                    queue=repr(queue.queue)
                )
            )
        elif max_oldest is not None and (age := _age(queue, now) or 0.0) > max_oldest:
            report.problems.append(
                _(
                    "Queue {queue} is behind: its oldest ready task has waited for {age} s, and may for {max_oldest}."
                ).format(queue=repr(queue.queue), age=f"{age:.0f}", max_oldest=f"{max_oldest:g}")
            )
    return report


def _living_workers(number: int) -> str:
    return ngettext("{number} living worker", "{number} living workers", number).format(number=number)


def _facts(queue: QueueCounts, now: datetime) -> dict[str, Any]:
    return {
        "queue": queue.queue,
        "ready": queue.counts.get(TaskStatus.PENDING, 0),
        "oldest": _age(queue, now),
        "is_paused": queue.is_paused,
    }


def _age(queue: QueueCounts, now: datetime) -> float | None:
    """Return for how many seconds the queue's oldest ready task has waited."""
    # The store's clock may be a little ahead of ours.
    return None if queue.oldest_due_at is None else max(0.0, round((now - queue.oldest_due_at).total_seconds(), 3))


def _broker(alias: str) -> Broker:
    try:
        return backend_named(alias).broker
    except OperationRefused as exc:
        raise CommandError(str(exc), returncode=USAGE) from exc


def _refuse_beside(reason: str, options: dict[str, Any], *names: str) -> None:
    for name in names:
        if options[name] is not None:
            raise CommandError(
                _("{reason}: leave out {flag}.").format(reason=reason, flag=f"--{name.replace('_', '-')}"),
                returncode=USAGE,
            )


def _given(value: Any, default: Any) -> Any:
    return default if value is None else value


def _number(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(_("must be 0 or more, not {text}").format(text=text))
    return number
