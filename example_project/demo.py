#!/usr/bin/env python
"""Show the census site at work: its nightly census, begun by a scheduler, is a workflow of a thousand real tasks.

    python example_project/demo.py [--root PATH] [--port N] [--concurrency N] [--patience SECONDS]

What comes out is checked against a direct count. Tonight is in a few seconds: the site is told so before it starts.

It works in a temporary folder and leaves nothing behind. With DEMO_EXIT=1 in the environment it ends once all is
checked; otherwise the site stays up until Ctrl-C. It exits with 0 only if every check held.
"""

from __future__ import annotations

import argparse
import contextlib
import inspect
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any
from zoneinfo import ZoneInfo

HERE = Path(__file__).resolve().parent
HOST = "127.0.0.1"
#: Seconds until the nightly census is due, beside what it takes here to set the site up: it must be declared by then. A
#: scheduler that starts later begins it at once.
LEAD = 5


class DemoFailed(Exception):
    """Something did not come out as it must; the message says what."""


class Child:
    """One process of the demo, its output in a log file."""

    def __init__(self, name: str, folder: Path, *arguments: str) -> None:
        self.name = name
        self.log_path = folder / f"{name}.log"
        self._log: IO[bytes] = self.log_path.open("wb")
        # A session of its own keeps Ctrl-C to this process, which then ends its children in order.
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "manage.py"), *arguments],
            stdout=self._log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def check(self) -> None:
        """Raise DemoFailed where the process has ended by itself."""
        if (code := self.process.poll()) is not None:
            raise DemoFailed(f"The {self.name} has ended with exit code {code}.\n{self.last_lines()}")

    def last_lines(self, number: int = 25) -> str:
        lines = self.log_path.read_text(errors="replace").splitlines()[-number:]
        return f"Last lines of the {self.name}'s log:\n" + "\n".join(f"  | {line}" for line in lines or ["(empty)"])

    def stop(self, grace: float = 20) -> None:
        """Ask the process to end and wait for it; kill it and its children if it does not."""
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        try:
            self.process.wait(grace)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._log.close()


def main() -> int:
    options = parse_arguments()
    # A shell that starts this in the background has Ctrl-C ignored for it; asked for by hand, it is heard.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _interrupt)
    with tempfile.TemporaryDirectory(prefix="census-demo-", ignore_cleanup_errors=True) as folder:
        try:
            with contextlib.ExitStack() as stack:
                demonstrate(options, Path(folder), stack)
        except KeyboardInterrupt:
            print("\nStopped.")
            return 130
        except DemoFailed as exc:
            print(f"\nThe demo has failed. {exc}", file=sys.stderr)
            return 1
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run the census site with a server and a worker.")
    parser.add_argument("--root", type=Path, help="the source tree to count (default: the installed Django)")
    parser.add_argument("--port", type=int, help="port of the site; 0 takes a free one (default: 8000 if it is free)")
    parser.add_argument("--concurrency", type=int, default=4, help="threads of the worker (default: 4)")
    parser.add_argument("--patience", type=float, default=180, help="seconds without progress that mean failure")
    return parser.parse_args()


