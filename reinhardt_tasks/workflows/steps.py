"""A step: a task with its arguments, and what follows if it fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from .._compat import CoreTask
from ..calls import check_call
from ..exceptions import InvalidWorkflow
from ..serialization import dumps
from ..suggestions import did_you_mean
from .placeholders import Placeholder, ResultOf, previous_result, without_placeholders
from .plans import Ground, Laid, Node
from .sources import OfEach, OfEither, OfStep, Source

STOP, CONTINUE, HANDLE = "stop", "continue", "handle"


class Part(Protocol):
    """What workflows are made of: steps, chains, groups, workflows."""

    @property
    def part_name(self) -> str | None: ...

    def lay(self, ground: Ground, before: Sequence[int], previous: Source) -> Laid:
        """Lay this part out after the nodes `before`; `previous` is where `previous_result` comes from."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Step:
    """One call of a task in a workflow. Made by `step(task, …)`; its methods return changed copies."""

    task: CoreTask
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    name: str | None = None
    policy: str = STOP
    instead: Any = None
    handler: Step | None = None
    over: Placeholder | None = None

    @property
    def label(self) -> str:
        """Its name, or the task's."""
        return self.name or self.task.func.__name__

    @property
    def part_name(self) -> str | None:
        return self.name

    def named(self, name: str) -> Step:
        """Give it a name, by which `result_of` and `after` find it. A name is there once in a workflow."""
        return replace(self, name=checked_name(name))

    def using(self, **changes: Any) -> Step:
        """Change how its task is enqueued: what the task's own `using()` takes."""
        return replace(self, task=self.task.using(**changes))

    def on_failure(self, what: str | Step | CoreTask, *, instead: Any = None) -> Step:
        """Say what follows when it has failed for good, or was cancelled.

        "stop" (the default): the workflow has failed, and begins no further step. "continue": what comes after it runs, and
        finds `instead` where its result would be. A step: that runs, and its result stands in the place of the failed one's;
        it may have the placeholder `failure` among its arguments.
        """
        if isinstance(what, str):
            if what not in (STOP, CONTINUE):
                raise ValueError(
                    f'on_failure() takes "stop", "continue" or a step, not {what!r}{did_you_mean(what, [STOP, CONTINUE])}.'
                )
            if what == STOP and instead is not None:
                raise ValueError(
                    '`instead` is for on_failure("continue"): a workflow that stops has nobody to read it.'
                )
            dumps(instead, f"`instead` of step {self.label}")
            return replace(self, policy=what, instead=instead, handler=None)
        if instead is not None:
            raise ValueError(
                '`instead` goes with "continue": where a step handles the failure, that one\'s result counts.'
            )
        handler = as_part(what)
        if not isinstance(handler, Step):
            raise TypeError(f"A failure is handled by one step, not by a {type(handler).__name__}.")
        return replace(self, policy=HANDLE, handler=handler, instead=None)

    def for_each(self, items: Placeholder) -> Step:
        """Run it once for each item of an earlier result, side by side; `item` among its arguments is that item.

        `items` is `previous_result` or `result_of(…)`, and must come to a list. The results are a list in the same order.
        """
        if items is not previous_result and not isinstance(items, ResultOf):
            raise TypeError(
                f"for_each() takes previous_result or result_of(…), not {items!r}. For what is known already, write a group."
            )
        return replace(self, over=items)

    def lay(self, ground: Ground, before: Sequence[int], previous: Source) -> Laid:
        return self._lay(ground, Node(step=self, before=set(before), previous=previous))

    def _lay(self, ground: Ground, node: Node) -> Laid:
        index = ground.add(node)
        laid = Laid([index], OfStep(index))
        if self.over is not None:
            self._refuse_handling(ground, node)
            laid = Laid([ground.add(Node(step=None, before={index}))], OfEach(index))
        elif self.handler is not None:
            guard = Node(step=self.handler, before={index}, previous=node.previous, guards=index)
            handled = self.handler._lay(ground, guard)
            laid = Laid(handled.exits, OfEither(index, handled.source))
        ground.call(self.name, laid)
        return laid

    def _refuse_handling(self, ground: Ground, node: Node) -> None:
        if self.handler is not None or node.guards is not None:
            raise InvalidWorkflow(
                f"Step {self.label!r} of workflow {ground.title!r} is run for each item, and "
                f"{'handles a failure' if node.guards is not None else 'has a handler of failures'}: that cannot be. Its task may "
                'catch what it expects, or write on_failure("continue", instead=…), which counts for each item.'
            )


def step(task: CoreTask, /, *args: Any, **kwargs: Any) -> Step:
    """Return a step that calls `task` with these arguments; placeholders may stand among them.

    Raise TypeError where the task cannot be called so.
    """
    if not isinstance(task, CoreTask):
        raise TypeError(f"step() takes a task (a function with @task), not {task!r}.")
    check_call(task, [without_placeholders(arg) for arg in args], kwargs)
    return Step(task=task, args=args, kwargs=kwargs)


def as_part(what: Any, /, *args: Any, **kwargs: Any) -> Part:
    """Return a part of a workflow: itself, or a step for a task with these arguments."""
    if isinstance(what, CoreTask):
        return step(what, *args, **kwargs)
    if args or kwargs:
        raise TypeError(f"Arguments go with a task; {what!r} has its own.")
    if not hasattr(what, "lay"):
        raise TypeError(
            f"A workflow is made of tasks, steps, groups, chains and workflows; {what!r} is none. Write step(task, …)."
        )
    part: Part = what
    return part


def checked_name(name: Any) -> str:
    if not isinstance(name, str) or not name or len(name) > 200:
        raise ValueError(f"A name is a text of at most 200 letters, not {name!r}.")
    return name
