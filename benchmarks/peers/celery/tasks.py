"""Tasks are acknowledged when they have ended, and results are kept, as ours."""

from __future__ import annotations

import os

from celery import Celery

from benchmarks.delays import write_delay

_URL = os.environ["BENCHMARK_REDIS_URL"]

app = Celery("benchmarks", broker=_URL, backend=_URL)
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    broker_connection_retry_on_startup=True,
    result_expires=86400,
)


@app.task
def nothing() -> None:
    pass


@app.task
def stamp(path: str, called_at: float) -> None:
    write_delay(path, called_at)
