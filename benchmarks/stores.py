"""The stores, on private servers: each measurement gets a new and empty place, and can ask what was sent to it."""

from __future__ import annotations

import json
import shutil
import tempfile
from abc import ABC, abstractmethod
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.servers import MariaDBServer, PostgresServer, RedisServer


@dataclass(frozen=True)
class Counters:
    """What a store has been asked so far: statements or commands, and those that commit (None: it cannot be told)."""

    statements: int
    commits: int | None = None

    def since(self, before: Counters) -> Counters:
        commits = None if self.commits is None or before.commits is None else self.commits - before.commits
        return Counters(self.statements - before.statements, commits)


class Place(ABC):
    """An empty database. `environment` tells a driver of it, `folder` is for files."""

    #: A file in which the worker notes its statements, where the store itself cannot count them.
    trace = ""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment

    @abstractmethod
    def counters(self) -> Counters: ...


class Store(ABC):
    """A server, started with the context, and a temporary folder."""

    name: str

    def __init__(self) -> None:
        self._number = 0
        self._exits = ExitStack()

    @property
    @abstractmethod
    def description(self) -> str: ...

    def start(self) -> None:  # noqa: B027 - a file needs no server
        """Start the server, if there is one."""

    @abstractmethod
    def new_place(self) -> Place: ...

    def __enter__(self) -> Self:
        with self._exits:
            self._root = Path(tempfile.mkdtemp(prefix="reinhardt-benchmark-"))
            self._exits.callback(shutil.rmtree, self._root, ignore_errors=True)
            self.start()
            self._exits = self._exits.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._exits.close()

    def _new(self) -> tuple[str, Path]:
        self._number += 1
        name = f"benchmark_{self._number}"
        folder = self._root / name
        folder.mkdir()
        return name, folder


def _databases(settings: dict[str, Any]) -> dict[str, str]:
    return {"BENCHMARK_DATABASES": json.dumps({"default": settings})}


class SqliteStore(Store):
    """A file in WAL mode, with the options that Django's community advises."""

    name = "sqlite"

    @property
    def description(self) -> str:
        import sqlite3

        return f"SQLite {sqlite3.sqlite_version}, WAL, synchronous=NORMAL, IMMEDIATE transactions"

    def new_place(self) -> Place:
        _, folder = self._new()
        return _SqlitePlace(folder, _databases(sqlite_settings(folder / "db.sqlite3")))


def sqlite_settings(path: Path) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(path),
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
        },
    }


class _SqlitePlace(Place):
    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        super().__init__(folder, environment)
        self.trace = str(folder / "trace")

    def counters(self) -> Counters:
        """Without looks at `PRAGMA data_version`, which neither lock nor read a page that has not changed."""
        path = Path(self.trace)
        letters = path.read_bytes() if path.exists() else b""
        return Counters(len(letters) - letters.count(b"v"), letters.count(b"c"))


class PostgresStore(Store):
    name = "postgresql"

    def start(self) -> None:
        options = {"fsync": "on", "full_page_writes": "on", "shared_preload_libraries": "pg_stat_statements"}
        self.server = self._exits.enter_context(PostgresServer(own=True, options=options))
        self._connection = self._exits.enter_context(self.server.connect())
        self._connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")

    @property
    def description(self) -> str:
        return f"PostgreSQL {self._connection.info.parameter_status('server_version')}, fsync on, its defaults else"

    def new_place(self) -> Place:
        name, folder = self._new()
        self.server.create_database(name)
        return _PostgresPlace(folder, _databases(self.server.settings_of(name)), self._connection, name)


class _PostgresPlace(Place):
    def __init__(self, folder: Path, environment: dict[str, str], connection: Any, name: str) -> None:
        super().__init__(folder, environment)
        self.name = name
        self._connection = connection

    def counters(self) -> Counters:
        statements = self._ask(
            "SELECT COALESCE(sum(calls), 0)::bigint FROM pg_stat_statements s "
            "JOIN pg_database d ON d.oid = s.dbid WHERE d.datname = %s"
        )
        return Counters(statements, self._ask("SELECT xact_commit FROM pg_stat_database WHERE datname = %s"))

    def _ask(self, sql: str) -> int:
        number: int = self._connection.execute(sql, [self.name]).fetchone()[0]
        return number


class MariaDBStore(Store):
    name = "mariadb"

    def start(self) -> None:
        self.server = self._exits.enter_context(MariaDBServer(options=("innodb-flush-log-at-trx-commit=1",)))
        self._connection = self._exits.enter_context(self.server.connect())

    @property
    def description(self) -> str:
        return f"MariaDB {self._connection.get_server_info()}, flushed at each commit"

    def new_place(self) -> Place:
        name, folder = self._new()
        self.server.create_database(name)
        return _MariaDBPlace(folder, _databases(self.server.settings_of(name)), self._connection)


class _MariaDBPlace(Place):
    def __init__(self, folder: Path, environment: dict[str, str], connection: Any) -> None:
        super().__init__(folder, environment)
        self._connection = connection
        self._own = 0

    def counters(self) -> Counters:
        """Of the whole server, which has no other guests, less what is asked here."""
        with self._connection.cursor() as cursor:
            cursor.execute("SHOW GLOBAL STATUS LIKE 'Questions'")
            self._own += 1
            return Counters(int(cursor.fetchone()[1]) - self._own)


class RedisStore(Store):
    name = "redis"

    def start(self) -> None:
        # Durable as queues should be: the file is flushed once a second, Redis's own default for it.
        config = ["appendonly yes", "appendfsync everysec"]
        self.server = self._exits.enter_context(RedisServer(own=True, config=config))
        self._client = self._exits.enter_context(self.server.client())

    @property
    def description(self) -> str:
        return f"Redis {self._client.info('server')['redis_version']}, appendonly, flushed every second"

    def new_place(self) -> Place:
        _, folder = self._new()
        self._client.flushall()
        # Django itself wants a database, even where nothing is kept in it.
        environment = _databases(sqlite_settings(folder / "db.sqlite3"))
        return _RedisPlace(folder, {**environment, "BENCHMARK_REDIS_URL": self.server.url}, self._client)


class _RedisPlace(Place):
    def __init__(self, folder: Path, environment: dict[str, str], client: Any) -> None:
        super().__init__(folder, environment)
        self._client = client

    def counters(self) -> Counters:
        """Commands by clients; what scripts call within is not sent by anybody, but counted by Redis all the same."""
        stats = self._client.info("commandstats")
        return Counters(sum(stat["calls"] for name, stat in stats.items() if not name.startswith("cmdstat_info")))


STORES: dict[str, type[Store]] = {store.name: store for store in (SqliteStore, PostgresStore, MariaDBStore, RedisStore)}
