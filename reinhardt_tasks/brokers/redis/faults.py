"""What Redis says when it cannot, as one error that says what to do."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import redis

from ...exceptions import JobsRefused, QueueError

if TYPE_CHECKING:
    from .broker import RedisBroker

T = TypeVar("T")

#: A socket that was closed under a reader shows as one of the last two.
FAULTS = (redis.RedisError, OSError, ValueError)

_CODES: tuple[tuple[type[Exception], str], ...] = (
    (redis.exceptions.OutOfMemoryError, "OOM"),
    (redis.exceptions.ReadOnlyError, "READONLY"),
    (redis.exceptions.NoPermissionError, "NOPERM"),
    (redis.exceptions.AuthenticationError, "WRONGPASS"),
    (redis.exceptions.BusyLoadingError, "LOADING"),
    # This one is a kind of the next.
    (redis.exceptions.MasterDownError, "MASTERDOWN"),
    (redis.exceptions.ClusterDownError, "CLUSTERDOWN"),
)

#: The beginning of an error, and what to do about it. The first that fits is told.
_CURES = (
    ("OOM", "Its memory is full: raise maxmemory, or let finished tasks go sooner (OPTIONS['RESULT_TTL'])."),
    ("READONLY", "It is a replica: let OPTIONS name the master, or the Sentinels (OPTIONS['SENTINELS'])."),
    ("NOAUTH", "It wants a password: put it into the URL, redis://:password@host."),
    # What it says to a stranger who sends a long command.
    ("UNAUTHENTICATED", "It wants a password: put it into the URL, redis://:password@host."),
    ("WRONGPASS", "It does not take this user and password."),
    ("NOPERM", "Its user may not do this: the manual (Redis, ACL) says what it has to be allowed."),
    ("CAN'T RUN THIS COMMAND", "Its user may not do this: the manual (Redis, ACL) says what it has to be allowed."),
    ("LOADING", "It is reading its data from disk: wait for it."),
    ("MISCONF", "It cannot write to its disk, and therefore takes nothing: see its log."),
    ("CLUSTERDOWN", "Slots of the cluster are not served: see CLUSTER INFO."),
    ("MASTERDOWN", "Its master is away: wait for the failover."),
    ("WRONGTYPE", "Something else has written to this key: delete it, or choose another OPTIONS['PREFIX']."),
)


#: The code of an error, as it stands alone, and as Redis 6.2 writes that of one that comes out of a script.
_CODE = re.compile(r"^-?([A-Z]{3,}) |: -([A-Z]{3,}) ")


def guarded(broker: RedisBroker, work: Callable[[], T], *, brings_jobs: bool = False) -> T:
    """Run `work` and return what it does; raise QueueError for whatever Redis or the way to it says.

    With `brings_jobs` that is JobsRefused where it is said of these jobs and not of the server.
    """
    try:
        try:
            return work()
        except redis.ResponseError as exc:
            if not _is_said_by_a_replica(exc):
                raise
        # It has written nothing. Behind a name or a proxy there may be another master by now, while the one of before keeps its
        # connections open.
        broker.connections.renew()
        return work()
    except FAULTS as exc:
        raise _kind(exc, brings_jobs)(sentence(broker, exc)) from exc


async def aguarded(broker: RedisBroker, work: Callable[[], Awaitable[T]], *, brings_jobs: bool = False) -> T:
    """See guarded()."""
    try:
        try:
            return await work()
        except redis.ResponseError as exc:
            if not _is_said_by_a_replica(exc):
                raise
        await broker.connections.arenew()
        return await work()
    except FAULTS as exc:
        raise _kind(exc, brings_jobs)(sentence(broker, exc)) from exc


def _is_said_by_a_replica(exc: redis.ResponseError) -> bool:
    code = _CODE.search(str(exc))
    return isinstance(exc, redis.exceptions.ReadOnlyError) or code is not None and "READONLY" in code.groups()


def _kind(exc: BaseException, brings_jobs: bool) -> type[QueueError]:
    return JobsRefused if brings_jobs and _is_said_of_jobs(exc) else QueueError


def sentence(broker: RedisBroker, exc: BaseException) -> str:
    reason = str(exc).strip().rstrip(".") or type(exc).__name__
    # redis-py takes the code off the message of those errors that have a class of their own.
    code = getattr(exc, "status_code", None) or next((code for kind, code in _CODES if isinstance(exc, kind)), "")
    cure = "Is it running, and can this machine reach it?" if isinstance(exc, (redis.ConnectionError, OSError)) else ""
    # Redis 6.2 puts a dash before the code of an error that comes out of a script.
    words = f" {code} {reason.upper()} ".replace(" -", " ")
    cure = next((text for start, text in _CURES if f" {start} " in words), cure)
    return f"The task queue in {broker.connections.target.place} failed: {reason}. {cure}".rstrip()


def _is_said_of_jobs(exc: BaseException) -> bool:
    if isinstance(exc, (UnicodeError, redis.DataError)):
        return True
    # What a server says of itself has a class or a code of its own, and a proxy says what it likes. What a script stumbles over
    # names the script, unless somebody has ended it.
    words, code = str(exc), _CODE.search(str(exc))
    stumbled = code is None and "user_script" in words and "killed" not in words.lower()
    return type(exc) is redis.ResponseError and (stumbled or code is not None and "WRONGTYPE" in code.groups())


def is_refusal(answer: object) -> bool:
    """Return whether one of several answers is an error that is not the fault of the one key that was asked for."""
    return isinstance(answer, redis.RedisError) and "WRONGTYPE" not in str(answer)
