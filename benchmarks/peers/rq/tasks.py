from __future__ import annotations

from benchmarks.delays import write_delay


def nothing() -> None:
    pass


def stamp(path: str, called_at: float) -> None:
    write_delay(path, called_at)
