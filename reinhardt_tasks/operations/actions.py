"""What is done to tasks: on some ids, or on all that match, in batches that tell how far they came."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .._compat import TASK_MAX_PRIORITY, TASK_MIN_PRIORITY
from ..brokers.base import Broker, Changes
from ..brokers.lookups import Query
from ..exceptions import OperationRefused
from ..jobs import ENDED_BADLY, WAITING, Job, TaskStatus
from ..queues import is_queue_name
from ..suggestions import did_you_mean
from .stores import Store

logger = logging.getLogger("reinhardt_tasks")

#: Tasks in one batch.
BATCH = 200

_EVERY = frozenset(TaskStatus)
_WAITING = frozenset(WAITING)


@dataclass(frozen=True, kw_only=True)
class Action:
    """Something that can be done to tasks that are in certain states."""

    name: str
    label: str | Promise
    #: What became of a task, for the log.
    done: str
    applies_to: frozenset[TaskStatus]
    destroys: bool = False
    does: Callable[[Broker, Sequence[str]], list[str]] = field(repr=False)


RETRY = Action(
    name="retry",
    label=gettext_lazy("retry"),
    done="retried",
    applies_to=frozenset(ENDED_BADLY),
    does=lambda broker, ids: broker.retry(ids),
)
CANCEL = Action(
    name="cancel",
    label=gettext_lazy("cancel"),
    done="cancelled",
    applies_to=_WAITING | {TaskStatus.RUNNING},
    destroys=True,
    does=lambda broker, ids: broker.cancel(ids),
)
DISCARD = Action(
    name="discard",
    label=gettext_lazy("discard"),
    done="discarded",
    applies_to=_EVERY - {TaskStatus.RUNNING},
    destroys=True,
    does=lambda broker, ids: broker.delete(ids),
)
RUN_NOW = Action(
    name="run-now",
    label=gettext_lazy("run now"),
    done="made ready",
    applies_to=frozenset({TaskStatus.SCHEDULED, TaskStatus.RETRY}),
    does=lambda broker, ids: broker.retry(ids),
)
ACTIONS = {action.name: action for action in (RETRY, CANCEL, DISCARD, RUN_NOW)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """What an action came to: the ids for which it took effect, and why it did not for others."""

    took: Sequence[str] = ()
    #: The tasks' names by the ids that it took.
    names: Mapping[str, str] = field(default_factory=dict)
    left: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One batch of something long. Given as `after`, `after` goes on where this ended; None: it was the last."""

    done: Done
    after: str | None


def act(store: Store, action: Action, ids: Sequence[str]) -> Done:
    """Do something to the tasks among `ids` that are in a state for it; say why not, of the others."""
    return _done(store, action, ids, store.broker.get(ids))


def change(
    store: Store,
    ids: Sequence[str],
    changes: Changes,
) -> Done:
    """Change priority, queue or time of tasks that wait. Raise OperationRefused for what a backend would not take."""
    check_changes(store, changes)
    return _done(store, changes, ids, store.broker.get(ids))


def check_changes(store: Store, changes: Changes) -> None:
    if changes == Changes():
        raise OperationRefused(_("Say what is to be changed: the priority, the queue or the time."))
    if changes.priority is not None and not TASK_MIN_PRIORITY <= changes.priority <= TASK_MAX_PRIORITY:
        raise OperationRefused(
            _("A priority lies between -100 and 100; {priority} does not.").format(priority=changes.priority)
        )
    known = store.backend.queues
    if changes.queue is not None and (not is_queue_name(changes.queue) or known and changes.queue not in known):
        raise OperationRefused(
            _("TASKS[{alias}]['QUEUES'] has no {queue}{hint}.").format(
                alias=repr(store.alias), queue=repr(changes.queue), hint=did_you_mean(changes.queue, known)
            )
        )


def on_all(
    store: Store, deed: Action | Changes, query: Query, *, after: str | None = None, limit: int | None = None
) -> Iterator[Step]:
    """Do something to all tasks that match, newest first, up to `limit` of them; yield after each batch.

    What is enqueued meanwhile is left alone; with bound_of() for `after`, so is what was since that was asked for. Whoever
    stops goes on later with `after` of the last step. Raise QueueError where the store is away; the steps before it stand.
    """
    if isinstance(deed, Changes):
        check_changes(store, deed)
    narrowed = narrowed_to(query, deed)
    if not narrowed.statuses:
        yield Step(done=Done(), after=None)
        return
    left = limit
    while left is None or left > 0:
        page = store.broker.search(narrowed, after, BATCH if left is None else min(BATCH, left))
        jobs = {job.id: job for job in page.jobs}
        done = _done(store, deed, list(jobs), jobs) if jobs else Done()
        after = page.after
        left = None if left is None else left - len(jobs)
        yield Step(done=done, after=after)
        if after is None:
            return


def narrowed_to(query: Query, deed: Action | Changes) -> Query:
    """Return a search for those of the tasks that are in a state for it: for none, where no state is left."""
    asked = TaskStatus if query.statuses is None else query.statuses
    return replace(query, statuses=tuple(status for status in asked if status in _states(deed)))


def _states(deed: Action | Changes) -> frozenset[TaskStatus]:
    return deed.applies_to if isinstance(deed, Action) else _WAITING


def _done(store: Store, deed: Action | Changes, ids: Sequence[str], jobs: Mapping[str, Job]) -> Done:
    """Do it to `ids`; `jobs` are those that there were a moment ago."""
    fit = [id_ for id_ in dict.fromkeys(ids) if id_ in jobs and jobs[id_].status in _states(deed)]
    taken: set[str] = set()
    if fit:
        does = store.broker.change(fit, deed) if isinstance(deed, Changes) else deed.does(store.broker, fit)
        taken = set(does)
    took = [id_ for id_ in fit if id_ in taken]
    left = {}
    for id_ in ids:
        if id_ in taken:
            continue
        if id_ not in jobs:
            left[id_] = _("There is no such task (any more).")
        elif jobs[id_].status not in _states(deed):
            left[id_] = _("It is {status}.").format(status=jobs[id_].status.value)
        else:
            left[id_] = _("It changed meanwhile, or only its record is kept here.")
    if took:
        word = deed.done if isinstance(deed, Action) else "changed"
        logger.info("Tasks %s by hand: backend=%s count=%d first=%s", word, store.alias, len(took), took[0])
    return Done(took=took, names={id_: jobs[id_].name for id_ in took}, left=left)
