"""Ways to a Redis: standalone, through Sentinels, or a Cluster; for sync and async code, one pool each and process.

There are three kinds of client. `sender` sends again after a lost connection, since what it sends may be done twice; `send`
does the same with less ado. `taker` does not: it claims, and a claim that is sent again would take more. `sleeper` waits in
BLPOP for longer than any timeout for answers would allow. None is shared with django-redis, whose pools are keyed by URL
alone and have timeouts that end a blocking call.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.retry import Retry

T = TypeVar("T")

#: Seconds for connecting and for an answer; a CLIENT PAUSE or a suspended server shows as a timeout after this.
TIMEOUT = 5.0
#: Times that a sender tries again, about 0.05, 0.1, 0.2 s apart.
RETRIES = 3

_LOST = (redis.ConnectionError, redis.TimeoutError)


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where a Redis is: one of `url`, `sentinels` with `service`, or a `url` of a cluster's node with `cluster`."""

    url: str = "redis://127.0.0.1:6379/0"
    sentinels: tuple[tuple[str, int], ...] = ()
    service: str = ""
    cluster: bool = False
    #: Further keyword arguments of redis-py's connections, and of the connections to Sentinels.
    kwargs: Mapping[str, Any] = field(default_factory=dict, hash=False)
    sentinel_kwargs: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def place(self) -> str:
        """Return where it is, for people: no name of a user, no password."""
        if self.sentinels:
            return f"Redis {self.service!r} by Sentinels {', '.join(f'{host}:{port}' for host, port in self.sentinels)}"
        scheme, _, rest = self.url.partition("://")
        return f"{'Redis Cluster' if self.cluster else 'Redis'} {scheme}://{rest.rpartition('@')[2].partition('?')[0]}"


