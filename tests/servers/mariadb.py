"""A MariaDB server of the tests' own; the environment may name a MySQL server instead."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

from .accounts import unprivileged
from .process import ServerProcess
from .programs import find_mariadb, find_mariadb_installer


class MariaDBServer(ServerProcess):
    """MariaDB on loopback TCP; root has no password. A committed row survives `kill`, though not a power cut.

    `options` are flags of mariadbd without their dashes; any means a server of our own.
    """

    kind = "MariaDB"

    def __init__(self, *, own: bool = False, options: tuple[str, ...] = ()) -> None:
        # Not mariadbd's own --user: the account must hold for the installer too, and for the first open of the log.
        super().__init__(find_mariadb(own=own or bool(options)), account=unprivileged("mysql"))
        given = urlsplit(self.found.url or f"mysql://root@{self.host}:{self.port}/")
        self.port = self.port or 3306
        self.user, self.password = unquote(given.username or "root"), unquote(given.password or "")
        self._options = options
        self._created: list[str] = []

    @property
    def url(self) -> str:
        """The server's URL, with no database, or with the one that the environment names."""
        return self.found.url or f"mysql://{self.user}@{self.host}:{self.port}/"

    def url_of(self, database: str) -> str:
        return urlsplit(self.url)._replace(path=f"/{database}").geturl()

    def settings_of(self, database: str) -> dict[str, Any]:
        """Return what Django's DATABASES says about this database."""
        return {
            "ENGINE": "django.db.backends.mysql",
            "NAME": database,
            "USER": self.user,
            "PASSWORD": self.password,
            "HOST": self.host,
            "PORT": str(self.port),
            "OPTIONS": {"charset": "utf8mb4"},
            "TEST": {"CHARSET": "utf8mb4"},
        }

    def connect(self, database: str | None = None, **options: Any) -> Any:
        """Return a new PyMySQL connection that commits by itself; the caller closes it."""
        import pymysql

        return pymysql.connect(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            database=database,
            **{"autocommit": True, "charset": "utf8mb4", **options},
        )

    def create_database(self, name: str) -> str:
        """Create an empty utf8mb4 database and return its URL."""
        self._execute(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
        self._created.append(name)
        return self.url_of(name)

    def drop_database(self, name: str) -> None:
        self._execute(f"DROP DATABASE IF EXISTS `{name}`")
        if name in self._created:
            self._created.remove(name)

    def close(self) -> None:
        if not self.is_ours:
            for name in list(self._created):
                self.drop_database(name)
        super().close()

    def prepare(self) -> None:
        options = [f"--datadir={self._data}", "--auth-root-authentication-method=normal", "--skip-test-db"]
        # No option file of the machine may lead us to its own server's data.
        self._run([str(find_mariadb_installer()), "--no-defaults", *options])

    def command(self) -> list[str]:
        return [
            str(self.found.program),
            "--no-defaults",
            f"--datadir={self._data}",
            f"--tmpdir={self.folder}",
            f"--socket={self.folder / 'mariadb.sock'}",
            f"--pid-file={self.folder / 'mariadb.pid'}",
            f"--bind-address={self.host}",
            f"--port={self.port}",
            "--skip-name-resolve",
            "--max-connections=200",
            "--character-set-server=utf8mb4",
            # Safe for a killed program, whose writes the kernel keeps.
            "--innodb-flush-log-at-trx-commit=2",
            "--innodb-buffer-pool-size=64M",
            "--innodb-log-file-size=16M",
            *(f"--{option}" for option in self._options),
        ]

    def answers(self) -> bool:
        import pymysql

        try:
            connection = self.connect(connect_timeout=1, read_timeout=1)
        except pymysql.OperationalError:
            return False
        with connection, connection.cursor() as cursor:
            return bool(cursor.execute("SELECT 1"))

    def _execute(self, statement: str) -> None:
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(statement)

    @property
    def _data(self) -> str:
        return str(self.folder / "data")
