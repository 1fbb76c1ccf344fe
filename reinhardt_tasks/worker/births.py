"""How a process comes to be under a supervisor: as a copy of it, or as a new interpreter.

A copy starts at once and shares memory; it needs `fork`, which macOS has but whose own libraries do not stand it.
"""

from __future__ import annotations

import functools
import gc
import json
import logging
import os
import random
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

logger = logging.getLogger("reinhardt_tasks")

#: What a supervisor is told by signals; it passes on what concerns its processes.
SIGNALS = [
    getattr(signal, name)
    for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGTSTP", "SIGCONT")
    # Windows lacks most of them, and has workers without a supervisor.
    if hasattr(signal, name)
]

_START = "import sys; sys.path[:] = {path!r}; from reinhardt_tasks.management.spawned import main; main()"


def fork(run: Callable[[], None], clean: Callable[[], None]) -> int:
    """Run something in a copy of this process, after `clean` has closed there what it is not to have; return its id."""
    sys.stdout.flush()
    sys.stderr.flush()
    _share_what_is_loaded()
    pid = os.fork()
    if pid == 0:
        _become(run, clean)
    return pid


@functools.cache
def _share_what_is_loaded() -> None:
    """Keep the garbage collector off all that there is before the first fork: see the documentation of gc.freeze().

    It writes into each object that it looks at, and so gives each process pages of its own that all could share. Once: a
    supervisor lives long and bears many, and what came later is little, and may be garbage one day.
    """
    gc.collect()
    gc.freeze()


def _become(run: Callable[[], None], clean: Callable[[], None]) -> None:
    def begin() -> None:
        signal.set_wakeup_fd(-1)
        heed_no_signals()
        clean()
        random.seed()
        run()

    run_and_leave(begin)


def run_and_leave(run: Callable[[], None]) -> None:
    """Be a process that does this and nothing else."""
    code = 70
    try:
        run()
        code = 0
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else 1
    except BaseException:
        logger.exception("The process failed.")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # Now: nothing that a parent has registered is to be ended here, and no thread is waited for.
        os._exit(code)


def spawn(facts: dict[str, Any], numbers: Sequence[int]) -> int:
    """Start a new interpreter with `facts`, JSON-able, and the file descriptors `numbers`; return its process id."""
    code = _START.format(path=sys.path)
    arguments = [sys.executable, "-c", code, json.dumps(facts, default=str)]
    sys.stdout.flush()
    sys.stderr.flush()
    for number in numbers:
        os.set_inheritable(number, True)
    try:
        # Signals wait until it heeds none of them, or one that comes earlier would end it.
        return os.posix_spawn(sys.executable, arguments, os.environ, setsigmask=SIGNALS)
    finally:
        for number in numbers:
            os.set_inheritable(number, False)


def heed_no_signals() -> None:
    """Leave signals to the supervisor, who tells of them. Called again after `spawn`, which has held them back."""
    for number in SIGNALS:
        signal.signal(number, _heed_nothing)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def _heed_nothing(number: int, frame: Any) -> None:
    """Handle a signal by doing nothing. Not SIG_IGN, which the programs that a task starts would inherit."""
