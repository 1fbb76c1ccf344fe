"""The stores under chaos, each on a server of its own that may be hurt, with a proxy before it that may be cut."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, ClassVar

from django.db import connections

from tests import databases
from tests.brokers.proxy import Proxy
from tests.servers import MariaDBServer, PostgresServer, RedisServer
from tests.settings import sqlite
from tests.worker.processes import tasks_on

from .blows import CUT, FREEZE_STORE, KILL_STORE, LOCK_STORE, LOSE, STOP_STORE, Blow
from .tasks import EFFECTS

ALIAS = "chaos"


class Store:
    """`tasks` is the setting TASKS for this process, `arguments` are what workers are started with."""

    name: ClassVar[str]
    blows: ClassVar[tuple[str, ...]]
    #: The alias of the database that holds the tasks, if one does.
    database: str | None = ALIAS
    tasks: dict[str, Any]
    arguments: dict[str, Any]

    def hurt(self, blow: Blow) -> None:
        """Deal a blow, and return when the store is whole again."""
        raise NotImplementedError

    def effects(self) -> dict[int, int]:
        """Return how many rows each atomic task has left."""
        with connections[ALIAS].cursor() as cursor:
            cursor.execute(f"SELECT number, COUNT(*) FROM {EFFECTS} GROUP BY number")
            return dict(cursor.fetchall())


class SqliteStore(Store):
    """A file. Nobody can kill it, but one may hold its lock."""

    name = "sqlite"
    blows = (LOCK_STORE,)

    def __init__(self, path: Path, lease: float) -> None:
        self.path = path
        self.tasks = tasks_on(ALIAS, LEASE=lease)
        self.arguments = {"tasks": self.tasks}

    def hurt(self, blow: Blow) -> None:
        connection = sqlite3.connect(self.path, timeout=60, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            time.sleep(blow.seconds)
            connection.execute("ROLLBACK")
        finally:
            connection.close()


class ServerStore(Store):
    blows = (KILL_STORE, STOP_STORE, FREEZE_STORE, CUT, LOSE)
    #: What a request says whose answer may be lost.
    words: ClassVar[tuple[str, ...]]

    def __init__(self, server: Any, proxy: Proxy) -> None:
        self.server = server
        self.proxy = proxy

    def hurt(self, blow: Blow) -> None:
        match blow.kind:
            case "kill the store":
                self.server.kill()
                time.sleep(blow.seconds)
                self.server.start()
            case "stop the store":
                self.server.stop()
                time.sleep(blow.seconds)
                self.server.start()
            case "freeze the store":
                self.server.pause()
                time.sleep(blow.seconds)
                self.server.resume()
            case "cut all connections":
                self.proxy.cut()
            case "lose an answer":
                self.proxy.lose(self.words[int(blow.choice * len(self.words))], times=2)
            case kind:
                raise ValueError(kind)


class PostgresStore(ServerStore):
    name = "postgres"
    words = ("UPDATE", "COMMIT")

    def __init__(self, server: Any, proxy: Proxy, lease: float) -> None:
        super().__init__(server, proxy)
        self.tasks = tasks_on(ALIAS, LEASE=lease)
        self.arguments = _through(proxy, self.tasks)


class MariaDBStore(PostgresStore):
    name = "mariadb"


class RedisStore(ServerStore):
    name = "redis"
    words = ("EVALSHA",)
    database = None

    def __init__(self, server: Any, proxy: Proxy, lease: float) -> None:
        super().__init__(server, proxy)
        self.tasks = _tasks_on_redis(server.url, lease)
        self.arguments = {"tasks": _tasks_on_redis(proxy.url, lease)}


def _tasks_on_redis(url: str, lease: float) -> dict[str, Any]:
    options = {"URL": url, "LEASE": lease}
    return {"default": {"BACKEND": "reinhardt_tasks.backends.RedisBackend", "QUEUES": [], "OPTIONS": options}}


def _through(proxy: Proxy, tasks: dict[str, Any]) -> dict[str, Any]:
    known = json.loads(databases.environment_for_processes()["REINHARDT_TEST_DATABASES"])
    known[ALIAS] = {**known[ALIAS], "HOST": "127.0.0.1", "PORT": str(proxy.port)}
    return {"tasks": tasks, "REINHARDT_TEST_DATABASES": json.dumps(known)}


@contextmanager
def store_of(name: str, folder: Path, lease: float, blocker: Any) -> Iterator[Store]:
    """Yield the store of this name, with tables in it. Raise ServerMissing where there is no server for it."""
    with ExitStack() as exits:
        if name == "redis":
            server: Any = exits.enter_context(RedisServer(own=True, appendonly=True))
            yield RedisStore(server, exits.enter_context(Proxy(server.host, server.port)), lease)
            return
        if name == "sqlite":
            settings: dict[str, Any] = sqlite(folder / "chaos.sqlite3")
        else:
            server = exits.enter_context(_DATABASE_SERVERS[name]())
            server.create_database("chaos")
            settings = server.settings_of("chaos")
        exits.enter_context(databases.added(ALIAS, settings, blocker))
        exits.enter_context(blocker.unblock())
        with connections[ALIAS].cursor() as cursor:
            cursor.execute(f"CREATE TABLE {EFFECTS} (number INTEGER NOT NULL)")
        if name == "sqlite":
            yield SqliteStore(folder / "chaos.sqlite3", lease)
        else:
            proxy = exits.enter_context(Proxy(server.host, server.port))
            yield (PostgresStore if name == "postgres" else MariaDBStore)(server, proxy, lease)


#: Durable as their own defaults are: a commit is on the disk when it is answered.
_DATABASE_SERVERS: dict[str, Callable[[], Any]] = {
    "postgres": lambda: PostgresServer(own=True, options={"fsync": "on", "full_page_writes": "on"}),
    "mariadb": lambda: MariaDBServer(own=True, options=("innodb-flush-log-at-trx-commit=1",)),
}
