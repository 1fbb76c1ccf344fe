"""One of several processes that compete for the jobs of a database: `python -m tests.brokers.competitor DATABASE LEASE`.

It says "ready", and after a line on its standard input it claims, settles and rescues until nothing is left. Each job that
it has settled is a line on its standard output. Told "hold", it claims, names what it holds, and stops moving. Told
"unique", it enqueues jobs of one once key and works in turn; a line is then a job that its enqueueing gave it.
"""

from __future__ import annotations

import os
import sys
import time

import django


def main(database: str, lease: float) -> None:
    django.setup()
    from reinhardt_tasks.brokers.base import WorkerInfo
    from reinhardt_tasks.brokers.database import DatabaseBroker
    from reinhardt_tasks.gates import Until
    from reinhardt_tasks.jobs import Job, TaskStatus, new_id

    broker = DatabaseBroker("default", database)
    worker = WorkerInfo(id=f"process-{os.getpid()}-{new_id()}", pid=os.getpid(), lease=lease)
    broker.heartbeat(worker)
    print("ready", flush=True)
    word = sys.stdin.readline().strip()
    if word == "unique":
        for _ in range(30):
            job = Job(id=new_id(), name="n", payload="{}", backend="default", once_key="k", once_until=Until.FINISHED)
            print(broker.enqueue([job])[0].id, flush=True)
            list(work(broker, worker))
    if word == "hold":
        print(*(claim.job.id for claim in broker.claim(None, 10, worker)), flush=True)
        time.sleep(600)
        return
    while True:
        broker.heartbeat(worker)
        for id_ in work(broker, worker):
            if word != "unique":
                print(id_, flush=True)
        open_states = {TaskStatus.PENDING, TaskStatus.RUNNING}
        if not any(each.counts[status] for each in broker.counts() for status in open_states):
            break
        broker.wait(None, 0.1)
    broker.leave(worker)
    broker.close()


def work(broker, worker):  # type: ignore[no-untyped-def]
    """Claim until nothing is ready, then rescue once; yield the ids of what was settled."""
    from reinhardt_tasks.jobs import Succeeded

    outcomes = []
    while True:
        lost, claims = broker.exchange(outcomes, None, 5, worker)
        settled = {outcome.claim.job.id for outcome in outcomes} - {claim.job.id for claim in lost}
        yield from settled
        if not claims:
            claims = broker.rescue(5, worker)
        if not claims:
            return
        outcomes = [Succeeded(claim=claim) for claim in claims]


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
