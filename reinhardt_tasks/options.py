"""What an alias of `TASKS` may say, read and checked in one place.

A field is an option, under its name in capitals. Its reader turns the setting into the value, or raises ValueError with
the rest of the sentence "OPTIONS['LEASE'] …". Nothing here raises for bad settings: problems are collected, so that
`manage.py check` can show all of them at once.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any, TypeVar

from django.utils.module_loading import import_string

from ._compat import CoreTask
from .jobs import Job
from .queues import QueueConfig, is_queue_name
from .retries import Backoff, RetryPolicy, RetryStrategy
from .speech import gettext as _
from .suggestions import did_you_mean

DAY = 86_400.0


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with the settings: a check id's number, a sentence, and the way out."""

    code: str
    message: str
    hint: str

    def __str__(self) -> str:
        return f"{self.message} {self.hint}"


Reader = Callable[[Any], Any]


def option(default: Any, reader: Reader) -> Any:
    """Declare an option. `default` may be a value that cannot change, or a function that makes one."""
    metadata = {"reader": reader}
    return (
        field(default_factory=default, metadata=metadata)
        if callable(default)
        else field(default=default, metadata=metadata)
    )


def a_duration(least: float = 0.0, *, none: bool = False) -> Reader:
    """Read seconds, as a number or a timedelta, above `least`; with `none`, None too."""

    def read(value: Any) -> float | None:
        if value is None and none:
            return None
        number = value.total_seconds() if isinstance(value, timedelta) else value
        if (
            isinstance(number, bool)
            or not isinstance(number, (int, float))
            or not math.isfinite(number)
            or number <= least
        ):
            raise ValueError(
                _("must be seconds above {least}, or a timedelta{more}, not {value}").format(
                    least=f"{least:g}", more=_(", or None") if none else "", value=repr(value)
                )
            )
        return float(number)

    return read


def a_number(least: int, *, none: bool = False) -> Reader:
    """Read a whole number from `least` on; with `none`, None too."""

    def read(value: Any) -> int | None:
        if value is None and none:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(
                _("must be a whole number from {least} on{more}, not {value}").format(
                    least=least, more=_(", or None") if none else "", value=repr(value)
                )
            )
        return value

    return read


def a_flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(_("must be True or False, not {value}").format(value=repr(value)))
    return value


def a_text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(_("must be a text, not {value}").format(value=repr(value)))
    return value


def a_text_or_none(value: Any) -> str | None:
    return None if value is None else a_text(value)


def a_backoff(value: Any) -> Backoff:
    if isinstance(value, str):
        try:
            value = import_string(value)
        except ImportError as exc:
            raise ValueError(
                _("names {value}, which cannot be imported: {exc}").format(value=repr(value), exc=exc)
            ) from exc
    if not callable(value):
        raise ValueError(
            _("must be a RetryStrategy, a function or the path of one, not {value}").format(value=repr(value))
        )
    backoff: Backoff = value
    return backoff


def a_log_level(value: Any) -> int:
    """Read the name or the number of a level of `logging`."""
    levels = logging.getLevelNamesMapping()
    if isinstance(value, str) and value.upper() in levels:
        return levels[value.upper()]
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(
            _("must be a level of logging, as in 'INFO', not {value}{hint}").format(
                value=repr(value), hint=did_you_mean(str(value).upper(), levels)
            )
        )
    return value


def queue_configs(value: Any) -> dict[str, QueueConfig]:
    if not isinstance(value, Mapping):
        raise ValueError(
            _("must map queue names to their options, as in {{'emails': {{'max_retries': 5}}}}, not {value}").format(
                value=repr(value)
            )
        )
    configs = {}
    for name, given in value.items():
        if not isinstance(given, Mapping):
            raise ValueError(
                _("must have a dictionary under {name}, not {given}").format(name=repr(name), given=repr(given))
            )
        known = [item.name for item in fields(QueueConfig) if item.name != "name"]
        for key in given:
            if key not in known:
                raise ValueError(
                    _("has {key} under {name}; known are {known}{hint}").format(
                        key=repr(key), name=repr(name), known=", ".join(known), hint=did_you_mean(key, known)
                    )
                )
        rules = {"max_retries": None, **given}
        try:
            rules["timeout"] = a_duration(none=True)(rules.get("timeout"))
        except ValueError as exc:
            raise ValueError(_("has a 'timeout' under {name} that {exc}").format(name=repr(name), exc=exc)) from exc
        configs[name] = QueueConfig(name, **rules)
    return configs


