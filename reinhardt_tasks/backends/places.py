"""Where a Redis backend keeps its jobs: options become connections and a broker, one for each alias of this process."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from django.conf import settings as django_settings
from django.db import router

from ..brokers.archiving import ArchivingBroker
from ..brokers.base import Broker
from ..brokers.database import DatabaseBroker
from ..brokers.database.archive import archive
from ..brokers.database.outbox import Outbox
from ..brokers.redis import Connections, RedisBroker, ShardedBroker, Target, redis_url
from ..brokers.redis.seals import Seal
from ..jobs import Job
from ..models import JobRow
from ..options import Problem
from ..speech import gettext as _
from ..suggestions import did_you_mean

if TYPE_CHECKING:
    from .redis import RedisOptions


#: Seconds that a finished task stays in Redis where the database keeps it too.
ARCHIVED_KEEP = 3600.0


def a_mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(_("must be a dictionary of keyword arguments, not {value}").format(value=repr(value)))
    return dict(value)


def nodes(value: Any) -> tuple[tuple[str, int], ...]:
    """Read addresses, given as pairs or as "host:port"."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ValueError(
            _("must be a list of addresses, as in [('10.0.0.1', 26379)], not {value}").format(value=repr(value))
        )
    pairs = []
    for node in value:
        try:
            host, port = node.rsplit(":", 1) if isinstance(node, str) else node
            pairs.append((str(host), int(port)))
        except (TypeError, ValueError):
            raise ValueError(
                _("has {node}, which is no address: write ('10.0.0.1', 26379)").format(node=repr(node))
            ) from None
    return tuple(pairs)


class Place:
    """The broker of one alias, its outbox, and what is wrong with the options that name them."""

    def __init__(self, alias: str, options: RedisOptions) -> None:
        self.alias = alias
        self.options = options
        self.problems: list[Problem] = _contradictions(alias, options)
        self._lock = threading.RLock()
        self._broker: Any = None
        self._outbox: Outbox | None = None

    @property
    def broker(self) -> Broker:
        with self._lock:
            if self._broker is None:
                self._broker = self._build()
            broker: Broker = self._broker
            return broker

    @property
    def outbox(self) -> Outbox:
        _ = self.broker
        assert self._outbox is not None
        return self._outbox

    async def aenqueue(self, jobs: Sequence[Job]) -> list[Job]:
        broker: Any = self.broker
        stored: list[Job] = await broker.aenqueue(jobs)
        return stored

    async def aget(self, id_: str) -> Job | None:
        broker: Any = self.broker
        found: dict[str, Job] = await broker.aget([id_])
        return found.get(id_)

    def _build(self) -> Broker:
        options = self.options
        connections = Connections(_target(self.alias, options))
        is_archived = options.result_backend == "database"
        shards = [
            RedisBroker(
                self.alias,
                connections,
                # What stands in braces decides a key's slot: the keys of one shard lie on one node.
                f"{options.prefix}{{{self.alias}.{number}}}:",
                result_ttl=min(options.result_ttl or ARCHIVED_KEEP, ARCHIVED_KEEP)
                if is_archived
                else options.result_ttl,
                replicas=options.wait_replicas,
                seal=Seal() if options.sign else None,
            )
            for number in range(options.shards)
        ]
        broker: RedisBroker | ShardedBroker = shards[0] if options.shards == 1 else ShardedBroker(shards)
        if options.outbox:
            self._outbox = Outbox(self.alias, broker, options.database)
            broker.chores.append(self._outbox.relay)
        if not is_archived:
            return broker
        database = options.database or router.db_for_write(JobRow) or "default"
        return ArchivingBroker(
            broker, DatabaseBroker(self.alias, database), partial(archive, database=database), ARCHIVED_KEEP
        )


def place_of(alias: str, params: Mapping[str, Any], options: RedisOptions) -> Place:
    """Return the place of an alias: the same for all threads, as long as its settings are the same object."""
    known = _PLACES.get(alias)
    if known is None or known[0] is not params:
        known = _PLACES[alias] = (params, Place(alias, options))
    return known[1]


_PLACES: dict[str, tuple[Mapping[str, Any], Place]] = {}


def _target(alias: str, options: RedisOptions) -> Target:
    if options.cache:
        return _cache_target(options)
    kwargs = dict(options.connection)
    if options.sentinels:
        return Target(sentinels=options.sentinels, service=options.service, kwargs=kwargs)
    url = options.url or f"redis://{kwargs.pop('host', '127.0.0.1')}:{kwargs.pop('port', 6379)}/{kwargs.pop('db', 0)}"
    if kwargs.pop("ssl", False):
        url = url.replace("redis://", "rediss://", 1)
    return Target(url=url, cluster=options.cluster, kwargs=kwargs)


