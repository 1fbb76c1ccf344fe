"""The broker on Redis, with results kept there."""

from __future__ import annotations

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from benchmarks.delays import write_delay

_URL = os.environ["BENCHMARK_REDIS_URL"]

# Dramatiq does without Django. In a Django project its worker loads it, by django-dramatiq for one.
if os.environ.get("BENCHMARK_IN_DJANGO"):
    import django

    django.setup()

broker = RedisBroker(url=_URL)
broker.add_middleware(Results(backend=RedisBackend(url=_URL), store_results=True))
dramatiq.set_broker(broker)


@dramatiq.actor
def nothing() -> None:
    pass


@dramatiq.actor
def stamp(path: str, called_at: float) -> None:
    write_delay(path, called_at)
