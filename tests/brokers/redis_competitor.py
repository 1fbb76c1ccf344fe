"""One of several processes that compete for the jobs of a Redis: `python -m tests.brokers.redis_competitor URL BASE`.

It says "ready", and after a line on its standard input it claims and settles until nothing is left. Each job that it has
settled is a line on its standard output.
"""

from __future__ import annotations

import os
import sys

import django


def main(url: str, base: str) -> None:
    django.setup()
    from reinhardt_tasks.brokers.base import WorkerInfo
    from reinhardt_tasks.brokers.redis import Connections, RedisBroker, Target
    from reinhardt_tasks.jobs import Succeeded, new_id

    broker = RedisBroker("default", Connections(Target(url=url)), base)
    worker = WorkerInfo(id=f"process-{os.getpid()}-{new_id()}", pid=os.getpid(), lease=60)
    broker.heartbeat(worker)
    print("ready", flush=True)
    sys.stdin.readline()
    claims = broker.claim(None, 5, worker)
    while claims:
        lost, more = broker.exchange([Succeeded(claim=claim) for claim in claims], None, 5, worker)
        assert not lost
        print(*(claim.job.id for claim in claims), sep="\n", flush=True)
        claims = more
    broker.leave(worker)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
