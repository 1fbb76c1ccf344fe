"""What hears the signals of a run, and remembers them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from reinhardt_tasks._compat import task_finished, task_started
from reinhardt_tasks.signals import task_retried
from tests.worker.running import Door


class Ears:
    """Hears the three signals of a run, sent by Door."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, int]] = []
        self.exceptions: list[type | None] = []
        self.delays: list[float] = []
        self._receivers: list[tuple[Any, Callable[..., None]]] = []

    def receiver(self, name: str) -> Callable[..., None]:
        def receive(*, sender: type, task_result: Any, **facts: Any) -> None:
            assert sender is Door
            self.heard.append((name, str(task_result.state), len(task_result.errors)))
            self.exceptions.append(sys.exc_info()[0])
            if "delay" in facts:
                self.delays.append(facts["delay"])

        return receive

    def __enter__(self) -> Ears:
        for name, signal in SIGNALS.items():
            receiver = self.receiver(name)
            signal.connect(receiver, sender=Door, weak=False)
            self._receivers.append((signal, receiver))
        return self

    def __exit__(self, *exc_info: object) -> None:
        for signal, receiver in self._receivers:
            signal.disconnect(receiver, sender=Door)


SIGNALS = {"started": task_started, "finished": task_finished, "retried": task_retried}
