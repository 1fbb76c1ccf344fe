"""Which of the tasks that were enqueued fit what a test expects, and what to say where they do not."""

from __future__ import annotations

import difflib
import inspect
import json
from collections.abc import Mapping, Sequence
from typing import Any

from .._compat import CoreTask
from ..arguments import stored_call
from ..backends.stand_ins import StandIn
from ..calls import call_parameters
from ..results import TaskResult
from ..serialization import encode_call
from .draining import call_text
from .transactions import waiting_callbacks

#: What a failure shows at most.
SHOWN = 10


class Expected:
    """A task, and as much of its call as the test says. `args` is the whole call, `kwargs` alone names some parameters."""

    def __init__(
        self,
        task: CoreTask,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        queue_name: str | None = None,
    ) -> None:
        if not isinstance(task, CoreTask):
            raise TypeError(f"{task!r} is no task. Name the task itself: what @task has made of the function.")
        self.task = task
        self.queue_name = queue_name
        self._is_whole = args is not None
        self._says = args is not None or kwargs is not None
        self._args, self._kwargs = list(args or ()), dict(kwargs or {})
        self._named = self._bind(*_as_stored(task, self._args, self._kwargs)) if self._says else {}

    def fits(self, result: TaskResult[Any]) -> bool:
        if result.task.module_path != self.task.module_path:
            return False
        if self.queue_name is not None and result.task.queue_name != self.queue_name:
            return False
        if not self._says:
            return True
        found = self._bind(result.args, result.kwargs)
        return found == self._named if self._is_whole else self._named.items() <= found.items()

    def nearness(self, result: TaskResult[Any]) -> tuple[bool, bool, float]:
        """Sort by this, highest first: what is most like what was expected."""
        ratio = difflib.SequenceMatcher(None, self.call, call_text(result)).ratio()
        is_task = result.task.module_path == self.task.module_path
        return (is_task, self.queue_name in (None, result.task.queue_name), ratio)

    @property
    def call(self) -> str:
        if not self._says:
            return str(self.task.module_path)
        parts = [*map(repr, self._args), *(f"{name}={value!r}" for name, value in self._kwargs.items())]
        return f"{self.task.module_path}({', '.join(parts if self._is_whole else [*parts, '…'])})"

    def __str__(self) -> str:
        return self.call + ("" if self.queue_name is None else f" on queue {self.queue_name!r}")

    def _bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values by the names of the parameters: `f(1, 2)` and `f(1, b=2)` are one call."""
        parameters = call_parameters(self.task)
        bound = inspect.Signature(parameters).bind_partial(*args, **kwargs).arguments
        for parameter in parameters:
            if parameter.kind is parameter.VAR_KEYWORD:
                bound |= bound.pop(parameter.name, {})
        return {name: list(value) if isinstance(value, tuple) else value for name, value in bound.items()}


def complaint(
    expected: Expected, found: Sequence[TaskResult[Any]], every: Sequence[TaskResult[Any]], times: str
) -> str:
    """Return what a failed assertion says: what was expected, and what was there instead, nearest first."""
    has = "was not enqueued" if not found else f"was enqueued {times_text(len(found))}, not {times}"
    near = sorted(every, key=expected.nearness, reverse=True)
    return f"{expected} {has}. {listing(near, ' (nearest first)')}{waiting_note()}{_backend_note(expected.task)}"


def listing(results: Sequence[TaskResult[Any]], order: str = "") -> str:
    if not results:
        return "Nothing was enqueued."
    lines = [f"  {call_text(result)}  queue {result.task.queue_name!r}, {result.state}" for result in results[:SHOWN]]
    if len(results) > SHOWN:
        lines.append(f"  … and {len(results) - SHOWN} more")
    return "\n".join([f"What was enqueued{order}:", *lines])


def waiting_note() -> str:
    """Return a hint where something would have come at a commit that the test does not make, or nothing."""
    number = len(waiting_callbacks())
    if not number:
        return ""
    return (
        f"\n{number} on_commit callback{'s wait' if number > 1 else ' waits'} for a commit, which a TestCase never makes: "
        "drain(on_commit=True) runs them, and so does captureOnCommitCallbacks(execute=True)."
    )


def _backend_note(task: CoreTask) -> str:
    """Return why the task cannot have been captured, or nothing where it can."""
    backend = task.get_backend()
    try:
        is_captured = isinstance(getattr(backend, "broker", None), StandIn)
    except NotImplementedError:
        is_captured = False
    if is_captured:
        return ""
    return (
        f"\nTASKS[{task.backend!r}] is {type(backend).__name__}, which keeps no tasks, so none are captured there: let the "
        "tests' settings name the backend that production has. It needs no store here."
    )


def times_text(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _as_stored(task: CoreTask, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Return arguments as a store would give them back."""
    stored = json.loads(encode_call(task.module_path, *stored_call(task, args, kwargs)))
    return stored[0], stored[1]
