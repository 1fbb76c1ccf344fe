"""What each page of the admin costs on a store with millions of tasks: `python -m benchmarks.pages --store postgresql`.

The store is filled, asked, and thrown away: 10,000,000 rows take some 8 GB of disk on PostgreSQL, 1,000,000 tasks some 1.5 GB
of memory on Redis. A page is to take less than 300 ms and as many statements whatever there is. Beside the time that passed
stands that of the processors, this one's and the store's, which other work on the machine does not lengthen.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from .stores import STORES, Place, RedisStore

LOOKS = 5
#: Seconds from which a page is slow.
SLOW = 0.3
DEFAULTS = {"postgresql": 10_000_000, "redis": 1_000_000}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pages", description=__doc__)
    parser.add_argument("--store", choices=list(DEFAULTS), default="postgresql")
    parser.add_argument("--rows", type=int, help="Tasks (default: 10,000,000 on PostgreSQL, 1,000,000 on Redis).")
    parser.add_argument("--people", type=int, default=1000, help="Schedules, and workflows (default: %(default)s).")
    parser.add_argument(
        "--members", type=int, default=5000, help="Steps of the largest workflow (default: %(default)s)."
    )
    parser.add_argument(
        "--explain", action="store_true", help="Print the statements of pages that take 300 ms or more."
    )
    options = parser.parse_args()
    rows = options.rows or DEFAULTS[options.store]
    with STORES[options.store]() as store:
        place = store.new_place()
        _set_up(place, is_redis=isinstance(store, RedisStore))
        began = time.monotonic()
        _fill(options.store, rows, options.people, options.members)
        print(f"{store.description}; {rows:,} tasks, filled in {time.monotonic() - began:.0f} s\n", flush=True)
        _tell(_measured(), options.explain)


def _set_up(place: Place, *, is_redis: bool) -> None:
    import django
    from django.conf import settings
    from django.core.management import call_command

    databases = json.loads(place.environment["BENCHMARK_DATABASES"])
    backend: dict[str, Any] = {"BACKEND": "reinhardt_tasks.backends.DatabaseBackend", "QUEUES": []}
    if is_redis:
        options = {"URL": place.environment["BENCHMARK_REDIS_URL"]}
        backend = {"BACKEND": "reinhardt_tasks.backends.RedisBackend", "QUEUES": [], "OPTIONS": options}
    settings.configure(
        SECRET_KEY="benchmark",
        DATABASES=databases,
        USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        ROOT_URLCONF="benchmarks.page_urls",
        ALLOWED_HOSTS=["testserver"],
        STATIC_URL="static/",
        INSTALLED_APPS=[
            "django.contrib.admin",
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.messages",
            "django.contrib.sessions",
            "django.contrib.staticfiles",
            "reinhardt_tasks",
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        "django.contrib.messages.context_processors.messages",
                    ]
                },
            }
        ],
        TASKS={"default": backend},
    )
    django.setup()
    call_command("migrate", verbosity=0, interactive=False)


def _fill(store: str, rows: int, people: int, members: int) -> None:
    from reinhardt_tasks.operations import store_of

    from . import crowds

    # The steps of workflows lie among the first, as if they had been started a month ago.
    crowds.add_people(people, members)
    fill = crowds.fill_postgresql if store == "postgresql" else crowds.fill_by_verbs
    for number in fill(store_of("default").broker, rows):
        if sys.stderr.isatty() or number % 1_000_000 == 0:
            print(f"\r{number:,}", end="" if sys.stderr.isatty() else "\n", file=sys.stderr, flush=True)


def _pages() -> dict[str, str]:
    """Return the address of each page that a link leads to; of the tasks' list each filter."""
    from django.urls import reverse

    from reinhardt_tasks.jobs import TaskStatus
    from reinhardt_tasks.models import ScheduleRow, WorkflowRow
    from reinhardt_tasks.operations import Query, store_of

    from .crowds import TASK

    def url(name: str, *args: Any) -> str:
        return reverse(f"admin:reinhardt_tasks_{name}", args=args)

    broker = store_of("default").broker
    tasks = url("jobrow_tasks")
    states = [status.value.lower() for status in TaskStatus]
    (failed,) = broker.find(Query(statuses=(TaskStatus.FAILURE,)), limit=1)
    small = WorkflowRow.objects.order_by("steps").first()
    large = WorkflowRow.objects.order_by("-steps").first()
    schedule = ScheduleRow.objects.order_by("name").first()
    assert small is not None and large is not None and schedule is not None
    return {
        "overview": url("jobrow_changelist"),
        "tasks": tasks,
        **{f"tasks, {state}": f"{tasks}?state={state}" for state in states},
        "tasks of a queue": f"{tasks}?queue=reports",
        "tasks of a name": f"{tasks}?q={TASK}",
        "tasks of a name that there is not": f"{tasks}?q=shop.tasks.gone",
        "tasks by the beginning of an id": f"{tasks}?q={failed.id[:10]}",
        "tasks of the last hour": f"{tasks}?period=1h",
        "tasks by exception": f"{tasks}?exception=ConnectionError",
        "tasks by words in the arguments": f"{tasks}?text=4711",
        "tasks of a worker": f"{tasks}?worker=worker-3",
        "tasks that finished since": f"{tasks}?finished_since=2026-01-01T00:00",
        "a task": url("jobrow_change", failed.id),
        "edit a task": url("jobrow_edit", failed.id),
        "queues": url("jobrow_queues"),
        "check waiting tasks": f"{url('jobrow_check')}?backend=default",
        "workers": url("jobrow_workers"),
        "failures": url("jobrow_failures"),
        "schedules": url("schedulerow_changelist"),
        "a schedule": url("schedulerow_change", schedule.pk),
        "add a schedule": url("schedulerow_add"),
        "workflows": url("workflowrow_changelist"),
        "a workflow of 10 steps": url("workflowrow_change", small.pk),
        f"a workflow of {large.steps:,} steps": url("workflowrow_change", large.pk),
    }


