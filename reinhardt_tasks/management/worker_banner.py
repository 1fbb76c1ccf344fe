"""What a worker says of itself at its start: what it runs, where, and what is not as it should be there."""

from __future__ import annotations

import os
import socket

from django.utils.translation import gettext as _

from .. import __version__
from ..backends.base import ReinhardtBackend
from ..brokers.base import Broker, BrokerTraits
from ..exceptions import QueueError
from ..registry import registry
from ..worker import WorkerConfig
from .spoken import banner_lines


def worker_banner(
    backend: ReinhardtBackend,
    config: WorkerConfig,
    processes: int,
    listening: socket.socket | None,
    paused: list[str],
    *,
    with_scheduler: bool,
) -> str:
    """Return the lines that say what runs where."""
    traits = backend.broker.traits
    slots = _("{threads} threads, {coroutines} coroutines")
    if processes > 1:
        slots = _("{threads} threads, {coroutines} coroutines in each of them")
    facts = [
        (_("backend"), f"{backend.alias} ({traits.place})"),
        (_("queues"), ", ".join(config.queues) if config.queues else _("all")),
        *([(_("paused"), ", ".join(paused))] if paused else []),
        *([(_("schedules"), _("are fired here, too"))] if with_scheduler else []),
        (_("processes"), _("{number} under this one").format(number=processes) if processes else _("this one")),
        *([(_("metrics"), f"http://{_address(listening)}/metrics")] if listening is not None else []),
        (_("slots"), slots.format(threads=config.concurrency, coroutines=config.async_concurrency)),
        *connections_in_words(traits, config, processes),
        (_("tasks"), _("{number} registered").format(number=len(registry.list()))),
        *((_("note"), note) for note in notes_on(backend.broker)),
    ]
    title = _("reinhardt_tasks {version}, worker {name} on {host}, process {pid}").format(
        version=__version__, name=repr(config.name), host=socket.gethostname(), pid=os.getpid()
    )
    return "\n".join([title, *banner_lines(facts)])


def notes_on(broker: Broker) -> list[str]:
    """Return what is not as it should be with the store. One that does not let us ask serves all the same."""
    try:
        return [f"{advice.message} {advice.hint}" for advice in broker.advice()]
    except QueueError as exc:
        return [_("How the store is set up could not be asked. {exc}").format(exc=exc)]


def connections_in_words(traits: BrokerTraits, config: WorkerConfig, processes: int) -> list[tuple[str, str]]:
    """Return what is to be said about the connections that may be opened to the database."""
    if not traits.connections:
        return []
    each = traits.connections + config.concurrency + 1
    most = each * max(1, processes) + (1 if processes else 0)
    words = _("{number} to the database at most, those of tasks included")
    return [(_("connections"), words.format(number=most))]


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
