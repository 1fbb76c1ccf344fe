"""What the task that is timed does, in every system."""

from __future__ import annotations

import os
import time


def write_delay(path: str, called_at: float) -> None:
    """Append the seconds since `called_at` to a file, in one write."""
    delay = time.time() - called_at
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, f"{delay:.6f}\n".encode())
    os.close(handle)