@dataclass(frozen=True, kw_only=True)
class Cost:
    page: str
    #: Statements to the database, and to Redis commands as the client sends them, each time the most of all looks.
    statements: int
    commands: int
    seconds: Sequence[float]
    #: Seconds of processor that this process and the store's spent, each look: what an idle machine would take.
    busy: Sequence[float]
    #: What the last look asked the database, with what each took.
    asked: Sequence[str]


def _measured() -> Iterator[Cost]:
    from django.contrib.auth.models import User
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    client = Client()
    client.force_login(User.objects.create_superuser("chief"))
    commands, serving = _counted_commands(), _pid_of_store()
    for name, address in _pages().items():
        client.get(address)
        seconds, busy, statements, sent = [], [], [], []
        for _ in range(LOOKS):
            before, spent = len(commands), time.process_time() + _spent_by(serving)
            with CaptureQueriesContext(connection) as captured:
                began = time.perf_counter()
                response = client.get(address)
                seconds.append(time.perf_counter() - began)
            busy.append(time.process_time() + _spent_by(serving) - spent)
            assert response.status_code == 200, (name, response.status_code)
            statements.append(len(captured))
            sent.append(len(commands) - before)
            asked = [f"{each['time']} {each['sql'][:2000]}" for each in captured.captured_queries]
        yield Cost(page=name, statements=max(statements), commands=max(sent), seconds=seconds, busy=busy, asked=asked)


def _pid_of_store() -> int:
    """Return the process that answers this one: the backend of our connection, or Redis."""
    from django.db import connection

    from reinhardt_tasks.operations import store_of

    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            return int(cursor.fetchone()[0])
    broker: Any = store_of("default").broker
    return int(broker.connections.sender.info("server")["process_id"])


def _spent_by(pid: int) -> float:
    """Return the seconds of processor that a process (its main thread) has had."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def _counted_commands() -> list[None]:
    """Return a list that grows by one for each thing that is sent to Redis: the server counts what scripts call, too."""
    from redis.connection import AbstractConnection

    sent: list[None] = []
    send = AbstractConnection.send_packed_command

    def counting(self: Any, *args: Any, **more: Any) -> Any:
        sent.append(None)
        return send(self, *args, **more)

    AbstractConnection.send_packed_command = counting  # type: ignore[method-assign]
    return sent


def _tell(costs: Iterator[Cost], explain: bool) -> None:
    print("| page | statements | Redis commands | processor, ms | least, ms | median, ms |\n|---|--:|--:|--:|--:|--:|")
    slow = []
    for cost in costs:
        times = (min(cost.busy), min(cost.seconds), median(cost.seconds))
        cells = " | ".join(f"{each * 1000:.0f}" for each in times)
        print(f"| {cost.page} | {cost.statements} | {cost.commands} | {cells} |", flush=True)
        slow += [cost] if min(cost.busy) >= SLOW else []
    for cost in slow if explain else []:
        print(f"\n{cost.page}:", *cost.asked, sep="\n")


if __name__ == "__main__":
    main()