def a_mapping_of_schedules(value: Any) -> Mapping[str, Any]:
    # What is in it is read by `schedules`, when it is wanted.
    if not isinstance(value, Mapping):
        raise ValueError(
            _("must map names to schedules, as in {{'nightly': {{'task': …, 'schedule': …}}}}, not {value}").format(
                value=repr(value)
            )
        )
    return dict(value)


def are_names(value: Any) -> bool:
    """Return whether a setting is a list of queue names."""
    return isinstance(value, Collection) and not isinstance(value, str) and all(is_queue_name(name) for name in value)


@dataclass(frozen=True, kw_only=True)
class BackendOptions:
    """The options that every backend has."""

    #: Rules of single queues: {"emails": {"max_retries": 5, "timeout": 60, "concurrency": 10, "rate_limit": "600/m"}}.
    queues: Mapping[str, QueueConfig] = option(dict, queue_configs)
    #: Attempts of a task for which neither it nor its queue says how many; 4 are one run and three retries.
    max_attempts: int | None = option(None, a_number(1, none=True))
    #: The backoff of a task that has none.
    backoff: Backoff = option(RetryStrategy.exponential_backoff, a_backoff)
    #: Seconds that one attempt may take where the task does not say; None is without limit.
    timeout: float | None = option(None, a_duration(none=True))
    #: Seconds after a worker's last heartbeat until its tasks are given to others.
    lease: float = option(30.0, a_duration(0.1))
    #: A task that has taken down this many workers fails.
    max_lost: int = option(3, a_number(1))
    #: Seconds that a finished task is kept; None keeps it for ever.
    result_ttl: float | None = option(7 * DAY, a_duration(none=True))
    #: Lines that are kept of what each attempt of a task logs, the newest; 0 keeps none.
    log_lines: int = option(100, a_number(0))
    #: The least level of these lines.
    log_level: int = option(logging.INFO, a_log_level)
    #: Schedules that this alias runs: {"nightly": {"task": "shop.tasks.close", "schedule": "0 3 * * *"}}.
    schedules: Mapping[str, Any] = option(dict, a_mapping_of_schedules)
    #: Which release this is, for schedules: of two that say so, the lower one does not change what the higher has declared.
    schedules_version: int | None = option(None, a_number(0, none=True))
    #: Seconds that a task whose name no worker knows is kept trying, as while a deploy is half done.
    unknown_task_ttl: float = option(DAY, a_duration())

    def timeout_of(self, task: CoreTask | None, job: Job) -> float | None:
        """Return the seconds that one attempt may take. The first that says something decides: task, queue, backend."""
        own: float | None = getattr(task, "timeout", None)
        if own is None and job.queue in self.queues:
            own = self.queues[job.queue].timeout
        return self.timeout if own is None else own

    def retry_policy(self, task: CoreTask | None, job: Job) -> RetryPolicy:
        """Return the retry rules of one job. The first that says something decides: task, its strategy, queue, backend."""
        own = getattr(task, "backoff", None)
        attempts = job.max_attempts or getattr(task, "max_attempts", None)
        if attempts is None and isinstance(own, RetryStrategy):
            attempts = own.max_retries + 1
        if (
            attempts is None
            and job.queue in self.queues
            and (retries := self.queues[job.queue].max_retries) is not None
        ):
            attempts = retries + 1
        if attempts is None:
            attempts = self.max_attempts
        if attempts is None:
            attempts = self.backoff.max_retries + 1 if isinstance(self.backoff, RetryStrategy) else 4
        return RetryPolicy(
            max_attempts=attempts,
            backoff=own or self.backoff,
            retry_on=getattr(task, "retry_on", ()),
            give_up_on=getattr(task, "give_up_on", ()),
        )


