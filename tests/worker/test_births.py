"""Forked worker processes share with their supervisor, and with one another, what it has loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SMAPS = Path("/proc/self/smaps_rollup")

# A heap of about 30 MB, three children that live at one time, and what each of them has of its own in the end.
THREE_CHILDREN = """
import gc, os, sys
from reinhardt_tasks.worker.births import fork

heap = [[number] for number in range(300_000)]
made, told = os.pipe(), os.pipe()

def child():
    gc.collect()
    os.read(made[0], 1)
    lines = open("/proc/self/smaps_rollup").read().splitlines()
    own = next(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty:"))
    os.write(told[1], f"{own}\\n".encode())

children = [fork(child, clean=lambda: None) for _ in range(3)]
os.write(made[1], b"123")
for pid in children:
    os.waitpid(pid, 0)
print(os.read(told[0], 1000).decode())
"""


@pytest.mark.skipif(not SMAPS.exists(), reason="NOT RUN: only Linux tells what a process has of its own")
def test_forked_processes_share_what_was_loaded_however_many_there_are() -> None:
    run = subprocess.run([sys.executable, "-c", THREE_CHILDREN], capture_output=True, text=True, timeout=60, check=True)
    own = [int(kibibytes) for kibibytes in run.stdout.split()]
    assert len(own) == 3
    assert max(own) < 8_000


def test_a_supervisor_collects_what_became_garbage_after_its_first_fork() -> None:
    code = """
import gc, os, weakref
from reinhardt_tasks.worker.births import fork

class Thing: pass

for _ in range(2):
    thing = Thing()
    thing.itself = thing
    seen = weakref.ref(thing)
    os.waitpid(fork(lambda: None, clean=lambda: None), 0)
del thing
gc.collect()
print(seen())
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.strip() == "None"