def demonstrate(options: argparse.Namespace, folder: Path, stack: contextlib.ExitStack) -> None:
    say(f"""
        A small Django site that counts the Python files of a source tree every night, each file in a task of its own.
        It is set up in {folder}, which is deleted at the end.
        """)
    password = prepare_site(folder, options.root)
    refuse_an_empty_tree()
    due = declare_schedules()
    port = choose_port(options.port)
    site = f"http://{HOST}:{port}"
    with finishing(stack):
        server = Child("server", folder, "runserver", "--noreload", f"{HOST}:{port}")
        stack.callback(server.stop)
        worker = Child("worker", folder, "runworker", "--with-scheduler", "--concurrency", str(options.concurrency))
        stack.callback(worker.stop)
        wait_for_site(site, server)
        say(f"""
            The site   {site}/
            The admin  {site}/admin/reinhardt_tasks/jobrow/
                       log in as admin, password {password}

            The nightly census is due at {due:%H:%M:%S} UTC; tonight that is in a few seconds. Then a scheduler enqueues
            its task, which starts a workflow: scan the tree, count each file, merge, write a headline, mail it.
            """)
        run = wait_for_night(due, server, worker)
        watch(run, options.patience, server, worker)
        print(f"{report(run, folder)}\n")
        check_pages(run, site)
        say(f"""
            Every check held. Have a look:

            what was counted            {site}{run.get_absolute_url()}
            the workflow, as a drawing  {site}/admin/reinhardt_tasks/workflowrow/{run.workflow_id}/change/
            the task that failed        {site}/admin/reinhardt_tasks/jobrow/failures/
            run the night once more     {site}/admin/reinhardt_tasks/schedulerow/
            """)
        if os.environ.get("DEMO_EXIT") == "1":
            return
        python, here, manual = map(os.path.relpath, (sys.executable, HERE, HERE.parent / "docs"))
        say(f"""
            The same from a shell:  CENSUS_DB={folder}/census.sqlite3 {python} {here}/manage.py tasks status
            The code of its tasks:  {here}/census/tasks.py
            Your own first task:    {manual}/quickstart.md

            The site stays up until Ctrl-C.
            """)
        stay(server, worker)


@contextlib.contextmanager
def finishing(stack: contextlib.ExitStack) -> Iterator[None]:
    """Let nothing interrupt the stopping: a second Ctrl-C would leave children behind."""
    stack.callback(_close_connections)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def prepare_site(folder: Path, root: Path | None) -> str:
    """Set Django up on a database of its own, migrate it, and return the password of its user "admin"."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "census_site.settings"
    os.environ["CENSUS_DB"] = str(folder / "census.sqlite3")
    if root is not None:
        os.environ["CENSUS_ROOT"] = str(root)
    # In a process of its own: what the nightly census is declared by is read when Django is set up, and that is later.
    began = time.monotonic()
    subprocess.run(
        [sys.executable, str(HERE / "manage.py"), "migrate", "--verbosity", "0", "--skip-checks"], check=True
    )
    lead = timedelta(seconds=LEAD + time.monotonic() - began)
    tonight = datetime.now(ZoneInfo("Europe/Berlin")) + lead
    os.environ["CENSUS_NIGHTLY"] = f"{tonight.second} {tonight.minute} {tonight.hour} * * *"

    import django

    django.setup()

    from django.contrib.auth import get_user_model

    password = secrets.token_urlsafe(9)
    get_user_model().objects.create_superuser("admin", "admin@example.org", password)
    return password


def refuse_an_empty_tree() -> None:
    from census.counting import python_files
    from django.conf import settings

    if not python_files(Path(settings.CENSUS_ROOT)):
        raise DemoFailed(f"There is no Python file below {settings.CENSUS_ROOT}.")


def declare_schedules() -> datetime:
    """Let a scheduler make the schedules' rows; return when the nightly census is due. From then on it is not missed."""
    from django.core.management import call_command

    from reinhardt_tasks.scheduling.people import list_schedules

    call_command("runscheduler", "--once", "--verbosity", "0")
    (nightly,) = list_schedules(1)
    if nightly.row.next_slot is None:
        raise DemoFailed(f"The nightly census is {nightly.state}: {nightly.row.last_error}")
    return nightly.row.next_slot


def choose_port(wanted: int | None) -> int:
    """Return the port that was asked for, or 8000, or where that is taken a free one."""
    if wanted:
        return wanted
    if wanted is None and _is_free(8000):
        return 8000
    with socket.create_server((HOST, 0)) as listener:
        return int(listener.getsockname()[1])


def wait_for_site(site: str, server: Child, patience: float = 60) -> None:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        server.check()
        try:
            fetch(f"{site}/")
            return
        except urllib.error.HTTPError as exc:
            raise DemoFailed(f"{site}/ answers with {exc.code}.\n{server.last_lines()}") from exc
        except OSError:
            time.sleep(0.1)
    raise DemoFailed(f"The server did not answer within {patience:.0f} seconds.\n{server.last_lines()}")


