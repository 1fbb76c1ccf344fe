"""The worker: it claims jobs, runs them in threads and on an event loop, and tells the broker what became of them."""

from .config import WorkerConfig
from .worker import Worker

__all__ = ["Worker", "WorkerConfig"]
