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
from ...operations import StoreOverview, Throughput
from ...operations.stores import STORE_ERRORS
from ..flags import seconds
from .base import AWAY, OK, USAGE, Options, Subcommand
from .output import Output
from .tables import Table
from .words import age, at_local, size

#: Seconds for which what ended in the last hour is shown again.
HOUR_KEPT = 10.0


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
        hours = _Hours()
        if not options["watch"]:
            return self._show(options, out, hours)
        try:
            while True:
                self._show(options, out, hours)
                time.sleep(max(0.1, options["interval"]))
        except KeyboardInterrupt:
            return OK

    def _show(self, options: Options, out: Output, hours: _Hours) -> int:
        found = operations.overview(only=options["backend"], max_oldest=options["max_oldest"])
        now = datetime.now(UTC)
        if options["watch"]:
            out.clear_screen()
            out.say(at_local(now))
        for each in found:
            _tell(each, hours.of(each), out)
        facts = [_json(each, hours.of(each)) for each in found]
        out.data({"at": now.isoformat(), "backends": facts}, is_line=options["watch"])
        out.flush()
        return _code(found)


class _Hours:
    """What each backend did in the last hour. Who watches asks for it less often than for the rest: it may cost more."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, Throughput | None]] = {}

    def of(self, store: StoreOverview) -> Throughput | None:
        """Return None where there is nothing to ask, or it is away."""
        if store.error:
            return None
        asked_at, found = self._known.get(store.alias, (float("-inf"), None))
        if time.monotonic() - asked_at >= HOUR_KEPT:
            try:
                found = operations.throughput(operations.store_of(store.alias))
            except STORE_ERRORS:
                # It went away between two questions; the next look will say so.
                found = None
            self._known[store.alias] = time.monotonic(), found
        return found


def _code(found: list[StoreOverview]) -> int:
    silent = [each for each in found if each.error and each.keeps_tasks]
    if any(each.alerts for each in silent):
        return AWAY
    # What is no store for its settings alone has nothing to be alerted of.
    return USAGE if silent else OK


def _tell(store: StoreOverview, hour: Throughput | None, out: Output) -> None:
    if store.error:
        out.say(f"{store.alias} ({store.kind}): {store.error}")
        if not store.keeps_tasks:
            _tell_alerts(store, out)
        out.say()
        return
    out.say(
        _("{alias} ({place}), workers: {number}").format(alias=store.alias, place=store.place, number=len(store.living))
    )
    if store.living:
        out.say(
            _("slots busy: {busy} of {slots}, memory: {memory}").format(
                busy=store.slots_busy, slots=store.slots, memory=size(store.memory)
            )
        )
    if hour is not None:
        out.say(_hour_in_words(hour))
    table = Table(
        [_("queue"), _("ready"), _("running"), _("scheduled"), _("retrying"), _("failed"), _("oldest"), ""],
        numbers=range(1, 7),
    )
    for queue in store.queues:
        table.add(
            queue.queue,
            operations.counted([queue.ready]),
            operations.counted([queue.running]),
            operations.counted([queue.scheduled]),
            operations.counted([queue.retrying]),
            f"{queue.failed}+" if store.failed_is_cut else queue.failed,
            age(queue.oldest_age),
            _("paused") if queue.is_paused else "",
        )
    out.table(table, _("There are no queues."))
    _tell_alerts(store, out)
    out.say()


def _tell_alerts(store: StoreOverview, out: Output) -> None:
    for alert in store.alerts:
        out.say(f"! {alert.message} {alert.hint}")


def _hour_in_words(hour: Throughput) -> str:
    whole = hour.whole
    ended = f"{'≈ ' if hour.is_estimate else ''}{whole.ended:,}"
    if whole.failure_percent is None:
        return _("ended in the last hour: {number}").format(number=ended)
    return _("ended in the last hour: {number}, failed: {percent} %").format(
        number=ended, percent=f"{whole.failure_percent:.1f}"
    )


def _json(store: StoreOverview, hour: Throughput | None) -> dict[str, Any]:
    return {
        "backend": store.alias,
        "kind": store.kind,
        "place": store.place,
        "keeps_tasks": store.keeps_tasks,
        "error": store.error or None,
        "queues": [{**asdict(queue), "at_least": queue.at_least} for queue in store.queues],
        "failed_is_cut": store.failed_is_cut,
        "workers": len(store.living),
        "slots": store.slots,
        "slots_busy": store.slots_busy,
        "memory": store.memory,
        "last_hour": hour and _hour_json(hour),
        "alerts": [asdict(alert) for alert in store.alerts],
    }


def _hour_json(hour: Throughput) -> dict[str, Any]:
    whole = hour.whole
    return {
        "succeeded": whole.succeeded,
        "failed": whole.failed,
        "cancelled": whole.cancelled,
        "failure_rate": whole.failure_rate,
        "is_estimate": hour.is_estimate,
    }
