"""What is sent by a connection that stays at hand: it is used again while it is good, and never with another's answer in it."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from asgiref.sync import sync_to_async

from reinhardt_tasks.brokers.redis import Connections, Target
from reinhardt_tasks.jobs import Succeeded
from tests.servers import RedisServer, wait_until

from .promises.base import ids_of, new_job, new_worker
from .proxy import Proxy
from .redis_makers import Make, make
from .redis_stage import own_server, proxy

__all__ = ["make", "own_server", "proxy"]

Open = Callable[..., Connections]


def test_a_failover_behind_a_name_needs_no_new_process(make: Make) -> None:
    """The master of before keeps its connections, and answers READONLY on them for ever."""
    with RedisServer(own=True) as old, RedisServer(own=True) as new, Proxy(old.host, old.port) as name:
        broker, worker = make(name.url), new_worker(lease=300)

        async def acts() -> Any:
            """Do all that opens connections, side by side."""
            await broker.aenqueue([new_job()])
            with ThreadPoolExecutor(3) as threads:
                list(threads.map(lambda _: broker.enqueue([new_job()]), range(3)))
            broker.heartbeat(worker)
            broker.wait(None, 0.01)
            yield
            (job,) = await broker.aenqueue([new_job()])
            yield await broker.aget([job.id])

        async def scenario() -> Any:
            steps = acts()
            await anext(steps)
            (claim,) = broker.claim(None, 1, worker)
            assert broker.wait(["none"], 0.01) is False
            with old.client() as was, new.client() as will:
                will.replicaof(old.host, old.port)
                await sync_to_async(wait_until)(lambda: was.wait(1, 100) == 1, "the replica has all")
                will.replicaof("NO", "ONE")
                name.lead_to(new.host, new.port)
                was.replicaof(new.host, new.port)
            found = await anext(steps)
            return claim, found

        claim, found = asyncio.run(scenario())
        assert len(found) == 1
        assert broker.settle([Succeeded(claim=claim)]) == []
        assert broker.wait(["none"], 0.01) is False
        assert broker.heartbeat(worker).held == {}
        assert len(broker.claim(None, 10, worker)) == 4
        assert ids_of(broker.enqueue([job := new_job()])) == [job.id]
        with new.client() as client:
            assert client.exists(f"{broker.base}job:{job.id}")


@pytest.fixture
def connect() -> Iterator[Open]:
    opened: list[Connections] = []

    def connect(url: str, **kwargs: Any) -> Connections:
        opened.append(Connections(Target(url=url, kwargs=kwargs)))
        return opened[-1]

    yield connect
    for each in opened:
        each.close()


def test_commands_one_after_the_other_share_a_connection(redis_server: RedisServer, connect: Open) -> None:
    connections = connect(redis_server.url)
    ids = {connections.send("CLIENT", "ID") for _ in range(9)}
    assert len(ids) == 1


def test_commands_side_by_side_have_connections_of_their_own(redis_server: RedisServer, connect: Open) -> None:
    connections = connect(redis_server.url)
    answers: dict[str, Any] = {}

    def wait(name: str) -> None:
        answers[name] = connections.send("BLPOP", f"test:side:{name}", 4)

    threads = [threading.Thread(target=wait, args=[name]) for name in ("one", "two")]
    with redis_server.client() as client:
        for thread in threads:
            thread.start()
        wait_until(lambda: client.info("clients")["blocked_clients"] >= 2, "both wait")
        for name in ("two", "one"):
            client.rpush(f"test:side:{name}", f"for {name}")
        for thread in threads:
            thread.join()
    assert answers == {name: [f"test:side:{name}", f"for {name}"] for name in ("one", "two")}


def test_a_connection_that_was_closed_meanwhile_costs_nothing(redis_server: RedisServer, connect: Open) -> None:
    connections = connect(redis_server.url)
    with redis_server.client() as client:
        for number in range(1, 4):
            client.client_kill_filter(_id=connections.send("CLIENT", "ID"))
            assert connections.send("INCR", "test:closed") == number
        client.delete("test:closed")


def test_what_is_refused_leaves_the_connection_as_it_was(redis_server: RedisServer, connect: Open) -> None:
    connections = connect(redis_server.url)
    before = connections.send("CLIENT", "ID")
    with pytest.raises(redis.ResponseError):
        connections.send("NO SUCH", "COMMAND")
    assert connections.send("CLIENT", "ID") == before


def test_an_answer_that_comes_too_late_is_nobody_elses(redis_server: RedisServer, connect: Open) -> None:
    connections = connect(redis_server.url, socket_timeout=0.2)
    connections.send("PING")
    with pytest.raises(redis.TimeoutError):
        connections.send("BLPOP", "test:late", 1)
    assert [connections.send("ECHO", word) for word in ("one", "two")] == ["one", "two"]


class _Stopped(BaseException):
    pass


def test_the_answer_of_a_command_that_was_left_is_nobody_elses(
    redis_server: RedisServer, connect: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task may be stopped at any moment: here before it reads."""
    connections = connect(redis_server.url)
    connections.send("PING")
    (connection,) = connections._at_hand[1]

    def stop() -> None:
        raise _Stopped

    with monkeypatch.context() as patch, pytest.raises(_Stopped):
        patch.setattr(connection, "read_response", stop)
        connections.send("ECHO", "left")
    assert [connections.send("ECHO", word) for word in ("one", "two")] == ["one", "two"]


