"""The life of one server process: start, stop, kill, start again on the same port and data, pause, resume."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

from . import guardian
from .accounts import Account
from .descendants import descendants
from .ports import HOST, ReservedPort
from .programs import Found
from .waiting import wait_until


class ServerFailed(Exception):
    """A server did not come up; the message ends with its log."""

    def __init__(self, server: ServerProcess, problem: str) -> None:
        super().__init__(f"{server} {problem}. Its log ends with:\n{server.log_tail()}")


class ServerNotOurs(Exception):
    """A test wanted to stop a server that the environment names."""

    def __init__(self, server: ServerProcess) -> None:
        super().__init__(f"{server} belongs to somebody else. Ask for own=True to get one that may be stopped.")


class ServerProcess:
    """A server of ours, or one that the environment names, which may be used but never stopped.

    `start` returns when the server answers, or raises ServerFailed with the log. `stop` and `kill` keep the port and
    the data for the next `start`; `close` gives both up. As a context manager it is started, and closed at the end.
    """

    kind: ClassVar[str] = "server"
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self, found: Found, *, account: Account | None = None, with_bus_port: bool = False) -> None:
        self.found = found
        self.account = account
        self._process: subprocess.Popen[bytes] | None = None
        self._prepared = False
        if found.url is not None:
            given = urlsplit(found.url)
            self.host, self.port = given.hostname or HOST, given.port or 0
            return
        self._reserved_port = ReservedPort(with_bus=with_bus_port)
        self.host, self.port = HOST, self._reserved_port.number
        self.folder = self._new_folder()
        self.log = self.folder / "server.log"

    def prepare(self) -> None:
        """Write configuration and data, once, before the first start."""

    def command(self) -> list[str]:
        raise NotImplementedError

    def answers(self) -> bool:
        """Tell whether a client gets a real answer now."""
        raise NotImplementedError

    @property
    def is_ours(self) -> bool:
        return self.found.url is None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError(f"{self} is not running.")
        return self._process.pid

    def start(self) -> Self:
        """Return when the server answers."""
        if not self.is_ours:
            wait_until(self.answers, f"{self} answers", timeout=10)
            return self
        if self.is_running:
            raise RuntimeError(f"{self} runs already.")
        try:
            if not self._prepared:
                self.prepare()
                self._prepared = True
            self._process = self._spawn()
            guardian.watch(self._process.pid)
            self._wait_for_answer()
        except BaseException:
            self._end(signal.SIGKILL)
            raise
        return self

    def stop(self) -> None:
        """End the server as its administrator would; do nothing when it is down already."""
        self._require_ours()
        self._end(self.stop_signal)

    def kill(self) -> None:
        """End the server and all its processes at once, as kill -9 or a power cut of the program would."""
        self._require_ours()
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop, then start on the same port and data."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze the server: connections stay open, and nothing answers until `resume`."""
        self._require_ours()
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        self._require_ours()
        self._signal_all(signal.SIGCONT)

    def close(self) -> None:
        """Stop the server, and give up its port and data."""
        if self.is_ours:
            self.stop()
            self._reserved_port.release()
            shutil.rmtree(self.folder, ignore_errors=True)

    def log_tail(self, lines: int = 40) -> str:
        if not self.is_ours or not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __str__(self) -> str:
        return f"The {self.kind} server on {self.host}:{self.port} (from {self.found.source})"

    def _run(self, command: list[str]) -> None:
        """Run a program of preparation to its end as the server's account."""
        with self.log.open("ab") as log:
            ended = subprocess.run(command, stdout=log, stderr=log, timeout=120, check=False, **self._popen_options())
        if ended.returncode != 0:
            raise ServerFailed(self, f"could not be prepared: {command[0]} ended with {ended.returncode}")

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(self.command(), stdout=log, stderr=log, **self._popen_options())

    def _popen_options(self) -> dict[str, Any]:
        options = self.account.popen_options() if self.account else {}
        # A session of its own: the Ctrl-C that ends the tests is not for the server, which cleaning needs.
        environment = {**os.environ, "HOME": str(self.folder), "TMPDIR": str(self.folder), "LC_ALL": "C"}
        return {
            "stdin": subprocess.DEVNULL,
            "cwd": self.folder,
            "env": environment,
            "start_new_session": True,
            **options,
        }

    def _wait_for_answer(self) -> None:
        process = self._process
        assert process is not None

        def answered() -> bool:
            if process.poll() is not None:
                raise ServerFailed(self, f"ended with {process.returncode} instead of starting")
            return self.answers()

        try:
            wait_until(answered, f"{self} answers")
        except TimeoutError as exc:
            raise ServerFailed(self, "does not answer") from exc

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None and how != signal.SIGKILL:
            self._stop(process, how)
        if process.poll() is None:
            _kill_family(process)
        guardian.forget(process.pid)

    def _stop(self, process: subprocess.Popen[bytes], how: signal.Signals) -> None:
        for pid in (process.pid, *descendants(process.pid)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        process.send_signal(how)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=20)

    def _signal_all(self, which: signal.Signals) -> None:
        # The first process first: stopped, it starts no more children behind our back.
        os.kill(self.pid, which)
        for pid in descendants(self.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, which)

    def _require_ours(self) -> None:
        if not self.is_ours:
            raise ServerNotOurs(self)

    def _new_folder(self) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="reinhardt-test-"))
        if self.account:
            os.chown(folder, self.account.uid, self.account.gid)
            if not self.account.can_reach(folder.parent):
                folder.rmdir()
                raise RuntimeError(
                    f"Account {self.account.name!r} cannot reach {folder.parent}. Set TMPDIR to a folder open to all.",
                )
        return folder


def _kill_family(process: subprocess.Popen[bytes]) -> None:
    # Stopped, the first process reaps no child, so that no number in our list can come to mean another process.
    process.send_signal(signal.SIGSTOP)
    for pid in descendants(process.pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.kill()
    process.wait()
