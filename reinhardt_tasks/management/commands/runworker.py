"""`manage.py runworker`: run the tasks of one backend until told to stop."""

from __future__ import annotations

import argparse
import os
import random
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import autoreload
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ... import signals
from ..._compat import task_backends
from ...backends.base import ReinhardtBackend
from ...backends.named import backend_named
from ...brokers.base import WorkerInfo
from ...exceptions import OperationRefused, QueueError
from ...scheduling.beside import scheduler_beside
from ...suggestions import did_you_mean
from ...worker import Worker, WorkerConfig
from ...worker.births import fork, spawn
from ...worker.board import Board
from ...worker.config import SHORTEST_POLL, new_worker_id, worker_info
from ...worker.exporting import Asking, Exporting
from ...worker.health import Health, watched
from ...worker.link import Link
from ...worker.logs import set_up_logging
from ...worker.order import read_queues
from ...worker.sdnotify import Notifier
from ...worker.serving import serve_child
from ...worker.signals import signals_handled
from ...worker.supervisor import Supervisor
from ...worker.tally import Tally
from ..environment import FlagsFromEnvironment, from_environment
from ..flags import file_to_be, port, processes, seconds, whole
from ..spoken import SpokenCommand
from ..worker_banner import worker_banner


class Command(SpokenCommand):
    about = gettext_lazy(
        "Run background tasks until told to stop. SIGTERM or Ctrl-C lets running tasks end (--shutdown-timeout) and gives "
        "back the rest; a second one ends at once. Each flag may also be given in the environment, as REINHARDT_TASKS_ and "
        "its name in capitals. Exit codes: 0 after a clean stop, 1 after a forced one, 2 for a usage that cannot be, "
        "3 where the store cannot be reached at start."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        add = FlagsFromEnvironment(parser)
        add("--backend", default="default", help=_("Alias in TASKS (default: %(default)s)."))
        add(
            "--queue",
            action="append",
            dest="queues",
            metavar="NAME",
            help=_("Serve this queue; may be repeated (default: all). a,b: a strictly before b; a:6,b:1: by weight."),
        )
        add("--name", default="worker", help=_("Name for people to see (default: %(default)s)."))
        add(
            "--processes",
            type=processes,
            default=0,
            help=_(
                "Worker processes under a supervisor; auto: one for each core; 0: no supervisor, this very process (default)."
            ),
        )
        add(
            "--concurrency",
            type=whole,
            default=4,
            help=_("Ordinary tasks at one time, in threads (default: %(default)s)."),
        )
        add(
            "--async-concurrency",
            type=whole,
            default=250,
            help=_("Coroutine tasks at one time (default: %(default)s)."),
        )
        add(
            "--poll-interval",
            type=_interval,
            default=1.0,
            help=_("Seconds after which an idle worker looks by itself (default: 1)."),
        )
        add("--shutdown-timeout", type=seconds, default=30.0, help=_("Seconds for running tasks to end (default: 30)."))
        add("--burst", action="store_true", help=_("Leave, with exit code 0, when nothing is ready any more."))
        add("--max-tasks", type=whole, help=_("Leave, or with --processes replace a process, after this many tasks."))
        add(
            "--max-memory",
            type=whole,
            metavar="MB",
            help=_("The same when a process has more than this many megabytes."),
        )
        add("--with-scheduler", action="store_true", help=_("Fire schedules too, in a thread of each process."))
        add(
            "--reload",
            action="store_true",
            help=_("Start again when code changes (for development; not with --burst)."),
        )
        add(
            "--health-file",
            type=file_to_be,
            metavar="PATH",
            help=_("Write a file about once a second while there is progress: its age tells (see taskhealth)."),
        )
        add(
            "--start-method",
            choices=["fork", "spawn"],
            help=_("With --processes: how they are started (default: fork on Linux, spawn elsewhere)."),
        )
        add("--metrics-port", type=port, metavar="PORT", help=_("Serve metrics for Prometheus there, at /metrics."))
        add("--metrics-host", default="127.0.0.1", help=_("The address for --metrics-port (default: %(default)s)."))
        add("--log-format", choices=["text", "json"], default="text", help=_("Log lines for people or machines."))

    def handle(self, *args: Any, **options: Any) -> None:
        if options["reload"] and not options["burst"]:
            autoreload.run_with_reloader(self._run, **options)
        else:
            self._run(**options)

    def _run(self, **options: Any) -> None:
        set_up_logging(options["log_format"], options["verbosity"])
        backend = self._backend(options["backend"])
        config = self._config(backend, options)
        processes = 0 if options["reload"] else options["processes"]
        if processes:
            options["start_method"] = _start_method(options["start_method"])
        listening = self._listen(options)
        paused = self._paused(backend, config)
        if options["verbosity"] > 0:
            scheduler = options["with_scheduler"]
            self.stdout.write(worker_banner(backend, config, processes, listening, paused, with_scheduler=scheduler))
            self.stdout.flush()
        if processes:
            self._supervise(backend, config, processes, options, listening)
        else:
            self._work(backend, config, options, listening)

    def become(self, facts: dict[str, Any]) -> None:
        """Be the process that a supervisor has spawned with these facts: see `_births`."""
        options = facts["options"]
        set_up_logging(options["log_format"], options["verbosity"])
        backend, link = self._backend(options["backend"]), Link(*facts["link"])
        if "socket" in facts:
            _show_metrics(backend.alias, socket.socket(fileno=facts["socket"]), link)
            return
        board = Board(facts["slots"], facts["board"])
        self._serve(self._config(backend, options), options, facts["id"], link, board)

    def _work(
        self,
        backend: ReinhardtBackend,
        config: WorkerConfig,
        options: dict[str, Any],
        listening: socket.socket | None,
    ) -> None:
        """Run a worker in this very process."""
        verbosity = options["verbosity"]
        tally = _tally(options)
        worker = Worker(backend.broker, backend.settings, type(backend), config, tally=tally)
        if listening is not None and tally is not None:
            from ...contrib import prometheus

            prometheus.serve(
                listening,
                backend.alias,
                backend.broker,
                lambda: (tally.numbers(), {"processes": 1, **worker.load()}),
                backend.queues,
            )
        health = Health(worker.vitals, worker.info.lease, options["health_file"], Notifier.from_environment())
        with signals_handled(worker), watched(health), scheduler_beside(options["with_scheduler"]):
            self._say_ready(verbosity)
            worker.run()
        self._farewell(worker, verbosity)
        if worker.was_forced:
            # Threads that still run a task would keep the process; what they run was given back.
            sys.stdout.flush()
            os._exit(1)

    def _serve(self, config: WorkerConfig, options: dict[str, Any], worker_id: str, link: Link, board: Board) -> None:
        """Run a worker as the child of a supervisor."""
        mine: Any = task_backends[options["backend"]]
        own = replace(config, id=worker_id, max_tasks=_max_tasks_with_jitter(config.max_tasks))
        with scheduler_beside(options["with_scheduler"]):
            worker = serve_child(mine.broker, mine.settings, type(mine), own, link, board, _tally(options))
        self._farewell(worker, options["verbosity"])

    def _births(self, config: WorkerConfig, options: dict[str, Any], listening: socket.socket | None) -> _Births:
        """Return how a supervisor starts a worker process, and one that serves metrics."""
        is_forked = options["start_method"] == "fork"

        def worker(info: WorkerInfo, link: Link, board: Board, clean: Callable[[], None]) -> int:
            if is_forked:
                return fork(lambda: self._serve(config, options, info.id, link, board), clean)
            facts = {"link": link.numbers, "board": board.number, "slots": _slots(config), "id": info.id}
            return spawn({"options": options, **facts}, [*link.numbers, board.number])

        def exporter(link: Link, clean: Callable[[], None]) -> int:
            assert listening is not None
            if is_forked:
                return fork(lambda: _show_metrics(options["backend"], listening, link), clean)
            facts = {"link": link.numbers, "socket": listening.fileno()}
            return spawn({"options": options, **facts}, [*link.numbers, listening.fileno()])

        return worker, exporter, Board if is_forked else Board.in_a_file

    def _supervise(
        self,
        backend: ReinhardtBackend,
        config: WorkerConfig,
        processes: int,
        options: dict[str, Any],
        listening: socket.socket | None,
    ) -> None:
        """Run workers in processes of their own."""
        verbosity = options["verbosity"]
        bear, bear_exporter, new_board = self._births(config, options, listening)

        def ready() -> None:
            health.begin()
            self._say_ready(verbosity)

        supervisor = Supervisor(
            broker=lambda: backend.broker,
            options=backend.settings,
            sender=type(backend),
            bear=bear,
            new_info=lambda: worker_info(replace(config, id=new_worker_id()), backend.settings),
            processes=processes,
            slots=_slots(config),
            shutdown_timeout=config.shutdown_timeout,
            ready=ready,
            # It has one thread only, and tells of itself in its loop: a loop that is stuck tells nothing.
            look=lambda: health.look(),
            new_board=new_board,
            exporting=Exporting(bear_exporter, listening.close) if listening is not None else None,
        )
        lease = worker_info(config, backend.settings).lease
        health = Health(supervisor.vitals, lease, options["health_file"], Notifier.from_environment())
        try:
            code = supervisor.run()
        finally:
            health.end()
        if code:
            # At once: a signal more would find no handler any more, and end us with another code.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _say_ready(self, verbosity: int) -> None:
        # Not before the signals are handled: whoever reads this may send one.
        if verbosity > 0:
            self.stdout.write(_("Ready. Ctrl-C stops it when running tasks have ended."))
            self.stdout.flush()

    def _farewell(self, worker: Worker, verbosity: int) -> None:
        if verbosity > 0:
            self.stdout.write(
                _(
                    "Stopped: {succeeded} succeeded, {failed} failed, {cancelled} cancelled, {retried} to be tried again."
                ).format(
                    succeeded=worker.succeeded,
                    failed=worker.failed,
                    cancelled=worker.cancelled,
                    retried=worker.retried,
                )
            )

    def _backend(self, alias: str) -> ReinhardtBackend:
        try:
            return backend_named(alias)
        except OperationRefused as exc:
            raise CommandError(str(exc), returncode=2) from exc

    def _config(self, backend: ReinhardtBackend, options: dict[str, Any]) -> WorkerConfig:
        named = from_environment("queue", None)
        try:
            order = read_queues(options["queues"] or ([named] if named else []))
        except ValueError as exc:
            raise CommandError(str(exc), returncode=2) from exc
        queues = order.queues or sorted(backend.queues) or None
        for queue in order.queues or ():
            if backend.queues and queue not in backend.queues:
                raise CommandError(
                    _("Queue {queue} is not in TASKS[{alias}]['QUEUES']{hint}; it has {known}.").format(
                        queue=repr(queue),
                        alias=repr(backend.alias),
                        hint=did_you_mean(queue, backend.queues),
                        known=", ".join(map(repr, sorted(backend.queues))),
                    ),
                    returncode=2,
                )
        names = ("name", "concurrency", "async_concurrency", "poll_interval", "shutdown_timeout", "burst", "max_tasks")
        limit = options["max_memory"]
        try:
            return WorkerConfig(
                queues=tuple(queues) if queues else None,
                order=order if order.queues else None,
                max_memory=None if limit is None else limit * 1024 * 1024,
                **{name: options[name] for name in names},
            )
        except ValueError as exc:
            raise CommandError(str(exc), returncode=2) from exc

    def _paused(self, backend: ReinhardtBackend, config: WorkerConfig) -> list[str]:
        """Return those of its queues whose tasks wait until somebody lets them, of a store that can be reached."""
        try:
            paused = [counts.queue for counts in backend.broker.counts() if counts.is_paused]
            return [queue for queue in paused if not config.queues or queue in config.queues]
        except QueueError as exc:
            raise CommandError(
                _("TASKS[{alias}] cannot be reached: {exc}").format(alias=repr(backend.alias), exc=exc), returncode=3
            ) from exc

    def _listen(self, options: dict[str, Any]) -> socket.socket | None:
        """Return where metrics are to be served, if they are."""
        host, port = options["metrics_host"], options["metrics_port"]
        if port is None:
            return None
        try:
            from ...contrib import prometheus

            return prometheus.listen(host, port)
        except ModuleNotFoundError as exc:
            raise CommandError(_("--metrics-port: {exc}").format(exc=exc), returncode=2) from exc
        except OSError as exc:
            reason = os.strerror(exc.errno) if exc.errno else exc
            raise CommandError(
                _(
                    "--metrics-port: nobody can listen on {host}:{port} ({reason}). Each worker needs a port of its own."
                ).format(host=host, port=port, reason=reason),
                returncode=2,
            ) from exc


#: Starts a worker process, starts one that serves metrics, makes a board that the former shares.
_Births = tuple[
    Callable[[WorkerInfo, Link, Board, Callable[[], None]], int],
    Callable[[Link, Callable[[], None]], int],
    Callable[[int], Board],
]


def _show_metrics(alias: str, listening: socket.socket, link: Link) -> None:
    """Serve the metrics of a supervisor until that is gone."""
    from ...contrib import prometheus

    backend: Any = task_backends[alias]
    asking = Asking(link)
    prometheus.serve(listening, alias, backend.broker, asking, backend.queues)
    asking.listen()


def _tally(options: dict[str, Any]) -> Tally | None:
    """Return what counts in a worker process, where metrics are wanted."""
    if options["metrics_port"] is None:
        return None
    tally = Tally()
    signals.task_enqueued.connect(tally.enqueued, weak=False, dispatch_uid=__name__)
    return tally


def _slots(config: WorkerConfig) -> int:
    return config.concurrency + config.async_concurrency


def _interval(text: str) -> float:
    number = seconds(text)
    if number < SHORTEST_POLL:
        raise argparse.ArgumentTypeError(
            _("must be {least} or more seconds, not {text}").format(least=SHORTEST_POLL, text=text)
        )
    return number


def _start_method(given: str | None) -> str:
    method = given or ("fork" if sys.platform == "linux" else "spawn")
    if not hasattr(os, "fork" if method == "fork" else "posix_spawn"):
        raise CommandError(
            _(
                "--processes needs what this system does not have ({method}). Use --processes 0, and start several "
                "workers."
            ).format(method=method),
            returncode=2,
        )
    return method


def _max_tasks_with_jitter(most: int | None) -> int | None:
    """Return a number a little above, so that processes that were born together are not replaced together."""
    return None if most is None else most + random.randrange(most // 10 + 1)  # noqa: S311