def _cache_target(options: RedisOptions) -> Target:
    """Take over a django-redis alias: its location, credentials and TLS. Its pool and timeouts are made for a cache."""
    given = django_settings.CACHES[options.cache or ""]
    its = given.get("OPTIONS", {})
    location = given["LOCATION"]
    url = location.split(",")[0] if isinstance(location, str) else location[0]
    kwargs = {
        name: its[key] for key, name in (("PASSWORD", "password"), ("USERNAME", "username")) if its.get(key) is not None
    }
    # What says how to connect (TLS above all) is taken over; the sizes and timeouts of a cache's pool are not.
    pool = its.get("CONNECTION_POOL_KWARGS", {})
    kwargs |= {key: value for key, value in pool.items() if key.startswith("ssl") or key in ("protocol", "client_name")}
    kwargs |= options.connection
    sentinels = nodes(its.get("SENTINELS", ()))
    if sentinels:
        parts = redis_url(url)
        service = parts.pop("host", "")
        parts.pop("port", None)
        kwargs = {**parts, **kwargs}
        return Target(
            url=url, sentinels=sentinels, service=service, kwargs=kwargs, sentinel_kwargs=its.get("SENTINEL_KWARGS", {})
        )
    return Target(url=url, cluster=options.cluster, kwargs=kwargs)


def _contradictions(alias: str, options: RedisOptions) -> list[Problem]:
    where = f"TASKS[{alias!r}]['OPTIONS']"
    problems = []
    ways = [name for name in ("url", "cache", "sentinels") if getattr(options, name)]
    if len(ways) > 1:
        names = " and ".join(name.upper() for name in ways)
        problems.append(
            Problem(
                "E020",
                _("{where} names its server more than once: {names}.").format(where=where, names=names),
                _("Keep one of them."),
            )
        )
    if options.cluster and options.wait_replicas:
        problems.append(
            Problem(
                "E020",
                _("{where} has both CLUSTER and WAIT_REPLICAS.").format(where=where),
                _("A Cluster's nodes have replicas each of their own: let the servers wait, by min-replicas-to-write."),
            )
        )
    if options.cluster and options.sentinels:
        problems.append(
            Problem(
                "E020",
                _("{where} has both CLUSTER and SENTINELS.").format(where=where),
                _("A Cluster has no Sentinels."),
            )
        )
    if options.url and options.url.partition("://")[0] not in ("redis", "rediss", "unix"):
        problems.append(
            Problem(
                "E021",
                _("{where}['URL'] must begin with redis://, rediss:// or unix://.").format(where=where),
                _("Write it as redis://user:password@host:6379/0."),
            )
        )
    if options.cache:
        problems += _cache_problems(where, options.cache)
    if options.result_backend not in (None, "database"):
        problems.append(
            Problem(
                "E023",
                _("{where}['RESULT_BACKEND'] is {result_backend}, which is no place for results.").format(
                    where=where, result_backend=repr(options.result_backend)
                ),
                _("Write 'database', or leave it out: results are kept in Redis then."),
            )
        )
    if options.database and options.database not in django_settings.DATABASES:
        problems.append(
            Problem(
                "E010",
                _("{where}['DATABASE'] is {database}, which DATABASES does not have{hint}.").format(
                    where=where,
                    database=repr(options.database),
                    hint=did_you_mean(options.database, django_settings.DATABASES),
                ),
                _("Name one of DATABASES, or leave it out."),
            )
        )
    return problems


def _cache_problems(where: str, cache: str) -> list[Problem]:
    given = django_settings.CACHES.get(cache)
    if given is None:
        return [
            Problem(
                "E022",
                _("{where}['CACHE'] is {cache}, which CACHES does not have{hint}.").format(
                    where=where, cache=repr(cache), hint=did_you_mean(cache, django_settings.CACHES)
                ),
                _("Name an alias of CACHES, or use 'URL'."),
            )
        ]
    if "django_redis" not in given.get("BACKEND", "") or not given.get("LOCATION"):
        return [
            Problem(
                "E022",
                _("{where}['CACHE'] is {cache}, which is no cache of django-redis: {backend}.").format(
                    where=where, cache=repr(cache), backend=given.get("BACKEND")
                ),
                _("Use a cache with the backend django_redis.cache.RedisCache, or 'URL'."),
            )
        ]
    return []
