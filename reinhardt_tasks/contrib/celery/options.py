"""What `shared_task(…)` and `apply_async(…)` are given, in the words of this package."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from ...jobs import TaskPriority
from ...retries import RetryStrategy
from ...suggestions import did_you_mean
from ...task_options import as_classes

#: Celery's defaults.
MAX_RETRIES, RETRY_DELAY, LONGEST_BACKOFF = 3, 180.0, 600.0

#: Options that say what is so here anyway, or does not matter → the values that may stand.
_IDLE: dict[str, tuple[Any, ...]] = {
    "ignore_result": (True, False, None),
    "track_started": (True, False, None),
    "store_errors_even_if_ignored": (True, False, None),
    "send_events": (True, False, None),
    "trail": (True, False, None),
    "typing": (True, None),
    "acks_late": (True, None),
    "reject_on_worker_lost": (True, None),
    "serializer": ("json", None),
    "throws": (),
}
_WHY = {
    "acks_late": "a task is acknowledged when it has ended, always: one that must not run twice is atomic=True, with @task.",
    "reject_on_worker_lost": "a task whose worker dies always runs again.",
    "serializer": "arguments are JSON, always.",
    "typing": "arguments are always checked when a task is enqueued.",
    "base": "tasks are functions. Put what the class did into a function, and call it.",
    "expires": "nothing expires while it waits. Pass the moment as an argument, and return where it is over.",
    "link": "use a TaskChain: docs, Workflows.",
    "link_error": "use a TaskChain: docs, Workflows.",
    "task_id": "ids are made here: keep the one of the result.",
    "exchange": "name a queue.",
    "routing_key": "name a queue.",
    "headers": "pass it as an argument, or let it travel: docs, Observing.",
    "shadow": "a task has one name.",
    "compression": "arguments are kept as they are.",
    "connection": "TASKS says where tasks go.",
    "producer": "TASKS says where tasks go.",
    "retry": "a store that is away raises QueueError at once.",
    "retry_policy": "a store that is away raises QueueError at once.",
    "time_limit": "say it in the decorator.",
    "soft_time_limit": "say it in the decorator.",
    "max_retries": "say it in the decorator.",
}
_TAKEN = (
    *("name", "bind", "queue", "priority", "backend", "max_retries", "default_retry_delay", "rate_limit"),
    *("autoretry_for", "dont_autoretry_for", "retry_kwargs", "retry_backoff", "retry_backoff_max", "retry_jitter"),
    *("time_limit", "soft_time_limit"),
)
_TAKEN_AT_CALLS = ("queue", "priority", "countdown", "eta")


def task_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `Task` is given for the options of a `shared_task`. Raise TypeError for what cannot be."""
    options = _checked(given, "shared_task", _TAKEN)
    retries = _retries(options)
    found: dict[str, Any] = {
        **_place(options),
        "backend": options.get("backend"),
        "takes_context": bool(options.get("bind", False)),
        "aliases": _aliases(options.get("name")),
        "timeout": _timeout(options),
        "rate_limit": _rate(options.get("rate_limit")),
        "default_retry_delay": float(options.get("default_retry_delay", RETRY_DELAY)),
        "max_attempts": retries + 1,
        **_after_failures(options, retries),
    }
    return {name: value for name, value in found.items() if value is not None}


def call_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `using()` is given for the options of an `apply_async`. Raise TypeError for what cannot be."""
    options = _checked(given, "apply_async", _TAKEN_AT_CALLS)
    countdown, eta = options.get("countdown"), options.get("eta")
    if countdown is not None and eta is not None:
        raise TypeError("apply_async: give countdown or eta, not both.")
    run_after: Any = None if countdown is None else timedelta(seconds=countdown)
    if eta is not None:
        if not isinstance(eta, datetime) or timezone.is_naive(eta):
            raise TypeError(f"apply_async: eta is a datetime with a time zone, not {eta!r}.")
        run_after = eta
    return {**_place(options), "run_after": run_after}


def _checked(given: Mapping[str, Any], what: str, known: Iterable[str]) -> dict[str, Any]:
    """Return the options that say something here."""
    options = dict(given)
    for name, value in given.items():
        if name in known:
            continue
        if name in _IDLE and (not _IDLE[name] or value in _IDLE[name]):
            del options[name]
        elif name in _WHY:
            raise TypeError(f"{what}: {name}={value!r} has no counterpart here: {_WHY[name]}")
        else:
            near = did_you_mean(name, [*known, *_IDLE])
            raise TypeError(f"{what} has no option {name!r}{near}; for this package's own take @task.")
    return options


def _place(options: Mapping[str, Any]) -> dict[str, Any]:
    priority = options.get("priority")
    if priority is not None and not isinstance(priority, TaskPriority):
        raise TypeError(
            f"priority={priority!r}: whether a high number runs first depends on Celery's broker, so say which is meant: "
            "TaskPriority(0) to TaskPriority(9), 9 first, 5 like one without."
        )
    return {"queue_name": options.get("queue"), "priority": priority}


def _retries(options: Mapping[str, Any]) -> int:
    """Return how often a task may be retried: `retry_kwargs` wins, as there."""
    kwargs = options.get("retry_kwargs") or {}
    for name in kwargs.keys() - {"max_retries", "countdown"}:
        raise TypeError(f"shared_task: retry_kwargs has max_retries and countdown here, not {name!r}.")
    retries = kwargs.get("max_retries", options.get("max_retries", MAX_RETRIES))
    if retries is None:
        raise TypeError("shared_task: max_retries=None, retries without end, has no counterpart here: give a number.")
    if isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
        raise TypeError(f"shared_task: max_retries is a whole number, 0 or more, not {retries!r}.")
    return retries


def _after_failures(options: Mapping[str, Any], retries: int) -> dict[str, Any]:
    wanted = as_classes(options.get("autoretry_for") or ())
    if not wanted:
        # There a task is tried again where it asks for it, and for nothing else.
        return {"give_up_on": (BaseException,)}
    return {
        "retry_on": wanted,
        "give_up_on": as_classes(options.get("dont_autoretry_for") or ()),
        "backoff": _backoff(options).with_max_retries(retries),
    }


def _backoff(options: Mapping[str, Any]) -> RetryStrategy:
    factor = float(options.get("retry_backoff") or 0)
    if factor:
        return RetryStrategy(
            initial_delay=int(max(1.0, factor)),
            max_delay=float(options.get("retry_backoff_max", LONGEST_BACKOFF)),
            jitter=bool(options.get("retry_jitter", True)),
        )
    delay = (options.get("retry_kwargs") or {}).get("countdown")
    return RetryStrategy.fixed_delay(options.get("default_retry_delay", RETRY_DELAY) if delay is None else delay)


def _aliases(name: str | None) -> tuple[str, ...] | None:
    if name is None:
        return None
    if "." not in name:
        raise TypeError(f"shared_task: name={name!r} needs a dot; without a name the function's own is taken.")
    return (name,)


def _timeout(options: Mapping[str, Any]) -> float | None:
    limits = [options[name] for name in ("soft_time_limit", "time_limit") if options.get(name) is not None]
    return min(limits, default=None)


def _rate(rate: Any) -> str | None:
    return f"{rate}/s" if isinstance(rate, int) else rate
