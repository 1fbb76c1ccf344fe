"""`manage.py census`: start a census of a source tree, and watch it if asked to."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from census.console import ProgressBar
from census.runs import Stalled, follow, start


class Command(BaseCommand):
    help = "Start a census of a Python source tree: a workflow with one task per file, and a few more."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--root", type=Path, default=Path(settings.CENSUS_ROOT), help="the tree (default: the site's)"
        )
        parser.add_argument("--wait", action="store_true", help="stay until its last task has ended")
        parser.add_argument(
            "--patience", type=float, default=180, help="give up after so many seconds without progress"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        run = start(options["root"])
        self.stdout.write(f"{run} of {run.root} has been started.")
        if options["wait"]:
            self._wait(run, options["patience"])

    def _wait(self, run: Any, patience: float) -> None:
        bar = ProgressBar(self.stdout)
        try:
            for progress in follow(run, patience=patience):
                bar.show(progress)
        except Stalled as exc:
            raise CommandError(f"{exc} Is a worker running? manage.py runworker") from exc
        finally:
            bar.end()
        run.refresh_from_db()
        if not run.headline:
            raise CommandError(f"It came to no result: see workflow {run.workflow_id} in the admin.")
        self.stdout.write(run.headline)
