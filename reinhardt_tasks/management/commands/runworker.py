"""`manage.py runworker`: run the tasks of one backend until told to stop."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import autoreload

from ... import __version__
from ..._compat import InvalidTaskBackend, task_backends
from ...backends.base import ReinhardtBackend
from ...exceptions import QueueError
from ...options import did_you_mean
from ...registry import registry
from ...worker import Worker, WorkerConfig
from ...worker.logs import set_up_logging

_ENVIRONMENT = "REINHARDT_TASKS_"


class Command(BaseCommand):
    help = (
        "Run background tasks until told to stop. SIGTERM or Ctrl-C lets running tasks end (--shutdown-timeout) and gives "
        "back the rest; a second one ends at once. Each flag may also be given in the environment, as REINHARDT_TASKS_ and "
        "its name in capitals. Exit codes: 0 after a clean stop, 1 after a forced one, 2 for a usage that cannot be, "
        "3 where the store cannot be reached at start."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        add = _Adder(parser)
        add("--backend", default="default", help="Alias in TASKS (default: %(default)s).")
        add(
            "--queue",
            action="append",
            dest="queues",
            metavar="NAME",
            help="Serve this queue; may be repeated (default: all).",
        )
        add("--name", default="worker", help="Name for people to see (default: %(default)s).")
        add(
            "--concurrency",
            type=_whole,
            default=4,
            help="Ordinary tasks at one time, in threads (default: %(default)s).",
        )
        add("--async-concurrency", type=_whole, default=100, help="Coroutine tasks at one time (default: %(default)s).")
        add(
            "--poll-interval",
            type=_seconds,
            default=1.0,
            help="Seconds after which an idle worker looks by itself (default: 1).",
        )
        add("--shutdown-timeout", type=_seconds, default=30.0, help="Seconds for running tasks to end (default: 30).")
        add("--burst", action="store_true", help="Leave, with exit code 0, when nothing is ready any more.")
        add("--max-tasks", type=_whole, help="Leave after this many tasks.")
        add("--reload", action="store_true", help="Start again when code changes (for development; not with --burst).")
        add("--log-format", choices=["text", "json"], default="text", help="Log lines for people or machines.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["reload"] and not options["burst"]:
            autoreload.run_with_reloader(self._run, **options)
        else:
            self._run(**options)

    def _run(self, **options: Any) -> None:
        set_up_logging(options["log_format"], options["verbosity"])
        backend = self._backend(options["backend"])
        worker = Worker(backend.broker, backend.settings, type(backend), self._config(backend, options))
        self._reach(backend, worker)
        if options["verbosity"] > 0:
            self._banner(backend, worker)
        with _stopped_by_signals(worker):
            worker.run()
        if options["verbosity"] > 0:
            self.stdout.write(
                f"Stopped: {worker.succeeded} succeeded, {worker.failed} failed, {worker.retried} to be tried again."
            )
        if worker.was_forced:
            # Threads that still run a task would keep the process; what they run was given back.
            sys.stdout.flush()
            os._exit(1)

    def _backend(self, alias: str) -> ReinhardtBackend:
        try:
            backend = task_backends[alias]
        except InvalidTaskBackend as exc:
            known = task_backends.settings
            raise CommandError(
                f"TASKS has no backend {alias!r}{did_you_mean(alias, known)}; it has {', '.join(map(repr, known))}. ({exc})",
                returncode=2,
            ) from exc
        if not isinstance(backend, ReinhardtBackend):
            raise CommandError(
                f"TASKS[{alias!r}] is {type(backend).__module__}.{type(backend).__qualname__}, which is not of reinhardt_tasks.",
                returncode=2,
            )
        if backend.problems:
            raise CommandError(f"{backend.problems[0].message} {backend.problems[0].hint}", returncode=2)
        try:
            _ = backend.broker
        except NotImplementedError as exc:
            raise CommandError(str(exc), returncode=2) from exc
        return backend

    def _config(self, backend: ReinhardtBackend, options: dict[str, Any]) -> WorkerConfig:
        named = options["queues"] or _from_environment("queue", "").split(",")
        named = [name for name in named if name]
        queues = named or sorted(backend.queues) or None
        for queue in named:
            if backend.queues and queue not in backend.queues:
                raise CommandError(
                    f"Queue {queue!r} is not in TASKS[{backend.alias!r}]['QUEUES']{did_you_mean(queue, backend.queues)}; "
                    f"it has {', '.join(map(repr, sorted(backend.queues)))}.",
                    returncode=2,
                )
        names = ("name", "concurrency", "async_concurrency", "poll_interval", "shutdown_timeout", "burst", "max_tasks")
        try:
            return WorkerConfig(queues=tuple(queues) if queues else None, **{name: options[name] for name in names})
        except ValueError as exc:
            raise CommandError(str(exc), returncode=2) from exc

    def _reach(self, backend: ReinhardtBackend, worker: Worker) -> None:
        try:
            worker.sign_in()
        except QueueError as exc:
            raise CommandError(f"TASKS[{backend.alias!r}] cannot be reached: {exc}", returncode=3) from exc

    def _banner(self, backend: ReinhardtBackend, worker: Worker) -> None:
        config, traits = worker.config, backend.broker.traits
        lines = [
            f"reinhardt_tasks {__version__}, worker {config.id}",
            f"  backend      {backend.alias} ({traits.place})",
            f"  queues       {', '.join(config.queues) if config.queues else 'all'}",
            f"  slots        {config.concurrency} threads, {config.async_concurrency} coroutines",
            f"  tasks        {len(registry.list())} registered",
            *_connections(worker),
            *(f"  note         {note}" for note in traits.notes),
            "Ready. Ctrl-C stops it when running tasks have ended.",
        ]
        self.stdout.write("\n".join(lines))
        self.stdout.flush()


class _Adder:
    """Adds flags whose defaults may come from the environment."""

    def __init__(self, parser: CommandParser) -> None:
        self._parser = parser

    def __call__(self, flag: str, **kwargs: Any) -> None:
        given = _from_environment(flag, None)
        # A flag that may be repeated would add to its default; what the environment says of it is read when it is used.
        if given is not None and kwargs.get("action") != "append":
            kwargs["default"] = self._read(flag, given, kwargs)
        self._parser.add_argument(flag, **kwargs)

    def _read(self, flag: str, given: str, kwargs: dict[str, Any]) -> Any:
        if kwargs.get("action") == "store_true":
            return given.lower() in ("1", "true", "yes", "on")
        if given not in kwargs.get("choices", [given]):
            raise CommandError(
                f"{_variable(flag)} is {given!r}; it may be {' or '.join(kwargs['choices'])}.",
                returncode=2,
            )
        # argparse reads a text default as it reads the flag.
        return given


def _from_environment(flag: str, default: Any) -> Any:
    return os.environ.get(_variable(flag), default)


def _variable(flag: str) -> str:
    return _ENVIRONMENT + flag.lstrip("-").replace("-", "_").upper()


def _connections(worker: Worker) -> list[str]:
    """Return a line about the connections that this worker may open to its database."""
    held = worker.broker.traits.connections
    if not held:
        return []
    most = held + worker.config.concurrency + 1
    return [f"  connections  {held} to the database, and one for each thread that uses it: {most} at most"]


@contextmanager
def _stopped_by_signals(worker: Worker) -> Iterator[None]:
    """Stop the worker on SIGTERM and SIGINT while this lasts."""
    if threading.current_thread() is not threading.main_thread():
        # The autoreloader runs us in a thread of its own, and ends the process itself.
        yield
        return

    def stop(number: int, frame: Any) -> None:
        worker.stop()

    before = {name: signal.signal(name, stop) for name in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def _whole(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, not {text}")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be 0 or more seconds, not {text}")
    return number
