"""A PostgreSQL server of the tests' own."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from .accounts import unprivileged
from .process import ServerProcess
from .programs import find_postgres


class PostgresServer(ServerProcess):
    """PostgreSQL on loopback TCP, without passwords. A committed row survives `kill`, though not a power cut.

    `options` are settings of postgresql.conf; any means a server of our own.
    """

    kind = "PostgreSQL"
    # "Fast": SIGTERM would wait until every client has gone.
    stop_signal = signal.SIGINT

    def __init__(self, *, own: bool = False, options: Mapping[str, str | int] | None = None) -> None:
        account = unprivileged("postgres")
        super().__init__(find_postgres(account, own=own or bool(options)), account=account)
        given = urlsplit(self.found.url or f"postgres://postgres@{self.host}:{self.port}/postgres")
        self.port = self.port or 5432
        self.user, self.password = unquote(given.username or "postgres"), unquote(given.password or "")
        self.name = given.path.lstrip("/") or "postgres"
        self._options = dict(options or {})
        self._created: list[str] = []

    @property
    def url(self) -> str:
        """The URL of the database that is always there."""
        return self.url_of(self.name)

    def url_of(self, database: str) -> str:
        return _with_path(self.found.url or f"postgres://{self.user}@{self.host}:{self.port}", database)

    def settings_of(self, database: str) -> dict[str, Any]:
        """Return what Django's DATABASES says about this database."""
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": database,
            "USER": self.user,
            "PASSWORD": self.password,
            "HOST": self.host,
            "PORT": str(self.port),
        }

    def connect(self, database: str = "", **options: Any) -> Any:
        """Return a new psycopg connection that commits by itself; the caller closes it."""
        import psycopg

        return psycopg.connect(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password or None,
            dbname=database or self.name,
            **{"autocommit": True, **options},
        )

    def create_database(self, name: str) -> str:
        """Create an empty database and return its URL."""
        with self.connect() as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        self._created.append(name)
        return self.url_of(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, and whoever is still connected to it."""
        with self.connect() as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        if name in self._created:
            self._created.remove(name)

    def close(self) -> None:
        if not self.is_ours:
            for name in list(self._created):
                self.drop_database(name)
        super().close()

    def prepare(self) -> None:
        program = self.found.program
        assert program is not None
        options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        self._run([str(program.with_name("initdb")), f"--pgdata={self._data}", *options])

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": self.host,
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": 200,
            # Safe for a killed program, whose writes the kernel keeps; synchronous_commit stays on, since it is not.
            "fsync": "off",
            "full_page_writes": "off",
            # Files of the data folder, where POSIX segments would outlive a killed server.
            "dynamic_shared_memory_type": "mmap",
            **self._options,
        }
        flags = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [str(self.found.program), "-D", self._data, *flags]

    def answers(self) -> bool:
        import psycopg

        try:
            with self.connect(connect_timeout=2) as connection:
                return bool(connection.execute("SELECT 1").fetchone())
        except psycopg.OperationalError:
            return False

    @property
    def _data(self) -> str:
        return str(self.folder / "data")


def _with_path(url: str, database: str) -> str:
    return urlsplit(url)._replace(path=f"/{database}").geturl()
