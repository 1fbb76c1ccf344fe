"""`manage.py tasks`: look at queues, and do things to them. The subcommands are in `management/tasks_cli`."""

from __future__ import annotations

import os
import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils.translation import gettext_lazy

from ...exceptions import OperationRefused, QueueError, TaskError
from ..spoken import SpokenCommand
from ..tasks_cli.acting import Cancel, Change, Discard, Retry, RunNow
from ..tasks_cli.base import AWAY, INTERRUPTED, OK, UNDONE, USAGE, Subcommand
from ..tasks_cli.django_flags import with_django_flags
from ..tasks_cli.editing import Edit, RunAgain
from ..tasks_cli.importing import Import
from ..tasks_cli.limits import Limits
from ..tasks_cli.listing import List
from ..tasks_cli.looking import Failures, Workers
from ..tasks_cli.output import Output
from ..tasks_cli.queues import Clear, Pause, Prune, Resume
from ..tasks_cli.rescuing import CheckQueue, Requeue
from ..tasks_cli.schedules import Schedules
from ..tasks_cli.show import Show
from ..tasks_cli.status import Status
from ..tasks_cli.workflows import Workflows

SUBCOMMANDS: dict[str, Subcommand] = {
    kind.name: kind()
    for kind in (
        Status,
        List,
        Show,
        Retry,
        Cancel,
        Discard,
        RunNow,
        Change,
        Edit,
        RunAgain,
        Pause,
        Resume,
        Clear,
        Prune,
        Requeue,
        CheckQueue,
        Workers,
        Failures,
        Import,
        Limits,
        Schedules,
        Workflows,
    )
}


class Command(SpokenCommand):
    about = gettext_lazy(
        "Look at the queues of all backends, and do things to them. Exit codes: 0 done, 1 something is wrong or was left "
        "undone, 2 for a usage that cannot be, 3 where a store is away, 130 after Ctrl-C."
    )
    # They are not what was asked for, and a queue that is on fire has little time.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parsers = parser.add_subparsers(dest="subcommand", metavar="SUBCOMMAND", required=True)
        flags = with_django_flags()
        for subcommand in SUBCOMMANDS.values():
            words = str(subcommand.help)
            its = parsers.add_parser(subcommand.name, help=words, description=words, **flags)
            subcommand.add_arguments(its)
            subcommand.add_common_arguments(its)

    def handle(self, *args: Any, **options: Any) -> None:
        out = Output(self.stdout, self.stderr, as_json=options["json"], no_color=options["no_color"])
        endings = self.stdout.ending, self.stderr.ending
        # What is printed has its own ends of lines; Django's own words, in the end, have not.
        self.stdout.ending = self.stderr.ending = ""
        try:
            code = self._run(SUBCOMMANDS[options["subcommand"]], options, out)
        finally:
            self.stdout.ending, self.stderr.ending = endings
        if code != OK:
            sys.exit(code)

    def _run(self, subcommand: Subcommand, options: dict[str, Any], out: Output) -> int:
        try:
            return subcommand.run(options, out)
        except OperationRefused as exc:
            raise CommandError(str(exc), returncode=USAGE) from exc
        except QueueError as exc:
            raise CommandError(str(exc), returncode=AWAY) from exc
        except TaskError as exc:
            raise CommandError(str(exc), returncode=UNDONE) from exc
        except BrokenPipeError:
            # Whoever read it has had enough; Python would complain once more when it flushes at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            acts = subcommand.chosen(options).acts and not options.get("dry_run")
            return UNDONE if acts else OK
        except KeyboardInterrupt:
            return INTERRUPTED
        finally:
            out.end()
