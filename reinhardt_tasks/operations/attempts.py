"""The attempts of a task as people see them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from ..jobs import Job, TaskStatus
from ..log_lines import AttemptLog, LogLine, decode_log
from ..tracebacks import exception_line


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


def attempts_of(job: Job, clean: Callable[[str], str]) -> list[AttemptView]:
    """Return all attempts of a job in their order, with the one that runs or succeeded. `clean` is asked for each text."""
    logs: dict[int, list[AttemptLog]] = defaultdict(list)
    for log in decode_log(job.log):
        logs[log.attempt].append(_cleaned(log, clean))
    found: list[AttemptView] = []
    for number, attempt in enumerate(job.history, start=1):
        # All but the last of one number were cancelled.
        *others, own = logs[number] or [AttemptLog(number, ())]
        found += map(_cancelled, others)
        found.append(
            AttemptView(
                number=number,
                worker=attempt.worker,
                started_at=attempt.started_at,
                finished_at=attempt.finished_at,
                exception=attempt.exception,
                traceback=clean(attempt.traceback),
                lost=attempt.lost,
                log=own.lines,
                dropped=own.dropped,
            )
        )
    number = len(job.history) + 1
    return found + _beyond_history(job, number, logs[number])


def _beyond_history(job: Job, number: int, logs: list[AttemptLog]) -> list[AttemptView]:
    is_cancelled = job.status not in (TaskStatus.RUNNING, TaskStatus.SUCCESS)
    # The lines of one that runs come with its end: whatever is there already is another's.
    own = logs.pop() if logs and job.status is not TaskStatus.RUNNING else None
    found = list(map(_cancelled, logs))
    if own is not None or not is_cancelled:
        last = AttemptView(
            number=number,
            worker=job.worker or "",
            started_at=job.started_at,
            finished_at=job.finished_at,
            cancelled=is_cancelled,
            log=own.lines if own else (),
            dropped=own.dropped if own else 0,
        )
        found.append(last)
    return found


def _cancelled(log: AttemptLog) -> AttemptView:
    """Return what is known of an attempt that came to its end, was cancelled all the same, and was followed by others.

    History does not have it, and so the next one has its number again: it is told by its lines alone.
    """
    return AttemptView(
        number=log.attempt,
        worker="",
        started_at=None,
        finished_at=None,
        cancelled=True,
        log=log.lines,
        dropped=log.dropped,
    )


def _cleaned(log: AttemptLog, clean: Callable[[str], str]) -> AttemptLog:
    lines = (line._replace(logger=clean(line.logger), message=clean(line.message)) for line in log.lines)
    return log._replace(lines=tuple(lines))