def wait_for_night(due: datetime, server: Child, worker: Child, patience: float = 60) -> Any:
    """Return the run that the nightly schedule begins."""
    from census.models import Run

    patience += (due - datetime.now(UTC)).total_seconds()
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        server.check()
        worker.check()
        if (run := Run.objects.exclude(workflow_id="").first()) is not None:
            return run
        time.sleep(0.1)
    raise DemoFailed(f"The nightly census did not begin within {patience:.0f} seconds.\n{worker.last_lines()}")


def watch(run: Any, patience: float, server: Child, worker: Child) -> None:
    """Show the progress until the workflow has ended."""
    from census.console import ProgressBar
    from census.runs import Stalled, follow

    bar, began = ProgressBar(), time.monotonic()
    try:
        for progress in follow(run, patience=patience):
            bar.show(progress)
            server.check()
            worker.check()
    except Stalled as exc:
        raise DemoFailed(f"{exc}\n{worker.last_lines()}") from exc
    finally:
        bar.end()
    print(f"All tasks have ended after {time.monotonic() - began:.1f} s.\n")


def report(run: Any, folder: Path) -> str:
    """Return a summary of the run; raise DemoFailed where it is not what a direct count of the tree gives."""
    from census.models import Run
    from census.verification import differences, totals_of

    from reinhardt_tasks.scheduling.people import list_schedules

    run.refresh_from_db()
    (nightly,) = list_schedules(1)
    if (nightly.row.fired, Run.objects.count()) != (1, 1):
        raise DemoFailed(f"The nightly census was fired {nightly.row.fired} times, for {Run.objects.count()} runs.")
    if wrong := differences(run, mail_folder=folder / "mail"):
        raise DemoFailed("The tasks and a direct count differ:\n" + "\n".join(f"  - {line}" for line in wrong[:20]))
    totals = totals_of(run)
    counted = ", ".join(f"{number:,} {name}" for name, number in totals.items())
    return (
        f"{run.headline}\n{counted}: the same as a direct count.\n"
        "Every letter was refused at first, tried again, and sent once; one task failed for good, as it is meant to.\n"
        f"The schedule was fired once; its next slot is {nightly.row.next_slot:%Y-%m-%d %H:%M:%S} UTC."
    )


def check_pages(run: Any, site: str) -> None:
    """Raise DemoFailed unless the run's page is there, with its totals and its expected failure, and the others are."""
    from census.verification import totals_of

    page = f"{site}{run.get_absolute_url()}"
    text = fetch(page)
    needed = [f"{number:,}" for number in totals_of(run).values()] + ["FileNotFoundError", "All tasks have ended"]
    if missing := [words for words in needed if words not in text]:
        raise DemoFailed(f"{page} does not mention: {', '.join(missing)}")
    for path in ("/", "/static/census/census.css", "/admin/login/", f"{run.get_absolute_url()}live.json"):
        fetch(f"{site}{path}")


def say(text: str) -> None:
    """Print what is written as an indented block, with an empty line after it."""
    print(inspect.cleandoc(text), end="\n\n", flush=True)


def fetch(url: str) -> str:
    """Return the page's text; an answer other than 200 raises."""
    # A proxy of the environment has no business with a server on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=30) as response:
        if response.status != 200:
            raise DemoFailed(f"{url} answers with {response.status}.")
        return str(response.read().decode())


def stay(*children: Child) -> None:
    """Wait for Ctrl-C, which is how this demo is meant to end; raise DemoFailed where a child ends by itself."""
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            for child in children:
                child.check()
            time.sleep(0.5)
    print("\nStopping.")


def _is_free(port: int) -> bool:
    try:
        socket.create_server((HOST, port)).close()
    except OSError:
        return False
    return True


def _interrupt(signum: int, frame: object) -> None:
    raise KeyboardInterrupt


def _close_connections() -> None:
    from django.db import connections

    connections.close_all()


if __name__ == "__main__":
    sys.exit(main())
