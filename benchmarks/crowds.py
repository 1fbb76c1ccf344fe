"""A store with as much in it as a busy site has after a month: by SQL where that is possible, else by the broker's own verbs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

QUEUES = ["default", "emails", "reports", "thumbnails", "webhooks"]
TASK = "benchmarks.page_tasks.charge"

#: Of a thousand tasks so many are in each state; the rest succeeded. The newest wait.
PARTS = {"failed": 50, "cancelled": 10, "ready": 20, "scheduled": 15, "retrying": 5}
RUNNING, WORKERS = 64, 16
#: Rows of one statement.
SLICE = 500_000

_TRACEBACK = (
    'Traceback (most recent call last):\n  File "/srv/shop/bank.py", line 71, in request\nConnectionError: reset'
)
_MONTH = timedelta(days=30) // timedelta(microseconds=1)

#: `{begin}` and `{step}` spread the tasks over the month that ends now; ids tell their time, as UUIDv7 does.
_ROWS = """
INSERT INTO reinhardt_tasks_job (id, alias, name, queue, precedence, payload, token, metadata, cancel_requested, enqueued_at,
    due_at, status, lane, wakes_at, finished_at, started_at, last_attempted_at, worker, result, history)
SELECT CAST(lpad(to_hex(at / 1000), 12, '0') || '70008000' || lpad(to_hex(i), 12, '0') AS uuid), 'default',
    '{task}', queue, 0, '[[' || i || '], {{}}]', 1, '{{}}', false, at,
    CASE state WHEN 'scheduled' THEN at + {month} WHEN 'retrying' THEN at + {month} ELSE at END,
    CASE state WHEN 'failed' THEN 'FAILURE' WHEN 'cancelled' THEN 'CANCELLED' WHEN 'ready' THEN 'PENDING'
        WHEN 'scheduled' THEN 'SCHEDULED' WHEN 'retrying' THEN 'RETRY' ELSE 'SUCCESS' END,
    CASE state WHEN 'ready' THEN 'default:' || queue END,
    CASE WHEN state IN ('scheduled', 'retrying') THEN at + {month} END,
    CASE WHEN state IN ('failed', 'cancelled', 'done') THEN at + 2000000 END,
    at + 1000, at + 1000, 'worker-' || i % {workers},
    CASE state WHEN 'done' THEN '{{"charged": ' || i || '}}' END,
    CASE WHEN state IN ('failed', 'retrying') THEN '{history}' END
FROM (
    SELECT i, {begin} + CAST(i AS bigint) * {step} AS at, (ARRAY[{queues}])[1 + i % {queue_count}] AS queue,
        CASE WHEN i > {waiting_from} THEN (ARRAY[{waiting}])[1 + i % {waiting_count}]
            WHEN i % 1000 < {failed} THEN 'failed' WHEN i % 1000 < {ended_badly} THEN 'cancelled' ELSE 'done' END AS state
    FROM generate_series({first}, {last}) AS s(i)
) AS jobs
"""


def fill_postgresql(broker: Any, rows: int) -> Iterator[int]:
    """Make so many rows of history and backlog; yield how many there are so far."""
    waiting = [name for name in ("ready", "scheduled", "retrying") for _ in range(PARTS[name])]
    from reinhardt_tasks.serialization import encode_history

    history = encode_history([_attempt()])
    with broker.session.connection.cursor() as cursor:
        cursor.execute(f"SELECT {broker.session.dialect.now}")
        now = cursor.fetchone()[0]
        for first in range(1, rows + 1, SLICE):
            last = min(first + SLICE - 1, rows)
            cursor.execute(
                _ROWS.format(
                    task=TASK,
                    month=_MONTH,
                    workers=WORKERS,
                    history=history.replace("'", "''"),
                    begin=now - _MONTH - 60_000_000,
                    step=_MONTH // rows,
                    queues=", ".join(f"'{queue}'" for queue in QUEUES),
                    queue_count=len(QUEUES),
                    waiting=", ".join(f"'{name}'" for name in waiting),
                    waiting_count=len(waiting),
                    waiting_from=rows - rows * len(waiting) // 1000,
                    failed=PARTS["failed"],
                    ended_badly=PARTS["failed"] + PARTS["cancelled"],
                    first=first,
                    last=last,
                ),
                None,
            )
            yield last
        cursor.execute("VACUUM ANALYZE reinhardt_tasks_job")
    _run_some(broker)


def fill_by_verbs(broker: Any, rows: int) -> Iterator[int]:
    """Enqueue so many tasks, end most of them, and let the rest wait; yield how many there are so far."""
    from reinhardt_tasks.brokers.base import WorkerInfo
    from reinhardt_tasks.jobs import Failed, Job, Succeeded, new_id

    worker = WorkerInfo(id="filler", slots=1000, lease=3600)
    waiting = sum(PARTS[name] for name in ("ready", "scheduled", "retrying"))
    attempt = _attempt()
    stored = 0
    while stored < rows:
        some = [
            Job(
                id=new_id(),
                name=TASK,
                payload=json.dumps([[number], {}]),
                backend="default",
                queue=QUEUES[number % len(QUEUES)],
            )
            for number in range(stored, min(stored + 1000, rows))
        ]
        broker.enqueue(some)
        stored += len(some)
        if stored <= rows - rows * waiting // 1000:
            claims = broker.claim(None, len(some), worker)
            broker.settle(
                [
                    Failed(claim=claim, attempt=attempt)
                    if number % 1000 < PARTS["failed"]
                    else Succeeded(claim=claim, result='{"charged": 1}')
                    for number, claim in enumerate(claims)
                ]
            )
        yield stored
    broker.leave(worker)
    _run_some(broker)


def add_people(number: int, members: int) -> None:
    """Make schedules, workflows, and one workflow with so many steps at once."""
    from benchmarks.page_tasks import charge
    from reinhardt_tasks.schedules import CronSchedule
    from reinhardt_tasks.scheduling import people
    from reinhardt_tasks.workflows import Workflow, group, step

    for each in range(number):
        people.create(f"schedule {each:05}", TASK, CronSchedule(f"{each % 60} 3 * * *"), args=[1])
    for each in range(number):
        flow = Workflow(f"workflow {each}")
        last = flow.add(step(charge, 0))
        for position in range(9):
            last = flow.add(step(charge, position), after=[last])
        flow.start()
    group(*(step(charge, each) for each in range(members))).start()


def _attempt() -> Any:
    from reinhardt_tasks.jobs import Attempt

    now = datetime.now(UTC)
    return Attempt(
        worker="worker-1",
        started_at=now,
        finished_at=now,
        exception="builtins.ConnectionError",
        traceback=_TRACEBACK,
    )


def _run_some(broker: Any) -> None:
    from reinhardt_tasks.brokers.base import WorkerInfo

    for number in range(WORKERS):
        worker = WorkerInfo(id=f"worker-{number}", name="worker", host="app", pid=number, slots=8, lease=86_400)
        broker.heartbeat(worker)
        broker.claim(None, RUNNING // WORKERS, worker)
