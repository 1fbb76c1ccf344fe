"""One task as people see it: its arguments redacted, its attempts, what happened to it and when."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from django.utils.translation import gettext as _

from ..exceptions import SerializationFailed
from ..gates import Limit
from ..jobs import Job, Progress, TaskStatus
from ..log_lines import LogLine
from ..priorities import scale_of
from ..redaction import ShownCall, cleaned_value, cleaner, shown_call
from ..registry import registry
from ..schedules.slots import SCHEDULE
from ..serialization import decode_call
from ..unknown_names import is_put_back
from ..workflow_states import HEADER as WORKFLOW
from ..workflow_states import filled_later
from .attempts import AttemptView, attempts_of
from .facts import facts_of
from .timelines import Event, timeline_of


@dataclass(frozen=True)
class TaskView:
    """A task as people see it. Nothing in it shows a redacted argument, and none at all unless `with_arguments`."""

    _job: Job
    #: False: for somebody who may not see arguments, nor what is made of them.
    with_arguments: bool = True

    def __repr__(self) -> str:
        return f"<TaskView {self.id} {self.name} {self.status}>"

    @property
    def id(self) -> str:
        return self._job.id

    @property
    def backend(self) -> str:
        return self._job.backend

    @property
    def name(self) -> str:
        return self._job.name

    @property
    def is_registered(self) -> bool:
        """Whether the code of this process has a task of this name."""
        return registry.has(self._job.name)

    @property
    def queue(self) -> str:
        return self._job.queue

    @property
    def priority(self) -> int:
        return self._job.priority

    @property
    def task_priority(self) -> int:
        """The priority on the scale from 0 to 9."""
        return scale_of(self._job.priority)

    @property
    def status(self) -> TaskStatus:
        return self._job.status

    @property
    def is_put_back(self) -> bool:
        """Whether a worker gave it back and tries again: it does not wait for a time that anybody asked for."""
        return is_put_back(self._job)

    @property
    def put_back_words(self) -> str:
        """Why that may be, and what to do; '' where it was not put back."""
        if not self.is_put_back:
            return ""
        return _(
            "A worker gave it back and tries again soon, most likely since it does not know this name: where its code is "
            "older than the task, restart the worker."
        )

    @cached_property
    def call(self) -> ShownCall:
        """The arguments, redacted."""
        return shown_call(self._job, everything=not self.with_arguments)

    @property
    def metadata(self) -> Mapping[str, Any]:
        if not self._job.metadata or not self.with_arguments:
            return {}
        cleaned: dict[str, Any] = cleaned_value(self._job.metadata, self._cleaned)
        return cleaned

    @property
    def progress(self) -> Progress | None:
        progress = self._job.progress
        if progress is None or progress.message is None:
            return progress
        message = self._cleaned(progress.message) if self.with_arguments else None
        return Progress(progress.done, progress.total, message)

    @property
    def schedule(self) -> str:
        """The name of the schedule that sent it; '' where none did."""
        return str(self._headers.get(SCHEDULE) or "")

    @property
    def workflow(self) -> str:
        """The id of the workflow that it is a step of; '' where it is none."""
        note = self._headers.get(WORKFLOW)
        return str(note["id"]) if isinstance(note, dict) and "id" in note else ""

    @property
    def waits_for_results(self) -> bool:
        """Whether arguments of it are results of other steps, which are put in when it runs."""
        return bool(filled_later(self._headers))

    @property
    def max_attempts(self) -> int | None:
        return self._job.max_attempts

    @property
    def once_key(self) -> str | None:
        if self._job.once_key is None or not self.with_arguments:
            return None
        return self._cleaned(self._job.once_key)

    @property
    def limits(self) -> Sequence[Limit]:
        """What it has to pass before a worker may take it. The keys may be made of arguments."""
        if not self.with_arguments:
            return ()
        return [replace(limit, key=self._cleaned(limit.key)) for limit in self._job.limits]

    @property
    def worker(self) -> str | None:
        return self._job.worker

    @property
    def cancel_requested(self) -> bool:
        return self._job.cancel_requested

    @property
    def run_after(self) -> datetime | None:
        return self._job.run_after

    @property
    def enqueued_at(self) -> datetime | None:
        return self._job.enqueued_at

    @property
    def due_at(self) -> datetime | None:
        return self._job.due_at

    @property
    def started_at(self) -> datetime | None:
        """When its first attempt began."""
        return self._job.first_started_at

    @property
    def last_attempted_at(self) -> datetime | None:
        return self._job.started_at

    @property
    def finished_at(self) -> datetime | None:
        return self._job.finished_at

    @property
    def result(self) -> str | None:
        """What it returned, as JSON text; None where it has not succeeded."""
        if self._job.result is None or not self.with_arguments:
            return None
        return self._cleaned(self._job.result)

    @property
    def exception(self) -> str:
        """The class of the last attempt's exception; '' where none failed."""
        return self._job.history[-1].exception if self._job.history else ""

    @cached_property
    def attempts(self) -> Sequence[AttemptView]:
        """All attempts in their order, with the one that runs or succeeded."""
        return attempts_of(self._job, self._cleaned)

    @property
    def exception_line(self) -> str:
        """The last attempt's exception and its message on one line; '' where none failed."""
        return next((attempt.exception_line for attempt in reversed(self.attempts) if attempt.exception), "")

    @property
    def log(self) -> Sequence[LogLine]:
        """What its attempts have logged, oldest first; nothing in a list of tasks, which does not read it."""
        return [line for attempt in self.attempts for line in attempt.log]

    @property
    def dropped(self) -> int:
        """How many lines were dropped, since there were too many."""
        return sum(attempt.dropped for attempt in self.attempts)

    @cached_property
    def _headers(self) -> Mapping[str, Any]:
        try:
            return decode_call(self._job.payload).headers
        except (SerializationFailed, RecursionError):
            return {}

    @cached_property
    def _cleaned(self) -> Callable[[str], str]:
        return cleaner(self._job, everything=not self.with_arguments)

    @cached_property
    def timeline(self) -> Sequence[Event]:
        """What happened to it, oldest first, and when it is due where it waits."""
        return timeline_of(self)

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON has it; the shape is documented, and only grows."""
        return facts_of(self)


def view(job: Job, *, with_arguments: bool = True) -> TaskView:
    """Return a job as people see it; without `with_arguments`, as those do who may not see what it works on."""
    return TaskView(job, with_arguments)
