"""The benchmarks as a Django app: its tasks are found, and on SQLite its statements can be counted."""

from __future__ import annotations

import os
from typing import Any

from django.apps import AppConfig
from django.db.backends.signals import connection_created

#: Names a file that grows by one letter for each statement: see `_letter`.
TRACE = "BENCHMARK_TRACE"


class BenchmarksConfig(AppConfig):
    name = "benchmarks"

    def ready(self) -> None:
        if path := os.environ.get(TRACE):
            self._trace = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            connection_created.connect(self._watch)

    def _watch(self, connection: Any, **kwargs: Any) -> None:
        if connection.vendor != "sqlite":
            return
        raw = connection.connection

        def note(statement: str) -> None:
            os.write(self._trace, _letter(statement, raw.in_transaction))

        raw.set_trace_callback(note)


def _letter(statement: str, in_transaction: bool) -> bytes:
    """Return "v" for a look at data_version, "c" for a statement that commits, "s" for any other."""
    words = statement.split(None, 2)
    match [word.upper() for word in words[:2]]:
        case ["PRAGMA", "DATA_VERSION", *_]:
            return b"v"
        case ["COMMIT", *_] | ["END", *_]:
            return b"c"
        case ["INSERT" | "UPDATE" | "DELETE" | "WITH", *_] if not in_transaction:
            return b"c"
        case _:
            return b"s"
