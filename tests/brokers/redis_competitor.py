"""One of several processes that compete for the jobs of a Redis: `python -m tests.brokers.redis_competitor URL BASE [LEASE
SHARDS]`.

It says "ready", and after a line on its standard input it claims and settles until nothing is left. Each job that it has
settled is a line on its standard output. Told "hold", it claims, names what it holds, and stops moving; told "rescue", it
takes over what others have lost too.
"""

from __future__ import annotations

import os
import sys
import time

import django


def main(url: str, base: str, lease: str = "60", shards: str = "1") -> None:
    django.setup()
    from reinhardt_tasks.brokers.base import WorkerInfo
    from reinhardt_tasks.brokers.redis import Connections, RedisBroker, ShardedBroker, Target
    from reinhardt_tasks.jobs import Succeeded, new_id

    connections = Connections(Target(url=url))
    bases = [base.replace(".0}", f".{number}}}") for number in range(int(shards))]
    parts = [RedisBroker("default", connections, each) for each in bases]
    broker = ShardedBroker(parts) if len(parts) > 1 else parts[0]
    worker = WorkerInfo(id=f"process-{os.getpid()}-{new_id()}", pid=os.getpid(), lease=float(lease))
    broker.heartbeat(worker)
    print("ready", flush=True)
    word = sys.stdin.readline().strip()
    if word == "hold":
        print(*(claim.job.id for claim in broker.claim(None, 10, worker)), flush=True)
        time.sleep(600)
        return
    claims = broker.claim(None, 5, worker)
    while claims or word == "rescue":
        if not claims:
            broker.wait(None, 0.1)
            broker.heartbeat(worker)
            claims = broker.rescue(5, worker) or broker.claim(None, 5, worker)
            if not claims and not _is_something_left(broker):
                break
            continue
        lost, more = broker.exchange([Succeeded(claim=claim) for claim in claims], None, 5, worker)
        assert not lost
        print(*(claim.job.id for claim in claims), sep="\n", flush=True)
        claims = more
    broker.leave(worker)


def _is_something_left(broker):  # type: ignore[no-untyped-def]
    return any(each.counts[status] for each in broker.counts() for status in ("PENDING", "RUNNING"))


if __name__ == "__main__":
    main(*sys.argv[1:])
