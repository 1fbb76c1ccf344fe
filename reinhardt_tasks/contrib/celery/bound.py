"""The `self` of a `shared_task(bind=True)`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

from django.utils import timezone

from ...exceptions import MaxRetriesExceeded, Retry
from .results import AsyncResult

if TYPE_CHECKING:
    from ...contexts import TaskContext
    from .tasks import SharedTask

_ELSEWHERE = {
    "update_state": "use get_current_context().progress(done, total), which result.progress shows",
    "s": "use a TaskChain",
    "si": "use a TaskChain",
    "replace": "enqueue the other task, or use a TaskChain",
    "app": "there is no Celery app",
    "backend": "results are kept with their tasks",
}


@dataclass(frozen=True, kw_only=True)
class Request:
    """What of Celery's `self.request` is known here."""

    id: str | None = None
    #: The task's name.
    task: str
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    #: How often the task has failed before, or asked to be run again.
    retries: int = 0
    called_directly: bool = False
    delivery_info: Mapping[str, Any] = field(default_factory=dict)


class Bound:
    """What a task with `bind=True` is given first."""

    MaxRetriesExceededError = MaxRetriesExceeded

    def __init__(self, task: SharedTask[Any, Any], context: TaskContext | None) -> None:
        self._task = task
        self.name = task.module_path
        self.max_retries = (task.max_attempts or 1) - 1
        self.default_retry_delay = task.default_retry_delay
        self.request = _request(task, context)

    def retry(
        self,
        args: Any = None,
        kwargs: Any = None,
        exc: BaseException | None = None,
        throw: bool = True,
        eta: datetime | None = None,
        countdown: float | None = None,
        **options: Any,
    ) -> NoReturn:
        """End this attempt and have another one after `countdown` seconds, or at `eta`. It always raises.

        Where none is left it raises `exc`, or MaxRetriesExceeded. The arguments stay what they are.
        """
        if args is not None or kwargs is not None or not throw or options:
            raise TypeError(
                "self.retry takes exc, eta and countdown here. The next attempt has the same arguments, and max_retries is said in "
                "the decorator."
            )
        if self.request.called_directly:
            raise exc or Retry()
        if self.request.retries >= self.max_retries:
            raise exc or MaxRetriesExceeded(
                f"{self.name} was retried {self.max_retries} times, and has no attempt left."
            )
        if eta is not None:
            countdown = (eta - timezone.now()).total_seconds()
        raise Retry(in_=self.default_retry_delay if countdown is None else max(0.0, countdown)) from exc

    def delay(self, *args: Any, **kwargs: Any) -> AsyncResult:
        return self._task.delay(*args, **kwargs)

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> AsyncResult:
        return self._task.apply_async(args, kwargs, **options)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"self.{name} is not there in {type(self).__name__}: {_ELSEWHERE.get(name, 'use @task')}.")


def _request(task: SharedTask[Any, Any], context: TaskContext | None) -> Request:
    if context is None:
        return Request(task=task.module_path, called_directly=True)
    result = context.task_result
    return Request(
        id=result.id,
        task=task.module_path,
        args=result.args,
        kwargs=result.kwargs,
        retries=result.failures,
        delivery_info={"routing_key": result.task.queue_name, "priority": result.task.priority},
    )