def test_it_is_tried_four_times_in_all(proxy: Proxy, connect: Open) -> None:
    connections = connect(proxy.url)
    connections.send("PING")
    proxy.lose("test:tries", times=3)
    assert connections.send("INCR", "test:tries") == 4
    proxy.lose("test:tries", times=4)
    with pytest.raises(redis.ConnectionError):
        connections.send("INCR", "test:tries")
    assert connections.send("GETDEL", "test:tries") == "8"


def test_a_forked_child_has_connections_of_its_own(redis_server: RedisServer, connect: Open) -> None:
    connections = connect(redis_server.url)
    before = connections.send("CLIENT", "ID")
    reader, writer = os.pipe()
    if not os.fork():
        os.write(writer, str(connections.send("CLIENT", "ID")).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        childs = int(pipe.read())
    os.wait()
    assert childs != before
    assert connections.send("CLIENT", "ID") == before


def test_closing_leaves_none_open(own_server: RedisServer, connect: Open) -> None:
    connections = connect(own_server.url)
    connections.send("CLIENT", "SETNAME", "mine")
    with own_server.client() as client:
        assert "mine" in {each["name"] for each in client.client_list()}
        connections.close()
        wait_until(lambda: "mine" not in {each["name"] for each in client.client_list()}, "it is closed")


def test_what_is_at_hand_takes_no_place_from_others(redis_server: RedisServer, connect: Open) -> None:
    connections = connect(redis_server.url, max_connections=1)
    assert connections.send("PING") == "PONG"
    with connections.sender.pipeline(transaction=False) as pipeline:
        assert pipeline.ping().execute() == [True]
    assert connections.send("PING") == "PONG"


def test_after_a_failover_nothing_goes_to_the_former_master(
    redis_server: RedisServer, own_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be reached still, takes what it is sent, and loses all of it when it follows the new one."""
    masters = [redis_server]
    monkeypatch.setattr(
        "redis.sentinel.Sentinel.discover_master", lambda *args, **kwargs: (masters[-1].host, masters[-1].port)
    )
    connections = Connections(Target(sentinels=(("127.0.0.1", 1),), service="master"))
    port = ("CONFIG", "GET", "port")
    assert connections.send(*port) == {"port": str(redis_server.port)}
    masters.append(own_server)
    pool = connections.sender.connection_pool
    # A second connection, while the first is used: it is the one that learns where the master is.
    for connection in [pool.get_connection(), pool.get_connection()]:
        pool.release(connection)
    assert connections.send(*port) == {"port": str(own_server.port)}
    connections.close()
