"""`tasks status`: every backend at a glance, once or again and again."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ... import operations
from ...brokers.base import Broker
from ...operations import StoreOverview
from ..flags import seconds
from .base import AWAY, OK, USAGE, Options, Subcommand
from .output import Output
from .tables import Table
from .words import age, at_local


class Status(Subcommand):
    name = "status"
    help = gettext_lazy("Show each backend's queues and workers, and what somebody should look at.")

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--watch", action="store_true", help=_("Show it again and again, until Ctrl-C."))
        parser.add_argument(
            "--interval", type=seconds, default=2.0, metavar="S", help=_("Seconds between (default: 2).")
        )
        parser.add_argument(
            "--max-oldest",
            type=seconds,
            default=300.0,
            metavar="S",
            help=_("How long a ready task may wait (default: 300)."),
        )

    def run(self, options: Options, out: Output) -> int:
        if not options["watch"]:
            return self._show(options, out)
        try:
            while True:
                self._show(options, out)
                time.sleep(max(0.1, options["interval"]))
        except KeyboardInterrupt:
            return OK

    def _show(self, options: Options, out: Output) -> int:
        found = operations.overview(only=options["backend"], max_oldest=options["max_oldest"])
        now = datetime.now(UTC)
        if options["watch"]:
            out.clear_screen()
            out.say(at_local(now))
        for each in found:
            _tell(each, out)
        out.data({"at": now.isoformat(), "backends": [_json(each) for each in found]}, is_line=options["watch"])
        out.flush()
        return _code(found)


def _code(found: list[StoreOverview]) -> int:
    silent = [each for each in found if each.error and each.keeps_tasks]
    if any(each.alerts for each in silent):
        return AWAY
    # What is no store for its settings alone has nothing to be alerted of.
    return USAGE if silent else OK


def _tell(store: StoreOverview, out: Output) -> None:
    if store.error:
        out.say(f"{store.alias} ({store.kind}): {store.error}")
        out.say()
        return
    living = sum(worker.is_alive for worker in store.workers)
    out.say(_("{alias} ({place}), workers: {number}").format(alias=store.alias, place=store.place, number=living))
    table = Table(
        [_("queue"), _("ready"), _("running"), _("scheduled"), _("retrying"), _("failed"), _("oldest"), ""],
        numbers=range(1, 7),
    )
    for queue in store.queues:
        table.add(
            queue.queue,
            _bounded(queue.ready),
            _bounded(queue.running),
            _bounded(queue.scheduled),
            _bounded(queue.retrying),
            f"{queue.failed}+" if store.failed_is_cut else queue.failed,
            age(queue.oldest_age),
            _("paused") if queue.is_paused else "",
        )
    out.table(table, _("There are no queues."))
    for alert in store.alerts:
        out.say(f"! {alert.message} {alert.hint}")
    out.say()


def _bounded(number: int) -> str:
    return f"{number}+" if number >= Broker.COUNT_LIMIT else str(number)


def _json(store: StoreOverview) -> dict[str, Any]:
    return {
        "backend": store.alias,
        "kind": store.kind,
        "place": store.place,
        "keeps_tasks": store.keeps_tasks,
        "error": store.error or None,
        "queues": [asdict(queue) for queue in store.queues],
        "failed_is_cut": store.failed_is_cut,
        "workers": sum(worker.is_alive for worker in store.workers),
        "alerts": [asdict(alert) for alert in store.alerts],
    }