Options = TypeVar("Options", bound=BackendOptions)

#: Options that Django itself may come to have as keys of the alias (django/new-features 142); both places are read.
_ALIAS_KEYS = ("MAX_ATTEMPTS", "BACKOFF")


def read_options(kind: type[Options], alias: str, params: Mapping[str, Any]) -> tuple[Options, list[Problem]]:
    """Return the options of an alias, defaults where a setting is bad, and what is wrong with them."""
    given, problems = _given(alias, params)
    known = {item.name.upper(): item for item in fields(kind)}
    values: dict[str, Any] = {}
    for key, value in given.items():
        if key not in known:
            near = did_you_mean(str(key).upper(), known)
            problems.append(
                Problem(
                    "E003",
                    _("TASKS[{alias}]['OPTIONS'] has {key}, which is no option{near}.").format(
                        alias=repr(alias), key=repr(key), near=near
                    ),
                    _("Remove it, or use one of {known}.").format(known=", ".join(sorted(known))),
                )
            )
            continue
        try:
            values[known[key].name] = known[key].metadata["reader"](value)
        except (ValueError, TypeError) as exc:
            problems.append(
                Problem("E004", f"{_place(alias, params, key)} {exc}.", _("Correct the value in your settings."))
            )
    return kind(**values), problems


def _place(alias: str, params: Mapping[str, Any], key: str) -> str:
    options = params.get("OPTIONS")
    inside = isinstance(options, Mapping) and key in options
    return f"TASKS[{alias!r}]['OPTIONS'][{key!r}]" if inside else f"TASKS[{alias!r}][{key!r}]"


def _given(alias: str, params: Mapping[str, Any]) -> tuple[dict[Any, Any], list[Problem]]:
    problems: list[Problem] = []
    options = params.get("OPTIONS") or {}
    if not isinstance(options, Mapping):
        problems.append(
            Problem(
                "E002",
                _("TASKS[{alias}]['OPTIONS'] must be a dictionary, not {options}.").format(
                    alias=repr(alias), options=repr(options)
                ),
                _("Write it as {'LEASE': 30}."),
            )
        )
        options = {}
    given = {key: params[key] for key in _ALIAS_KEYS if key in params} | dict(options)
    known = ("BACKEND", "QUEUES", "OPTIONS", *_ALIAS_KEYS)
    for key in params:
        if key not in known:
            problems.append(
                Problem(
                    "E003",
                    _("TASKS[{alias}] has {key}, which is no key of a backend{hint}.").format(
                        alias=repr(alias), key=repr(key), hint=did_you_mean(key, known)
                    ),
                    _("Known are {known}; options of the backend go into 'OPTIONS'.").format(known=", ".join(known)),
                )
            )
    queues = params.get("QUEUES", [])
    if not are_names(queues):
        problems.append(
            Problem(
                "E005",
                _("TASKS[{alias}]['QUEUES'] must be a list of names, not {queues}.").format(
                    alias=repr(alias), queues=repr(queues)
                ),
                _("Write it as ['default']."),
            )
        )
        queues = []
    for name in options.get("QUEUES") or {} if isinstance(options.get("QUEUES"), Mapping) else ():
        if queues and name not in queues:
            problems.append(
                Problem(
                    "E005",
                    _("TASKS[{alias}]['OPTIONS']['QUEUES'] has {name}, which its 'QUEUES' lacks{hint}.").format(
                        alias=repr(alias), name=repr(name), hint=did_you_mean(name, queues)
                    ),
                    _("Add the name to 'QUEUES', or remove its options."),
                )
            )
    return given, problems
