"""`manage.py runscheduler`: fire schedules until told to stop."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import connections
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ... import __version__
from ...exceptions import InvalidSchedule, QueueError
from ...scheduling import Scheduler, list_schedules
from ...scheduling.firing import Firing
from ...scheduling.scheduler import FIRED
from ...worker.logs import set_up_logging
from ..flags import whole
from ..spoken import SpokenCommand, banner_lines

#: Schedules that are named in the banner, and slots that --dry-run shows of each.
SHOWN, UPCOMING = 10, 5


class Command(SpokenCommand):
    about = gettext_lazy(
        "Fire schedules until told to stop: those of code (@scheduled), of settings (OPTIONS['SCHEDULES']) and of people. Run as "
        "many as you like, on any machine: a slot is fired once. SIGTERM or Ctrl-C stops it, a second one at once. Exit codes: "
        "0 after a clean stop, 1 after a forced one, or with --once where a schedule could not be fired, 2 for a usage that "
        "cannot be, 3 where the database cannot be reached at start."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--name", default="scheduler", help=_("Name for people to see (default: %(default)s)."))
        parser.add_argument(
            "--once",
            action="store_true",
            help=_("Fire what is due now, and leave: for a crontab that comes every minute."),
        )
        parser.add_argument(
            "--dry-run", action="store_true", help=_("Print what is due next, and leave. Nothing is fired or written.")
        )
        parser.add_argument(
            "--max-catchup",
            type=whole,
            default=100,
            metavar="N",
            help=_("Missed slots that one schedule with catch_up='all' fires in one turn (default: %(default)s)."),
        )
        parser.add_argument(
            "--log-format", choices=["text", "json"], default="text", help=_("Log lines for people or machines.")
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["once"] and options["dry_run"]:
            raise CommandError(_("--once fires and --dry-run does not: use one of them."), returncode=2)
        verbosity = options["verbosity"]
        # At a terminal both streams are read as one, and each task has its line on stdout.
        is_one = options["log_format"] == "text" and self.stdout.isatty() and sys.stderr.isatty()
        set_up_logging(options["log_format"], verbosity, hidden=[FIRED] if is_one else [])

        def tell(firing: Firing) -> None:
            if verbosity > 0:
                waits = "  (waits for the run before it)" if firing.is_waiting else ""
                self._say(f"{firing.schedule}  {_shown(firing.slot)}  {firing.job.name}  id={firing.job.id}{waits}")

        scheduler = Scheduler(max_catchup=options["max_catchup"], on_fired=tell)
        if scheduler.session.alias not in connections.settings:
            raise CommandError(
                _("DATABASES has no {alias}, where schedules are kept.").format(alias=repr(scheduler.session.alias)),
                returncode=2,
            )
        self._reach(scheduler, is_dry=options["dry_run"])
        if options["dry_run"]:
            self._tell_upcoming(scheduler)
        elif options["once"]:
            self._run_once(scheduler)
        else:
            self._run(scheduler, options)

    def _run(self, scheduler: Scheduler, options: dict[str, Any]) -> None:
        if options["verbosity"] > 0:
            self._banner(scheduler, options["name"])
        with _signals_handled(scheduler):
            if options["verbosity"] > 0:
                self._say("Ready. Ctrl-C stops it.")
            scheduler.run()
            if options["verbosity"] > 0:
                self._say(_("Stopped after {number} turns.").format(number=scheduler.turns))

    def _run_once(self, scheduler: Scheduler) -> None:
        try:
            turn = scheduler.run_once()
        except QueueError as exc:
            raise CommandError(
                _("The database {alias} failed: {exc}").format(alias=repr(scheduler.session.alias), exc=exc),
                returncode=3,
            ) from exc
        for name, reason in turn.errors.items():
            self.stderr.write(_("Schedule {name}: {reason}").format(name=name, reason=reason))
        if turn.errors:
            sys.exit(1)

    def _tell_upcoming(self, scheduler: Scheduler) -> None:
        upcoming = [(slot, name, words) for name, words, slots in scheduler.preview(UPCOMING) for slot in slots]
        for slot, name, words in sorted(upcoming):
            self._say(f"{_shown(slot)}  {name}  ({words})")
        if not upcoming:
            self._say(_("Nothing is due, now or ever."))

    def _reach(self, scheduler: Scheduler, *, is_dry: bool) -> None:
        try:
            if not is_dry:
                scheduler.synchronise()
            next(list_schedules(0, limit=1, database=scheduler.session.alias), None)
        except QueueError as exc:
            raise CommandError(
                _("The database {alias} cannot be reached: {exc}").format(alias=repr(scheduler.session.alias), exc=exc),
                returncode=3,
            ) from exc
        except InvalidSchedule as exc:
            raise CommandError(str(exc), returncode=2) from exc

    def _banner(self, scheduler: Scheduler, name: str) -> None:
        views = list(islice(list_schedules(1, database=scheduler.session.alias), SHOWN + 1))
        width = max((len(view.row.name) for view in views[:SHOWN]), default=0)
        number = str(len(views)) if views else _("none")
        if len(views) > SHOWN:
            number = _("more than {number}").format(number=SHOWN)
        lines = [
            _("reinhardt_tasks {version}, scheduler {name} on {host}, process {pid}").format(
                version=__version__, name=repr(name), host=socket.gethostname(), pid=os.getpid()
            ),
            *banner_lines([(_("database"), scheduler.session.alias), (_("schedules"), number)]),
        ]
        for view in views[:SHOWN]:
            state = _shown(view.next[0]) if view.next else view.state
            lines.append(f"    {view.row.name:{width}}  {view.words}; {state}")
        if len(views) > SHOWN:
            lines.append(f"    …  {_('manage.py taskschedules has all')}")
        self._say("\n".join(lines))

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


@contextmanager
def _signals_handled(scheduler: Scheduler) -> Iterator[None]:
    """SIGTERM and SIGINT stop it when it has done what it is at, a second one at once."""

    def stop(number: int, frame: Any) -> None:
        if scheduler.is_stopping:
            # What it was at is a transaction, and is undone; or on its way, and is sent by the next.
            os._exit(1)
        scheduler.shutdown()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