class Connections:
    """The clients of one Target. Safe with threads and forks: a child gets clients of its own."""

    def __init__(self, target: Target) -> None:
        self.target = target
        # One thread may take it twice: who closes everything looks at what is at hand.
        self._lock = threading.RLock()
        self._clients: dict[tuple[str, int], Any] = {}
        #: The process whose they are, and its connections that nobody uses just now and that `send` has used before.
        self._at_hand: tuple[int, list[Any]] = (0, [])
        #: The client of each event loop, and the generator that closes it with the loop.
        self._async: dict[asyncio.AbstractEventLoop, tuple[Any, AsyncGenerator[None]]] = {}

    @property
    def sender(self) -> Any:
        return self._client("sender", retries=RETRIES)

    def send(self, *command: Any) -> Any:
        """Send one command as `sender` does, and return its answer.

        Its connections stay at hand: what redis-py does to lend one, look whether it was closed, and take it back costs as
        much as a small command. Whether it was closed shows in its use, and then the same is sent over a new one. Not in a
        Cluster, nor by Sentinels: there redis-py looks, too, whether a connection leads to where the master is now.
        """
        if self.target.cluster or self.target.sentinels:
            return self.sender.execute_command(*command)
        at_hand = self._connections_at_hand()
        try:
            connection = at_hand.pop()
        except IndexError:
            connection = self._resender.connection_pool.get_connection()
        try:
            connection.send_command(*command)
            answer = connection.read_response()
        except redis.ResponseError:
            at_hand.append(connection)
            raise
        except BaseException as exc:
            # Its answer may come yet, and is nobody else's.
            connection.disconnect()
            self._resender.connection_pool.release(connection)
            if isinstance(exc, _LOST):
                return self._resender.execute_command(*command)
            raise
        at_hand.append(connection)
        return answer

    def send_together(self, work: Callable[[Callable[..., Any]], T]) -> T:
        """Run `work(send)`, whose commands all go over one connection; where that is lost, all of `work` is done again."""

        def attempt() -> T:
            pool = self.taker.connection_pool
            connection = pool.get_connection()

            def send(*command: Any) -> Any:
                connection.send_command(*command)
                return connection.read_response()

            try:
                return work(send)
            except BaseException:
                connection.disconnect()
                raise
            finally:
                pool.release(connection)

        return Retry(ExponentialBackoff(base=0.05), RETRIES).call_with_retry(attempt, lambda exc: None)

    async def asend_together(self, work: Callable[[Callable[..., Awaitable[Any]]], Awaitable[T]]) -> T:
        """See send_together()."""
        client = await self.asender()

        async def attempt() -> T:
            pool = client.connection_pool
            connection = await pool.get_connection()

            async def send(*command: Any) -> Any:
                await connection.send_command(*command)
                return await connection.read_response()

            try:
                return await work(send)
            except BaseException:
                await connection.disconnect(nowait=True)
                raise
            finally:
                await pool.release(connection)

        async def do_nothing(exc: Exception) -> None: ...

        return await AsyncRetry(ExponentialBackoff(base=0.05), RETRIES).call_with_retry(attempt, do_nothing)

    @property
    def taker(self) -> Any:
        return self._client("taker", retries=0)

    @property
    def sleeper(self) -> Any:
        return self._client("sleeper", retries=0, socket_timeout=None)

    async def asender(self) -> Any:
        """Return the client of the running event loop.

        A loop may be a short one: under WSGI each call of an async view has its own. What it had open is closed with it.
        """
        loop = asyncio.get_running_loop()
        if loop not in self._async:
            for closed in [each for each in list(self._async) if each.is_closed()]:
                # Closed by somebody who does not end its generators first.
                self._async.pop(closed, None)
            client = self._make_async()
            until_the_end = self._closing(loop, client)
            self._async[loop] = client, until_the_end
            await anext(until_the_end)
        return self._async[loop][0]

    async def _closing(self, loop: asyncio.AbstractEventLoop, client: Any) -> AsyncGenerator[None]:
        """Close a client when its loop ends: `asyncio.run` and asgiref end the generators that are open in a loop before it."""
        try:
            yield
        finally:
            self._async.pop(loop, None)
            await client.aclose()

    def renew(self) -> None:
        """Let go of the connections that nobody uses just now: what comes next is sent over new ones."""
        at_hand = self._connections_at_hand()
        with suppress(IndexError):
            while True:
                connection = at_hand.pop()
                connection.disconnect()
                self._resender.connection_pool.release(connection)
        for (_, pid), client in list(self._clients.items()):
            if pid == os.getpid() and not self.target.cluster:
                client.connection_pool.disconnect(inuse_connections=False)

    async def arenew(self) -> None:
        """See renew(); for those of the running event loop."""
        if not self.target.cluster:
            await (await self.asender()).connection_pool.disconnect(inuse_connections=False)

    def close(self) -> None:
        with self._lock:
            at_hand = self._connections_at_hand()
            while at_hand:
                at_hand.pop().disconnect()
            for (_, pid), client in self._clients.items():
                if pid == os.getpid():
                    client.close()
            self._clients.clear()

    @property
    def _resender(self) -> Any:
        """What sends again has tried once already. Its pool is that of the connections at hand, which never go back to it."""
        return self._client("resender", retries=RETRIES - 1)

    def _connections_at_hand(self) -> list[Any]:
        pid = os.getpid()
        if self._at_hand[0] != pid:
            with self._lock:
                if self._at_hand[0] != pid:
                    self._at_hand = (pid, [])
        return self._at_hand[1]

    def _client(self, kind: str, *, retries: int, **kwargs: Any) -> Any:
        key = (kind, os.getpid())
        client = self._clients.get(key)
        if client is None:
            with self._lock:
                if key not in self._clients:
                    self._clients[key] = self._make(
                        Retry(ExponentialBackoff(base=0.05) if retries else NoBackoff(), retries), kwargs
                    )
                client = self._clients[key]
        return client

    def _common(self, retry: Any) -> dict[str, Any]:
        return {
            "socket_timeout": TIMEOUT,
            "socket_connect_timeout": TIMEOUT,
            "decode_responses": True,
            # A damaged value must not break the connection that reads it.
            "encoding_errors": "replace",
            "retry": retry,
            "retry_on_error": list(_LOST),
            "max_connections": 1000,
            # A socket of this machine has nothing to keep alive, and takes no such option.
            **({} if self.target.url.startswith("unix:") else {"socket_keepalive": True}),
            **self.target.kwargs,
        }

    def _make(self, retry: Retry, extra: Mapping[str, Any]) -> Any:
        kwargs = {**self._common(retry), **extra}
        if self.target.cluster:
            # The cluster's client tries again by moved slots and lost nodes, not by errors that we name.
            kwargs.pop("retry_on_error")
            return redis.cluster.RedisCluster.from_url(self.target.url, require_full_coverage=False, **kwargs)
        if self.target.sentinels:
            sentinel = redis.sentinel.Sentinel(  # type: ignore[no-untyped-call]
                list(self.target.sentinels),
                sentinel_kwargs={"socket_timeout": 1.0, "decode_responses": True, **self.target.sentinel_kwargs},
                **kwargs,
            )
            return sentinel.master_for(self.target.service)  # type: ignore[no-untyped-call]
        return redis.Redis(connection_pool=redis.ConnectionPool.from_url(self.target.url, **kwargs))

    def _make_async(self) -> Any:
        kwargs = self._common(AsyncRetry(ExponentialBackoff(base=0.05), RETRIES))
        if self.target.cluster:
            kwargs.pop("retry_on_error")
            return redis.asyncio.cluster.RedisCluster.from_url(self.target.url, require_full_coverage=False, **kwargs)
        if self.target.sentinels:
            sentinel = redis.asyncio.sentinel.Sentinel(  # type: ignore[no-untyped-call]
                list(self.target.sentinels),
                sentinel_kwargs={"socket_timeout": 1.0, "decode_responses": True, **self.target.sentinel_kwargs},
                **kwargs,
            )
            return sentinel.master_for(self.target.service)
        # "From" a pool: it is closed with this one.
        return redis.asyncio.Redis.from_pool(redis.asyncio.ConnectionPool.from_url(self.target.url, **kwargs))


def redis_url(url: str) -> dict[str, Any]:
    """Return what a Redis URL says as keyword arguments: host, port, db, username, password."""
    parts: dict[str, Any] = redis.connection.parse_url(url)  # type: ignore[no-untyped-call]
    parts.pop("connection_class", None)
    return parts
