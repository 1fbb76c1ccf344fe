"""Our own database broker in this process, on a place of a store, with rows made by SQL rather than one by one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .stores import Place

if TYPE_CHECKING:
    from reinhardt_tasks.brokers.database import DatabaseBroker

#: What `generate_series` is called elsewhere.
_SERIES = {
    "postgresql": "SELECT i FROM generate_series(1, {n}) AS s(i)",
    "sqlite": "WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < {n}) SELECT i FROM s",
    "mysql": "SELECT seq AS i FROM seq_1_to_{n}",
}
_ID = {
    "postgresql": "CAST(lpad(to_hex({start} + i), 16, '0') || '8000000000000000' AS uuid)",
    "sqlite": "printf('%016x', {start} + i) || '8000000000000000'",
    # MariaDB takes no UUID whose version it does not know.
    "mysql": "concat(lpad(hex({start} + i), 12, '0'), '70008000000000000000')",
}
_STATES = {
    # status, lane, wakes_at, finished_at, due_at
    "waiting": "'PENDING', 'default:default', NULL, NULL, {now} - 1000000000 + i",
    "scheduled": "'SCHEDULED', NULL, {now} + 2592000000000 + i, NULL, {now} + 2592000000000 + i",
    "finished": "'SUCCESS', NULL, NULL, {now} - 1000000000 + i, {now} - 2000000000 + i",
}
_COLUMNS = (
    "id, alias, name, queue, precedence, payload, token, metadata, cancel_requested, enqueued_at, "
    "status, lane, wakes_at, finished_at, due_at"
)


@contextmanager
def broker_on(place: Place) -> Iterator[DatabaseBroker]:
    """Give a broker whose tables are there and empty. One place after the other, in one process."""
    import django
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connections

    databases = json.loads(place.environment["BENCHMARK_DATABASES"])
    if databases["default"]["ENGINE"].endswith("mysql"):
        import pymysql

        pymysql.install_as_MySQLdb()
    if not settings.configured:
        settings.configure(
            DATABASES=databases,
            INSTALLED_APPS=["reinhardt_tasks"],
            USE_TZ=True,
            DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        )
        django.setup()
    else:
        del connections["default"]
        connections.databases["default"] = connections.configure_settings(databases)["default"]
    from reinhardt_tasks.brokers.database import DatabaseBroker

    call_command("migrate", verbosity=0, interactive=False)
    broker = DatabaseBroker("default", "default")
    try:
        yield broker
    finally:
        broker.close()


def fill(broker: DatabaseBroker, **numbers: int) -> None:
    """Make so many rows of each state: `fill(broker, waiting=1000, scheduled=0, finished=0)`."""
    vendor = broker.session.connection.vendor
    start = 0
    with broker.session.connection.cursor() as cursor:
        for state, number in numbers.items():
            if number:
                values = _STATES[state].format(now=broker.session.dialect.now)
                row = (
                    f"SELECT {_ID[vendor].format(start=start)}, 'default', 'nothing', 'default', 0, '[[],{{}}]', 0, '{{}}', "
                    f"{broker.session.dialect.false}, {broker.session.dialect.now}, {values} "
                    f"FROM ({_SERIES[vendor].format(n=number)}) AS numbers"
                )
                # Without parameters the drivers leave percent signs alone.
                cursor.execute(f"INSERT INTO reinhardt_tasks_job ({_COLUMNS}) {row}", None)
            start += number
        cursor.execute("ANALYZE TABLE reinhardt_tasks_job" if vendor == "mysql" else "ANALYZE")
