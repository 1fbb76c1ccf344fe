"""A small process beside the tests that kills their servers when the tests die without a goodbye.

The usual way, PR_SET_PDEATHSIG, has three holes here: it needs a preexec_fn, which is unsafe once threads run; it fires
when the *thread* that started the server ends; and it is forgotten when a server changes its user. The guardian sees
its parent go by the end of its standard input, or, should a forked child hold that open, by the change of its parent.
"""

from __future__ import annotations

import atexit
import os
import select
import signal
import subprocess
import sys

_guardian: subprocess.Popen[bytes] | None = None


def watch(pid: int) -> None:
    """Have `pid` killed when this process ends, however it ends."""
    _tell(f"+{pid}\n")


def forget(pid: int) -> None:
    """Take back `watch`: the process is gone."""
    _tell(f"-{pid}\n")


def _tell(line: str) -> None:
    global _guardian
    if _guardian is None:
        command = [sys.executable, "-I", "-S", __file__, str(os.getpid())]
        # A session of its own keeps it from dying of the Ctrl-C that ends the tests.
        _guardian = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True, bufsize=0)
        atexit.register(_dismiss, _guardian, os.getpid())
    assert _guardian.stdin is not None
    _guardian.stdin.write(line.encode())


def _dismiss(guardian: subprocess.Popen[bytes], owner: int) -> None:
    if os.getpid() == owner and guardian.stdin is not None:
        guardian.stdin.close()
        guardian.wait(timeout=10)


def main(parent: int) -> None:
    servers: dict[int, int | None] = {}
    pending = b""
    while True:
        # First what was said, then the look at the parent, which may have gone before this program had even begun.
        if not select.select([0], [], [], 0.5)[0]:
            if os.getppid() != parent:
                break
            continue
        received = os.read(0, 4096)
        if not received:
            break
        *lines, pending = (pending + received).split(b"\n")
        for line in lines:
            _note(servers, line.decode())
    for pid, handle in servers.items():
        _kill(pid, handle)


def _note(servers: dict[int, int | None], line: str) -> None:
    pid = int(line[1:])
    if line[0] == "+":
        try:
            servers[pid] = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
        except ProcessLookupError:
            servers.pop(pid, None)
    elif (handle := servers.pop(pid, None)) is not None:
        os.close(handle)


def _kill(pid: int, handle: int | None) -> None:
    try:
        if handle is None:
            os.kill(pid, signal.SIGKILL)
        else:
            # A handle, unlike a number, never comes to mean another process.
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    main(int(sys.argv[1]))
