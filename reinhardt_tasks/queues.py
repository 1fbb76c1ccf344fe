"""A queue by name and rule, as the original has it: `TaskQueue(QueueConfig("reports")).enqueue(task, …)`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from ._compat import DEFAULT_TASK_QUEUE_NAME
from .limits import RateLimit, read_concurrency, read_rate_limit
from .results import TaskResult
from .retries import RetryStrategy
from .speech import gettext as _
from .tasks import Task
from .texts import is_storable

R = TypeVar("R")


def is_queue_name(value: Any) -> bool:
    """Return whether a queue can be called so: by a text that every store can keep."""
    return isinstance(value, str) and value != "" and is_storable(value)


def no_queue_name(value: Any) -> str:
    """Return what is said of a name that no queue can have."""
    return _("A queue's name is a text without NUL and halves of surrogate pairs, not {name}.").format(name=repr(value))


@dataclass(frozen=True)
class QueueConfig:
    """A queue's name, and what holds for a task on it that does not say so itself. None leaves it to the backend.

    `concurrency` is how many of its tasks run at once, on all machines together, `rate_limit` how many start in a time
    ("600/m"): in `OPTIONS["QUEUES"]` only, since they hold for whoever enqueues.
    """

    name: str = DEFAULT_TASK_QUEUE_NAME
    max_retries: int | None = 3
    #: Seconds that one attempt may take. A worker reads it in OPTIONS["QUEUES"].
    timeout: float | None = None
    concurrency: int | None = None
    rate_limit: str | RateLimit | None = None

    def __post_init__(self) -> None:
        if not is_queue_name(self.name):
            raise ValueError(no_queue_name(self.name))
        if self.max_retries is not None and (
            isinstance(self.max_retries, bool) or not isinstance(self.max_retries, int) or self.max_retries < 0
        ):
            raise ValueError(
                _("max_retries of queue {name} must be a whole number, 0 or more, not {max_retries}.").format(
                    name=repr(self.name), max_retries=repr(self.max_retries)
                )
            )
        if isinstance(self.concurrency, bool) or not isinstance(self.concurrency, (int, type(None))):
            raise ValueError(
                _("concurrency of queue {name} must be a whole number, not {concurrency}.").format(
                    name=repr(self.name), concurrency=repr(self.concurrency)
                )
            )
        try:
            read_concurrency(self.concurrency)
            rate = read_rate_limit(self.rate_limit)
        except ValueError as exc:
            raise ValueError(f"Queue {self.name!r}: {exc}.") from exc
        if rate is not None and rate.key is not None:
            raise ValueError(
                _("Queue {name}: its rate_limit has no key: the queue is what is counted.").format(name=repr(self.name))
            )


@dataclass(frozen=True)
class TaskQueue:
    """Enqueues tasks under one QueueConfig."""

    config: QueueConfig = field(default_factory=QueueConfig)

    def __post_init__(self) -> None:
        if self.config.timeout is not None:
            raise ValueError(
                _(
                    "A TaskQueue cannot give tasks a timeout: the worker looks for that of queue {name} in its settings. "
                    "Write it there, in OPTIONS['QUEUES'], or in @task(timeout=…)."
                ).format(name=repr(self.config.name))
            )
        for limit in ("concurrency", "rate_limit"):
            if getattr(self.config, limit) is not None:
                raise ValueError(
                    _(
                        "A TaskQueue cannot give tasks the {limit} of queue {name}, which holds for whoever enqueues. "
                        "Write it into the settings, in OPTIONS['QUEUES'], or in @task({limit}=…)."
                    ).format(limit=limit, name=repr(self.config.name))
                )

    def enqueue(self, task: Task[Any, R], /, *args: Any, **kwargs: Any) -> TaskResult[R]:
        """Enqueue `task` on this queue; its retries are the queue's unless the task has its own."""
        return self._dress(task).enqueue(*args, **kwargs)

    async def aenqueue(self, task: Task[Any, R], /, *args: Any, **kwargs: Any) -> TaskResult[R]:
        """See enqueue()."""
        return await self._dress(task).aenqueue(*args, **kwargs)

    def _dress(self, task: Task[Any, R]) -> Task[Any, R]:
        attempts = task.max_attempts
        if attempts is None and self.config.max_retries is not None and not isinstance(task.backoff, RetryStrategy):
            attempts = self.config.max_retries + 1
        return replace(task.using(queue_name=self.config.name), max_attempts=attempts)
