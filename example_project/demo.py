#!/usr/bin/env python
"""Show the census site at work: a server, a worker and a thousand real tasks, checked against a direct count.

    python example_project/demo.py [--root PATH] [--port N] [--concurrency N] [--patience SECONDS]

It works in a temporary folder and leaves nothing behind. With DEMO_EXIT=1 in the environment it ends once all is
checked; otherwise the site stays up until Ctrl-C. It exits with 0 only if every check held.
"""

from __future__ import annotations

import argparse
import contextlib
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
from pathlib import Path
from typing import IO, Any

HERE = Path(__file__).resolve().parent
HOST = "127.0.0.1"


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
    password = prepare_site(folder)
    port = choose_port(options.port)
    site = f"http://{HOST}:{port}"
    with finishing(stack):
        server = Child("server", folder, "runserver", "--noreload", f"{HOST}:{port}")
        stack.callback(server.stop)
        worker = Child("worker", folder, "runworker", "--concurrency", str(options.concurrency))
        stack.callback(worker.stop)
        wait_for_site(site, server)

        from census.runs import DEFAULT_ROOT

        run = enqueue(options.root or DEFAULT_ROOT)
        page = f"{site}{run.get_absolute_url()}"
        print(f"Watch it at   {page}\nAdmin         {site}/admin/   user: admin   password: {password}")
        watch(run, options.patience, server, worker)
        print(report(run, folder))
        check_page(run, page, site)
        print(f"Every check held. Look at it: {page}")
        if os.environ.get("DEMO_EXIT") == "1":
            return
        print("The site stays up until Ctrl-C.", flush=True)
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


def prepare_site(folder: Path) -> str:
    """Set Django up on a database of its own, migrate it, and return the password of its user "admin"."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "census_site.settings"
    os.environ["CENSUS_DB"] = str(folder / "census.sqlite3")

    import django

    django.setup()

    from django.contrib.auth import get_user_model
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    password = secrets.token_urlsafe(9)
    get_user_model().objects.create_superuser("admin", "admin@example.org", password)
    return password


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


def enqueue(root: Path) -> Any:
    from census.runs import NothingToCount, progress_of, start

    began = time.monotonic()
    try:
        run = start(root)
    except NothingToCount as exc:
        raise DemoFailed(str(exc)) from exc
    print(f"{progress_of(run).total} tasks enqueued in {time.monotonic() - began:.2f} s, for {run.root}")
    return run


def watch(run: Any, patience: float, server: Child, worker: Child) -> None:
    """Show the progress until all tasks have ended."""
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
    print(f"All tasks have ended after {time.monotonic() - began:.1f} s.")


def report(run: Any, folder: Path) -> str:
    """Return a summary of the run; raise DemoFailed where it is not what a direct count of the tree gives."""
    from census.verification import differences, totals_of

    if wrong := differences(run, mail_folder=folder / "mail"):
        raise DemoFailed("The tasks and a direct count differ:\n" + "\n".join(f"  - {line}" for line in wrong[:20]))
    totals = totals_of(run)
    counted = ", ".join(f"{number:,} {name}" for name, number in totals.items())
    return (
        f"{run.headline}\n{counted}: the same as a direct count.\n"
        "Every letter was refused at first and sent in the end; one task failed for good, as it must."
    )


def check_page(run: Any, page: str, site: str) -> None:
    """Raise DemoFailed unless the run's page is there, with its totals, its style, and its expected failure."""
    from census.verification import totals_of

    text = fetch(page)
    needed = [f"{number:,}" for number in totals_of(run).values()] + ["FileNotFoundError", "All tasks have ended"]
    if missing := [words for words in needed if words not in text]:
        raise DemoFailed(f"{page} does not mention: {', '.join(missing)}")
    for path in ("/", "/static/census/census.css", "/admin/login/", f"{run.get_absolute_url()}live.json"):
        fetch(f"{site}{path}")


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
