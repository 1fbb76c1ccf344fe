"""Servers, databases and random choices for all tests, and the words at the end of a run about what was not tested."""

from __future__ import annotations

import gc
import os
import pkgutil
import random
from collections.abc import Callable, Generator, Iterator
from importlib import import_module
from typing import Any

import pytest

import reinhardt_tasks

pytest.register_assert_rewrite("tests.brokers.contract", "tests.brokers.promises")

from tests import databases  # noqa: E402
from tests.servers import MariaDBServer, PostgresServer, RedisServer, ServerMissing, ServerProcess  # noqa: E402
from tests.settings import remove_own_folder, sqlite  # noqa: E402

SEED = "REINHARDT_TEST_SEED"

#: Kind of server → (where it came from, or what is missing; whether it was there).
servers_seen = pytest.StashKey[dict[str, tuple[str, bool]]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[servers_seen] = {}
    # In the environment, so that the worker processes of xdist share it.
    os.environ.setdefault(SEED, str(random.SystemRandom().randrange(1_000_000)))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """Collect without the garbage collector, and keep what was collected out of its sight.

    Each of its full rounds would walk over all tests and modules, in vain. And until 3.11.8 and 3.12.2 Python could not parse
    (SystemError: "AST constructor recursion depth mismatch") while the collector ran code in which another was parsed:
    https://github.com/python/cpython/issues/106905
    """
    gc.disable()
    try:
        answer = yield
        _import_the_rest()
        return answer
    finally:
        gc.freeze()
        gc.enable()


def _import_the_rest() -> None:
    """Import what tests would import as they run: pytest parses all modules of a distribution that has a plugin."""
    for each in pkgutil.walk_packages(reinhardt_tasks.__path__, "reinhardt_tasks."):
        # What is beside Django there may be missing.
        if not each.name.startswith("reinhardt_tasks.contrib."):
            import_module(each.name)


def pytest_unconfigure() -> None:
    # Not left to the end of the process: worker processes of xdist end without a goodbye.
    remove_own_folder()


def pytest_report_header() -> str:
    return f"random choices: {SEED}={os.environ[SEED]}"


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Random choices that repeat themselves with REINHARDT_TEST_SEED, whichever tests run beside this one."""
    return random.Random(f"{os.environ[SEED]} {request.node.nodeid}")


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    yield from _served(request.config, PostgresServer)


@pytest.fixture(scope="session")
def mariadb_server(request: pytest.FixtureRequest) -> Iterator[MariaDBServer]:
    yield from _served(request.config, MariaDBServer)


@pytest.fixture(scope="session")
def redis_server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    yield from _served(request.config, RedisServer)


# One server for each process of xdist: they start within a second, and nobody has to wait for anybody at the end.
def _served(config: pytest.Config, kind: Callable[[], Any]) -> Iterator[Any]:
    try:
        server: ServerProcess = kind()
    except ServerMissing as missing:
        config.stash[servers_seen][kind.kind] = (str(missing), False)
        if os.environ.get("CI") or os.environ.get("REINHARDT_REQUIRE_SERVERS") == "1":
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(f"No {kind.kind} server: see “servers and seed” at the end.")
    config.stash[servers_seen][server.kind] = (server.found.source, True)
    with server:
        yield server


@pytest.fixture(scope="session")
def sqlite_database(django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = tmp_path_factory.mktemp("databases") / "sqlite.sqlite3"
    with databases.added("sqlite", sqlite(path), django_db_blocker) as alias:
        yield alias


@pytest.fixture(scope="session")
def postgres_database(django_db_blocker: Any, postgres_server: PostgresServer) -> Iterator[str]:
    yield from _on_server(django_db_blocker, "postgres", postgres_server)


@pytest.fixture(scope="session")
def mariadb_database(django_db_blocker: Any, mariadb_server: MariaDBServer) -> Iterator[str]:
    yield from _on_server(django_db_blocker, "mariadb", mariadb_server)


def _on_server(blocker: Any, alias: str, server: PostgresServer | MariaDBServer) -> Iterator[str]:
    name = databases.name_of_this_process()
    server.create_database(name)
    with databases.added(alias, server.settings_of(name), blocker):
        yield alias


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def database_alias(request: pytest.FixtureRequest, django_db_blocker: Any) -> Iterator[str]:
    """The alias of a database without rows, to which the test may commit: each vendor in turn."""
    if request.node.get_closest_marker("django_db"):
        raise pytest.UsageError(f"{request.node.nodeid}: `database_alias` does without the mark `django_db`.")
    alias = request.getfixturevalue(f"{request.param}_database")
    with django_db_blocker.unblock():
        databases.emptied(alias)
        yield alias


def pytest_sessionfinish(session: pytest.Session) -> None:
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["servers_seen"] = session.config.stash[servers_seen]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what a worker process of xdist has seen."""
    node.config.stash[servers_seen].update(getattr(node, "workeroutput", {}).get("servers_seen", {}))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    seen = config.stash[servers_seen]
    terminalreporter.section("servers and seed")
    for kind, (words, was_there) in sorted(seen.items()):
        if was_there:
            terminalreporter.write_line(f"{kind}: {words}")
        else:
            terminalreporter.write_line(f"{kind}: NOTHING WAS TESTED ON IT. {words}", red=True, bold=True)
    terminalreporter.write_line(f"{SEED}={os.environ[SEED]} repeats this run's random choices.")
