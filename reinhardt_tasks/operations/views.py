"""One task as people see it: its arguments redacted, its attempts, what happened to it and when."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from itertools import pairwise
from typing import Any

from django.utils.translation import gettext as _

from ..exception_text import class_path
from ..exceptions import SerializationFailed, TaskCancelled
from ..gates import Limit
from ..jobs import Job, Progress, TaskStatus
from ..log_lines import AttemptLog, LogLine, decode_log
from ..priorities import scale_of
from ..redaction import ShownCall, cleaned_value, cleaner, shown_call
from ..registry import registry
from ..schedules.slots import SCHEDULE
from ..serialization import decode_call
from ..tracebacks import exception_line
from ..workflow_states import HEADER as WORKFLOW
from ..workflow_states import filled_later


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptView:
    """One attempt: the running one and the successful one have no exception."""

    number: int
    worker: str
    started_at: datetime | None
    finished_at: datetime | None
    exception: str = ""
    traceback: str = ""
    lost: bool = False
    #: It came to its end, and was cancelled all the same.
    cancelled: bool = False
    #: What it has logged, oldest first, and how many lines before these were dropped.
    log: Sequence[LogLine] = ()
    dropped: int = 0

    @property
    def duration(self) -> float | None:
        """Seconds, by the clocks of the worker and of the store."""
        if self.started_at is None or self.finished_at is None:
            return None
        return max(0.0, (self.finished_at - self.started_at).total_seconds())

    @property
    def exception_line(self) -> str:
        """The exception and its message on one line; '' where nothing was raised."""
        return exception_line(self.traceback) or self.exception

    @property
    def state_words(self) -> str:
        """How it ended, in a word or by the exception's class; or that it runs."""
        if self.lost:
            return _("worker lost")
        if self.exception:
            return self.exception.rpartition(".")[2]
        if self.cancelled:
            return _("cancelled")
        return _("running") if self.finished_at is None else _("succeeded")

    @property
    def no_log_words(self) -> str:
        """Why nothing is here of what it logged; '' where something is."""
        if self.log:
            return ""
        if self.lost:
            return _("What it had logged went with its worker.")
        if self.finished_at is not None:
            return _("No lines of its log are kept.")
        return _("What it logs is shown when it has ended.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something that happened, or is going to."""

    at: datetime
    what: str
    detail: str = ""
    #: Seconds after the one before it; None for the first one.
    gap: float | None = None
    is_ahead: bool = False


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
        job = self._job
        found: list[AttemptView] = []
        for number, attempt in enumerate(job.history, start=1):
            logs = self._logs_of(number)
            own = logs.pop() if logs else None
            found += map(self._cancelled, logs)
            found.append(
                AttemptView(
                    number=number,
                    worker=attempt.worker,
                    started_at=attempt.started_at,
                    finished_at=attempt.finished_at,
                    exception=attempt.exception,
                    traceback=self._cleaned(attempt.traceback),
                    lost=attempt.lost,
                    **self._logged(own),
                )
            )
        return found + self._attempts_beyond_history(len(job.history) + 1)

    def _attempts_beyond_history(self, number: int) -> list[AttemptView]:
        job, logs = self._job, self._logs_of(number)
        is_cancelled = job.status not in (TaskStatus.RUNNING, TaskStatus.SUCCESS)
        # The lines of one that runs come with its end: whatever is there already is another's.
        own = logs.pop() if logs and job.status is not TaskStatus.RUNNING else None
        found = list(map(self._cancelled, logs))
        if own is not None or not is_cancelled:
            last = AttemptView(
                number=number,
                worker=job.worker or "",
                started_at=job.started_at,
                finished_at=job.finished_at,
                cancelled=is_cancelled,
                **self._logged(own),
            )
            found.append(last)
        return found

    def _cancelled(self, log: AttemptLog) -> AttemptView:
        """Return what is known of an attempt that came to its end, was cancelled all the same, and was followed by others.

        History does not have it, and so the next one has its number again: it is told by its lines alone.
        """
        return AttemptView(
            number=log.attempt, worker="", started_at=None, finished_at=None, cancelled=True, **self._logged(log)
        )

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

    def _logs_of(self, number: int) -> list[AttemptLog]:
        """Return what attempts of this number have logged, oldest first; all but the last of them were cancelled."""
        return [log for log in self._logs if log.attempt == number]

    def _logged(self, log: AttemptLog | None) -> dict[str, Any]:
        if log is None:
            return {}
        clean = self._cleaned
        lines = [line._replace(logger=clean(line.logger), message=clean(line.message)) for line in log.lines]
        return {"log": lines, "dropped": log.dropped}

    @cached_property
    def _headers(self) -> Mapping[str, Any]:
        try:
            return decode_call(self._job.payload).headers
        except (SerializationFailed, RecursionError):
            return {}

    @cached_property
    def _logs(self) -> Sequence[AttemptLog]:
        return decode_log(self._job.log)

    @cached_property
    def _cleaned(self) -> Callable[[str], str]:
        return cleaner(self._job, everything=not self.with_arguments)

    @cached_property
    def timeline(self) -> Sequence[Event]:
        """What happened to it, oldest first, and when it is due where it waits."""
        events = [] if self.enqueued_at is None else [Event(at=self.enqueued_at, what=_("enqueued"))]
        for attempt in self.attempts:
            if attempt.started_at is not None:
                events.append(Event(at=attempt.started_at, what=_("started"), detail=attempt.worker))
            if attempt.exception and attempt.finished_at is not None:
                events.append(Event(at=attempt.finished_at, what=_end_of(attempt), detail=attempt.exception))
        if self.status is TaskStatus.CANCELLED and self.attempts and self.attempts[-1].exception == _CANCELLED:
            # It ended the task, which tells of it once.
            events.pop()
        if self.finished_at is not None:
            events.append(Event(at=self.finished_at, what=_ENDS[self.status]()))
        elif self.status.is_waiting and self.due_at is not None:
            events.append(Event(at=self.due_at, what=_("due"), is_ahead=True))
        events.sort(key=lambda event: event.at)
        return events[:1] + [
            replace(event, gap=(event.at - before.at).total_seconds()) for before, event in pairwise(events)
        ]

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON has it; the shape is documented, and only grows."""
        return {
            "id": self.id,
            "backend": self.backend,
            "name": self.name,
            "is_registered": self.is_registered,
            "queue": self.queue,
            "status": self.status.value,
            "is_put_back": self.is_put_back,
            "priority": self.priority,
            "task_priority": self.task_priority,
            "args": self.call.args,
            "kwargs": self.call.kwargs,
            "arguments_problem": self.call.problem or None,
            "redacted": self.call.is_redacted,
            "metadata": dict(self.metadata),
            "progress": list(self.progress) if self.progress else None,
            "progress_message": self.progress.message if self.progress else None,
            "limits": [
                {"key": limit.key, "size": limit.size, "every": limit.every / 1_000_000 if limit.every else None}
                for limit in self.limits
            ],
            "schedule": self.schedule or None,
            "workflow": self.workflow or None,
            "max_attempts": self.max_attempts,
            "once_key": self.once_key,
            "worker": self.worker,
            "cancel_requested": self.cancel_requested,
            "run_after": moment_text(self.run_after),
            "enqueued_at": moment_text(self.enqueued_at),
            "due_at": moment_text(self.due_at),
            "started_at": moment_text(self.started_at),
            "last_attempted_at": moment_text(self.last_attempted_at),
            "finished_at": moment_text(self.finished_at),
            "exception": self.exception or None,
            "message": self.exception_line or None,
            "result": _value(self.result),
            "attempts": [
                {
                    "number": attempt.number,
                    "worker": attempt.worker,
                    "started_at": moment_text(attempt.started_at),
                    "finished_at": moment_text(attempt.finished_at),
                    "duration": attempt.duration,
                    "exception": attempt.exception or None,
                    "message": attempt.exception_line or None,
                    "traceback": attempt.traceback or None,
                    "lost": attempt.lost,
                    "cancelled": attempt.cancelled,
                }
                for attempt in self.attempts
            ],
        }


def is_put_back(job: Job) -> bool:
    """Return whether a scheduled job was claimed and given back, and does not wait for its caller's time."""
    return (
        job.status is TaskStatus.SCHEDULED
        and job.token > len(job.history)
        and (job.run_after is None or job.run_after <= datetime.now(UTC))
    )


def log_as_json(task: TaskView) -> dict[str, Any]:
    """Return what a task has logged as JSON has it, beside `as_json`."""
    lines = [
        {
            "attempt": line.attempt,
            "at": moment_text(line.at),
            "level": line.level,
            "logger": line.logger,
            "message": line.message,
        }
        for line in task.log
    ]
    return {"log": lines, "log_dropped": task.dropped}


def view(job: Job, *, with_arguments: bool = True) -> TaskView:
    """Return a job as people see it; without `with_arguments`, as those do who may not see what it works on."""
    return TaskView(job, with_arguments)


def moment_text(moment: datetime | None) -> str | None:
    """Return a moment as ISO 8601 has it, in UTC; None for none."""
    return None if moment is None else moment.isoformat()


def _value(text: str | None) -> Any:
    try:
        return None if text is None else json.loads(text)
    except ValueError:
        return text


def _end_of(attempt: AttemptView) -> str:
    if attempt.lost:
        return _("worker lost")
    return _("cancelled") if attempt.exception == _CANCELLED else _("failed")


#: What an attempt keeps that somebody has cancelled while it ran.
_CANCELLED = class_path(TaskCancelled)

#: Functions, since the language is that of whoever looks.
_ENDS = {
    TaskStatus.SUCCESS: lambda: _("succeeded"),
    TaskStatus.FAILURE: lambda: _("failed for good"),
    TaskStatus.CANCELLED: lambda: _("cancelled"),
    # A finishing time at one that has not finished is damage; it is shown all the same.
    **{status: lambda: _("finished") for status in TaskStatus if not status.is_finished},
}
