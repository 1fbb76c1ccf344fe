"""What an `enqueue()` on Redis costs beside the least that redis-py takes for a script: `python -m benchmarks.bare`.

All in one process, in turns of a few milliseconds; of each the fastest turn counts. What else the machine does can only make
a turn longer.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

from .stores import Place, RedisStore

#: Calls in one turn, and tasks of a turn in bulk.
CALLS, BULK = 50, 500


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bare", description=__doc__)
    parser.add_argument("--turns", type=int, default=200, help="Turns of each (default: %(default)s).")
    options = parser.parse_args()
    with RedisStore() as store:
        place = store.new_place()
        _set_up(place)
        bare, one, bulk = _measure(place.environment["BENCHMARK_REDIS_URL"], options.turns)
        print("| a bare EVALSHA, µs | enqueue(), µs | in bulk, µs a task | bare / one | one / bulk |")
        print("|--:|--:|--:|--:|--:|")
        print(f"| {bare:.1f} | {one:.1f} | {bulk:.1f} | **{bare / one:.2f}×** | **{one / bulk:.1f}×** |")


def _measure(url: str, turns: int) -> list[float]:
    """Return the microseconds of the three."""
    import redis

    from .page_tasks import charge

    client = redis.Redis.from_url(url, decode_responses=True)
    sha = client.script_load("return 1")
    works: list[tuple[Callable[[], Any], int]] = [
        (lambda: [client.evalsha(sha, 1, "bare") for _ in range(CALLS)], CALLS),
        (lambda: [charge.enqueue(number) for number in range(CALLS)], CALLS),
        (lambda: charge.enqueue_many(((number,), {}) for number in range(BULK)), BULK),
    ]
    fastest = [float("inf")] * len(works)
    for _ in range(turns):
        for number, (work, calls) in enumerate(works):
            began = time.perf_counter()
            work()
            fastest[number] = min(fastest[number], (time.perf_counter() - began) / calls * 1_000_000)
        client.flushdb()
    return fastest


def _set_up(place: Place) -> None:
    import django
    from django.conf import settings

    settings.configure(
        DATABASES=json.loads(place.environment["BENCHMARK_DATABASES"]),
        INSTALLED_APPS=["reinhardt_tasks"],
        TASKS={
            "default": {
                "BACKEND": "reinhardt_tasks.backends.RedisBackend",
                "OPTIONS": {"URL": place.environment["BENCHMARK_REDIS_URL"]},
            }
        },
        USE_TZ=True,
    )
    django.setup()


if __name__ == "__main__":
    main()
