"""When, and whether, a failed task runs again. Pure decisions: no clock, no store."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from .exceptions import Retry

Seconds = float
Backoff = Callable[[BaseException, Any], "int | float | timedelta | None"]


def seconds(delay: int | float | timedelta) -> Seconds:
    """Return a delay as seconds, never less than none. Raise ValueError for one that is no finite number."""
    value = delay.total_seconds() if isinstance(delay, timedelta) else float(delay)
    if not math.isfinite(value):
        raise ValueError(f"A delay must be a finite number of seconds, not {delay!r}.")
    return max(0.0, value)


def pause_after(failures: int, *, first: Seconds, longest: Seconds) -> Seconds:
    """Return how long to let be what failed so often in a row: each time twice as long, and at random up to a half less."""
    return min(longest, first * 2 ** min(failures, 8)) * (0.5 + random.random() / 2)  # noqa: S311


@dataclass(frozen=True, kw_only=True)
class RetryStrategy:
    """How often and how long after a failure a task runs again; it is itself a `backoff`.

    Delays are seconds (numbers or timedeltas when given). With jitter a delay is a random point between 0 and the
    computed one ("full jitter", https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/), so that tasks
    that failed together do not come back together. Instances do not change: the `with_…` methods return a copy. Raise
    ValueError for a delay or a multiplier that is no finite number, and for `max_retries` below 0.
    """

    max_retries: int = 3
    initial_delay: Seconds = 1.0
    max_delay: Seconds = 60.0
    multiplier: float = 2.0
    jitter: bool = True
    #: Where the random points come from; tests give a seeded one.
    random: random.Random = field(default_factory=random.Random, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "initial_delay", seconds(self.initial_delay))
        object.__setattr__(self, "max_delay", seconds(self.max_delay))
        if isinstance(self.max_retries, bool) or not isinstance(self.max_retries, int) or self.max_retries < 0:
            raise ValueError(f"max_retries must be a whole number, 0 or more, not {self.max_retries!r}.")
        if not (math.isfinite(self.multiplier) and self.multiplier > 0):
            raise ValueError(f"The multiplier must be a positive, finite number, not {self.multiplier!r}.")
        # Whole numbers have powers without end; those of floats end at once, in OverflowError.
        object.__setattr__(self, "multiplier", float(self.multiplier))

    @classmethod
    def exponential_backoff(cls, **changes: Any) -> RetryStrategy:
        """3 retries after up to 1, 2, 4 … seconds, at most 60, with jitter. This is the default of every task."""
        return cls(**changes)

    @classmethod
    def fixed_delay(cls, delay: int | float | timedelta, **changes: Any) -> RetryStrategy:
        """3 retries, each `delay` (seconds) after the failure, without jitter."""
        return cls(**{"initial_delay": delay, "max_delay": delay, "multiplier": 1.0, "jitter": False, **changes})

    @classmethod
    def no_retry(cls) -> RetryStrategy:
        """The first failure is the last."""
        return cls(max_retries=0, initial_delay=0.0, max_delay=0.0, multiplier=1.0, jitter=False)

    def with_max_retries(self, max_retries: int) -> RetryStrategy:
        """Return a copy with another number of retries, 0 or more: a task is tried once more than that in all."""
        return replace(self, max_retries=max_retries)

    def with_initial_delay(self, delay: int | float | timedelta) -> RetryStrategy:
        """Return a copy with another delay before the first retry, in seconds or as a timedelta."""
        return replace(self, initial_delay=seconds(delay))

    def with_max_delay(self, delay: int | float | timedelta) -> RetryStrategy:
        """Return a copy with another limit of all delays, in seconds or as a timedelta."""
        return replace(self, max_delay=seconds(delay))

    def with_multiplier(self, multiplier: float) -> RetryStrategy:
        """Return a copy in which each delay is the last one times `multiplier`, a positive number."""
        return replace(self, multiplier=multiplier)

    def with_jitter(self, jitter: bool) -> RetryStrategy:
        """Return a copy whose delays are random points between 0 and the computed delay, or exactly that."""
        return replace(self, jitter=jitter)

    @property
    def has_jitter(self) -> bool:
        """Whether a delay is a random point between 0 and the computed one."""
        return self.jitter

    def calculate_delay(self, attempt: int) -> Seconds:
        """Return the delay in seconds before the `attempt`-th retry, counted from 1; 0 for none.

        `min(initial_delay × multiplier^(attempt − 1), max_delay)`, and with jitter a random part of that.
        """
        if attempt <= 0 or self.max_retries == 0:
            return 0.0
        try:
            # A whole number much above that is no float; all powers from there on are one.
            delay = min(self.initial_delay * self.multiplier ** min(attempt - 1, 10**300), self.max_delay)
        except OverflowError:
            # The power left the range of floats. From nothing it grows to nothing.
            delay = self.max_delay if self.initial_delay else 0.0
        return delay * self.random.random() if self.jitter else delay

    def should_retry(self, retries_made: int) -> bool:
        """Return whether another retry may follow when `retries_made` have been made."""
        return retries_made < self.max_retries

    def __call__(self, exception: BaseException, task_result: Any) -> Seconds | None:
        """Return the seconds until the next attempt, or None where this strategy never retries.

        How many attempts a task gets is `max_attempts`' business; a strategy given to `@task` alone also sets that.
        """
        if self.max_retries == 0:
            return None
        return self.calculate_delay(getattr(task_result, "failures", task_result.attempts))


@dataclass
class RetryState:
    """Counts the attempts that were made under a strategy."""

    strategy: RetryStrategy = field(default_factory=RetryStrategy.exponential_backoff)
    attempts: int = 0

    def record_attempt(self) -> None:
        """Count one more attempt that was made."""
        self.attempts += 1

    def can_retry(self) -> bool:
        """Return whether the strategy allows one more retry."""
        return self.strategy.should_retry(self.attempts)

    def next_delay(self) -> Seconds:
        """Return the seconds before the next retry."""
        return self.strategy.calculate_delay(self.attempts + 1)

    def reset(self) -> None:
        """Count from 0 again."""
        self.attempts = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """Everything that decides about one task's retries, its own options and its backend's defaults put together."""

    max_attempts: int
    backoff: Backoff
    retry_on: tuple[type[BaseException], ...] = ()
    give_up_on: tuple[type[BaseException], ...] = ()

    def delay_after(self, exception: BaseException, failures: int, task_result: Any) -> Seconds | None:
        """Return the seconds until the next attempt, or None where the failure is final.

        `failures` counts this one. `Retry` overrides the choice by exception, never the number of attempts. Whatever a
        `backoff` raises propagates; the caller decides what that means.
        """
        if failures >= self.max_attempts:
            return None
        if isinstance(exception, Retry):
            if exception.in_ is not None:
                return seconds(exception.in_)  # type: ignore[arg-type]
        elif not self._wants(exception):
            return None
        delay = self.backoff(exception, task_result)
        return None if delay is None else seconds(delay)

    def _wants(self, exception: BaseException) -> bool:
        if self.give_up_on and isinstance(exception, self.give_up_on):
            return False
        return not self.retry_on or isinstance(exception, self.retry_on)
