"""What people can do to tasks from the pages: each with its right, its words, and whether it is asked about first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from ..jobs import WAITING, TaskStatus
from ..operations import ACTIONS, Action


@dataclass(frozen=True, kw_only=True)
class Deed:
    """One button. `action` is None for a change, whose values are asked for."""

    name: str
    right: str
    label: Any
    question: Any
    #: For the admin's history, in English: it is translated for whoever reads it.
    done: str
    applies_to: frozenset[TaskStatus]
    action: Action | None = None
    destroys: bool = False

    @property
    def asks_first(self) -> bool:
        return self.destroys or self.action is None


def _deed(name: str, right: str, label: Any, question: Any, done: str) -> Deed:
    action = ACTIONS[name]
    return Deed(
        name=name,
        right=right,
        label=label,
        question=question,
        done=done,
        applies_to=action.applies_to,
        action=action,
        destroys=action.destroys,
    )


DEEDS = {
    deed.name: deed
    for deed in (
        _deed("retry", "retry", _("Retry"), _("Retry these tasks?"), gettext_noop("Retried.")),
        _deed("run-now", "run_now", _("Run now"), _("Run these tasks now?"), gettext_noop("Made ready to run now.")),
        Deed(
            name="change",
            right="change",
            label=_("Change priority, queue or time"),
            question=_("Change these tasks?"),
            done=gettext_noop("Changed."),
            applies_to=frozenset(WAITING),
        ),
        _deed("cancel", "cancel", _("Cancel"), _("Cancel these tasks?"), gettext_noop("Cancelled.")),
        _deed("discard", "discard", _("Discard"), _("Discard these tasks?"), gettext_noop("Discarded.")),
    )
}
