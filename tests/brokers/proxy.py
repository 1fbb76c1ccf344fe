"""A TCP proxy before a test server, which loses answers on request: what was asked for is done, and nobody hears of it."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self


class Proxy:
    """Passes everything on, until told to `lose` an answer. `requests` counts what clients have sent, in one go each."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        #: What to look for next, and whether it may pass.
        self._words: list[tuple[bytes, bool]] = []
        self._sockets: list[socket.socket] = []
        self.requests = 0
        self.lost = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def lose(self, words: str, times: int = 1, after: int = 0) -> None:
        """Lose the answers to the next requests with `words` in them, and cut their connections; let `after` pass first."""
        with self._lock:
            self._words += [(words.encode(), number < after) for number in range(after + times)]

    def lead_to(self, host: str, port: int) -> None:
        """Lead new connections to another server, as a name does after a failover; those of now stay where they are."""
        self._target = (host, port)

    def cut(self) -> None:
        """Cut all connections of now, whatever passes there."""
        sockets, self._sockets = self._sockets, []
        for each in sockets:
            _cut(each)

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._listener.close()
        for each in self._sockets:
            _cut(each)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self._target)
        except OSError:
            _cut(client)
            return
        self._sockets += [client, server]
        is_lost = threading.Event()
        threading.Thread(target=self._answer, args=[server, client, is_lost], daemon=True).start()
        with suppress(OSError):
            while data := client.recv(1 << 20):
                with self._lock:
                    self.requests += 1
                    found = next((each for each in self._words if each[0] in data), None)
                    if found is not None:
                        self._words.remove(found)
                        if not found[1]:
                            is_lost.set()
                server.sendall(data)
        _cut(server)

    def _answer(self, server: socket.socket, client: socket.socket, is_lost: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(1 << 20):
                if is_lost.is_set():
                    self.lost += 1
                    break
                client.sendall(data)
        _cut(client)
        _cut(server)


def _cut(each: socket.socket) -> None:
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
