"""A forked worker process shares with its supervisor what that has loaded."""

from __future__ import annotations

import gc
import os

from reinhardt_tasks.worker.births import fork


def test_the_garbage_collector_leaves_alone_what_a_forked_process_shares() -> None:
    reader, writer = os.pipe()
    loaded = len(gc.get_objects())
    try:
        pid = fork(lambda: os.write(writer, str(gc.get_freeze_count()).encode()) and None, clean=lambda: None)
        os.waitpid(pid, 0)
        assert int(os.read(reader, 20)) > loaded / 2
        assert gc.get_freeze_count() == 0
    finally:
        os.close(reader)
        os.close(writer)
