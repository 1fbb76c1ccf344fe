"""With 100,000 finished jobs behind it, whatever people ask reads no more than its bound: rows and commands are counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext

from reinhardt_tasks.brokers import lookups
from reinhardt_tasks.brokers.base import Broker, Query
from reinhardt_tasks.brokers.database import DatabaseBroker
from reinhardt_tasks.brokers.redis import Connections, RedisBroker, Target
from reinhardt_tasks.jobs import TaskStatus, dashed, new_id
from reinhardt_tasks.timestamps import to_micros

NUMBER = 100_000
#: What a search may look at in these tests, for reading all to be something else by far.
WALKED = 2_000
#: Rows read for each row that may be looked at: it is looked at, sorted and read again, each perhaps twice over.
ROWS_FOR_ONE = 8
#: Steps of SQLite's machine for one row.
STEPS_FOR_ONE = 120
#: However much there is: `counts` asks for each kind of place in which a job may lie.
STATEMENTS = 7

#: When the jobs were enqueued and finished: one each 600 ms, up to now.
EVERY = timedelta(milliseconds=600)


@pytest.fixture(autouse=True)
def bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "WALKED", WALKED)
    monkeypatch.setattr(lookups, "GATHERED", WALKED)
    monkeypatch.setattr(lookups, "TALLIED", WALKED)
    monkeypatch.setattr(lookups, "COUNTED", 200)
    monkeypatch.setattr(lookups, "SAMPLED", 50)
    monkeypatch.setattr(lookups, "SCANNED", 500)
    monkeypatch.setattr(Broker, "COUNT_LIMIT", WALKED)


def id_of(number: int, began: datetime) -> str:
    """Return an id as it would have been made for the job of this number."""
    at = began + number * EVERY
    return dashed(f"{to_micros(at) // 1000:012x}7{number:019x}")


def questions(began: datetime) -> dict[str, Callable[[Broker], Any]]:
    """Return what people ask. The rare ones are the oldest of all."""
    middle, end = began + NUMBER // 2 * EVERY, began + NUMBER * EVERY
    queries = {
        "all": Query(),
        "another page": Query(),
        "failed": Query(statuses=(TaskStatus.FAILURE,)),
        "failed of a name": Query(statuses=(TaskStatus.FAILURE, TaskStatus.CANCELLED), name="tasks.rare"),
        "running": Query(statuses=(TaskStatus.RUNNING,)),
        "waiting": Query(statuses=(TaskStatus.PENDING, TaskStatus.SCHEDULED, TaskStatus.RETRY)),
        "of a name": Query(name="tasks.rare"),
        "of a queue": Query(queue="none"),
        "of a worker": Query(worker="nobody"),
        "by time": Query(enqueued_since=middle, enqueued_until=middle + timedelta(seconds=60)),
        "by its end": Query(finished_since=middle, finished_until=middle + timedelta(seconds=60)),
        "by any end": Query(finished_since=began, queue="none"),
        "by id": Query(id_prefix=id_of(5, began)),
        "by a beginning": Query(id_prefix=id_of(5, began)[:-4]),
        "by words": Query(text="nowhere"),
        "by exception": Query(exception="NoSuch"),
    }
    asked: dict[str, Callable[[Broker], Any]] = {
        name: lambda broker, query=query: broker.search(query, limit=50) for name, query in queries.items()
    }
    asked["another page"] = lambda broker: broker.search(Query(), after=id_of(NUMBER // 2, began), limit=50)
    asked["counts"] = lambda broker: broker.counts()
    asked["failures"] = lambda broker: broker.failures(1000)
    asked["a tally"] = lambda broker: broker.tally(end - timedelta(seconds=30), end, timedelta(seconds=10))
    asked["a tally of too much"] = lambda broker: broker.tally(began, end, (end - began) / 4)
    return asked


def check_answers(began: datetime, answers: dict[str, Any], *, finds_failures: bool = True) -> None:
    """Assert that being bounded is not all that the answers are."""
    rare = [id_of(number, began) for number in (2, 1, 0)]
    for name in ("failed", "failed of a name"):
        page = answers[name]
        assert ([job.id for job in page.jobs], page.is_cut) == ((rare, False) if finds_failures else ([], True))
    assert [job.id for job in answers["running"].jobs] == [id_of(3, began)]
    assert [job.id for job in answers["waiting"].jobs] == [id_of(4, began)]
    assert len(answers["all"].jobs) == len(answers["another page"].jobs) == 50
    assert [job.id for job in answers["by id"].jobs] == [id_of(5, began)]
    assert len(answers["by its end"].jobs) == 50 and not answers["by its end"].is_cut
    assert len(answers["by time"].jobs) == 50 and not answers["by time"].is_cut
    for name in ("of a name", "of a queue", "of a worker", "by any end", "by words", "by exception"):
        assert answers[name].is_cut and answers[name].after is not None, name
    assert dict(answers["failures"].counts) == ({"default": 3} if finds_failures else {})
    assert answers["failures"].is_cut is not finds_failures
    assert not answers["a tally"].is_estimate and answers["a tally of too much"].is_estimate
    (total,) = {tally.queue for tally in answers["a tally"].tallies}
    assert total == "default"


# Databases


@pytest.fixture
def filled(database_alias: str) -> Iterator[tuple[str, datetime]]:
    began = datetime.now(UTC) - NUMBER * EVERY
    connection = connections[database_alias]
    dashes = connection.features.has_native_uuid_field
    states = {0: "FAILURE", 1: "FAILURE", 2: "FAILURE", 3: "RUNNING", 4: "SCHEDULED"}

    def row(number: int) -> list[Any]:
        id_, at = id_of(number, began), to_micros(began + number * EVERY)
        status = states.get(number, "SUCCESS")
        lies = (at + 10**12 if status == "SCHEDULED" else None, "somebody" if status == "RUNNING" else None)
        ended = None if any(lies) else at
        name = "tasks.rare" if number < 3 else "tasks.common"
        id_ = id_ if dashes else id_.replace("-", "")
        return [id_, "default", name, "default", 0, "[[],{}]", status, 1, "{}", False, at, at, ended, *lies]

    columns = (
        "id, alias, name, queue, precedence, payload, status, token, metadata, cancel_requested, enqueued_at, due_at, "
        "finished_at, wakes_at, held_by"
    )
    with transaction.atomic(using=database_alias), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # Seconds quicker than so many parameters.
            with cursor.copy(f"COPY reinhardt_tasks_job ({columns}) FROM STDIN") as copy:
                for number in range(NUMBER):
                    copy.write_row(row(number))
            cursor.execute("ANALYZE reinhardt_tasks_job")
        else:
            marks = f"({', '.join(['%s'] * 15)})"
            for start in range(0, NUMBER, 1000):
                cursor.execute(
                    f"INSERT INTO reinhardt_tasks_job ({columns}) VALUES {', '.join([marks] * 1000)}",
                    [value for number in range(start, start + 1000) for value in row(number)],
                )
    yield database_alias, began


def test_databases_read_no_more_than_their_bound(filled: tuple[str, datetime]) -> None:
    alias, began = filled
    broker = DatabaseBroker("default", alias)
    answers: dict[str, Any] = {}
    too_much = {}
    for name, ask in questions(began).items():
        with CaptureQueriesContext(connections[alias]) as statements, counted(alias) as read:
            answers[name] = ask(broker)
        most = 4 * STATEMENTS if "tally" in name or "by words" in name or "by exception" in name else STATEMENTS
        number = len([query for query in statements if "reinhardt_tasks_" in query["sql"]])
        if read() > 1 or number > most:
            too_much[name] = (read(), number)
    assert too_much == {}
    # No partial index, so what failed long ago is found by going on, page by page.
    check_answers(began, answers, finds_failures=connections[alias].features.supports_partial_indexes)


@contextmanager
def counted(alias: str) -> Iterator[Callable[[], float]]:
    """Count what a database reads meanwhile, as a part of what it may: the function that is given tells it afterwards."""
    connection = connections[alias]
    counts: list[float] = []
    match connection.vendor:
        case "sqlite":
            ticks: list[int] = []
            connection.ensure_connection()
            connection.connection.set_progress_handler(lambda: ticks.append(1), 1000)
            yield lambda: counts[0]
            connection.connection.set_progress_handler(None, 0)
            counts.append(len(ticks) * 1000 / (WALKED * STEPS_FOR_ONE))
        case "postgresql":
            with transaction.atomic(using=alias):
                before = _rows_of_postgresql(connection)
                yield lambda: counts[0]
                counts.append((_rows_of_postgresql(connection) - before) / (WALKED * ROWS_FOR_ONE))
        case _:
            before = _rows_of_mariadb(connection)
            yield lambda: counts[0]
            counts.append((_rows_of_mariadb(connection) - before) / (WALKED * ROWS_FOR_ONE))


def _rows_of_postgresql(connection: Any) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'reinhardt_tasks_job'"
        )
        return int(cursor.fetchone()[0] or 0)


def _rows_of_mariadb(connection: Any) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SHOW SESSION STATUS WHERE Variable_name LIKE 'Handler_read%'")
        return sum(int(number) for _, number in cursor.fetchall())


# Redis

_FILL = """
local base, began = KEYS[1], tonumber(ARGV[1])
for number = tonumber(ARGV[2]), tonumber(ARGV[3]) - 1 do
  local id = ARGV[4 + number - tonumber(ARGV[2])]
  local at = string.format('%.0f', began + number * 600000)
  local status = number < 3 and 'FAILURE' or number == 3 and 'RUNNING' or number == 4 and 'SCHEDULED' or 'SUCCESS'
  redis.call('HSET', base .. 'job:' .. id, 'n', number < 3 and 'tasks.rare' or 'tasks.common', 'q', 'default', 'p', 0,
    'a', '[[],{}]', 'st', status, 'tk', 1, 'en', at, 'du', at)
  redis.call('ZADD', base .. 'all', 0, id)
  if status == 'RUNNING' then
    redis.call('HSET', base .. 'held:somebody', id, 1)
    redis.call('ZADD', base .. 'workers', 0, 'somebody')
  elseif status == 'SCHEDULED' then
    redis.call('ZADD', base .. 'later:default', at + 1e12, id)
    redis.call('SADD', base .. 'queues', 'default')
  else
    redis.call('HSET', base .. 'job:' .. id, 'fi', at)
    redis.call('ZADD', base .. 'ended', at, id)
    if status == 'FAILURE' then
      redis.call('ZADD', base .. 'failures', 0, id)
    end
  end
end
"""


def test_redis_runs_no_more_commands_than_its_bound(redis_server: Any) -> None:
    broker = RedisBroker("default", Connections(Target(url=redis_server.url)), f"test:{new_id()}:")
    client = broker.connections.sender
    began = datetime.now(UTC) - NUMBER * EVERY
    for start in range(0, NUMBER, 5000):
        ids = [id_of(number, began) for number in range(start, start + 5000)]
        client.eval(_FILL, 1, broker.base, to_micros(began), start, start + 5000, *ids)
    answers: dict[str, Any] = {}
    too_much = {}
    try:
        for name, ask in questions(began).items():
            client.config_resetstat()
            answers[name] = ask(broker)
            number = sum(each["calls"] for each in client.info("commandstats").values())
            if number > WALKED * 1.5 + 100:
                too_much[name] = number
        assert too_much == {}
        check_answers(began, answers)
    finally:
        client.flushdb()
        broker.connections.close()
