"""Where a process begins that a supervisor has started as a new interpreter: see `worker.births.spawn`."""

from __future__ import annotations

import json
import sys

from ..worker.births import heed_no_signals, run_and_leave


def main() -> None:
    """Be the process that the one argument describes, and end."""
    heed_no_signals()
    run_and_leave(_become)


def _become() -> None:
    import django

    django.setup()
    from .commands.runworker import Command

    Command().become(json.loads(sys.argv[1]))
