"""What somebody may see and do. Each right is a permission on a model, whichever store has the tasks."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeVar

from django.contrib.auth import get_permission_codename
from django.db.models import Model

from ..models import JobRow, ScheduleRow, WorkflowRow


@dataclass(frozen=True, kw_only=True)
class Granted:
    """One user's rights on the pages of one model; those to act are worth nothing without `view`."""

    view: bool = False
    #: To see arguments and results, and what is made of them: a permission on tasks, on all pages.
    view_arguments: bool = False

    model: ClassVar[type[Model]]

    def has(self, name: str) -> bool:
        return self.view and bool(getattr(self, name))


@dataclass(frozen=True, kw_only=True)
class Rights(Granted):
    """On tasks, queues, workers and failures."""

    retry: bool = False
    cancel: bool = False
    discard: bool = False
    run_now: bool = False
    change: bool = False
    edit: bool = False
    pause_queue: bool = False
    clear_queue: bool = False

    model = JobRow

    @property
    def may_edit(self) -> bool:
        """Whoever edits arguments sees them."""
        return self.edit and self.view_arguments


@dataclass(frozen=True, kw_only=True)
class ScheduleRights(Granted):
    add: bool = False
    change: bool = False
    delete: bool = False
    run_now: bool = False

    model = ScheduleRow

    @property
    def may_edit(self) -> bool:
        return self.change and self.view_arguments

    @property
    def may_add(self) -> bool:
        return self.add and self.view_arguments


@dataclass(frozen=True, kw_only=True)
class WorkflowRights(Granted):
    cancel: bool = False
    retry: bool = False

    model = WorkflowRow


G = TypeVar("G", bound=Granted)


def rights_of(user: Any, kind: type[G]) -> G:
    """Return what a user may do, by the permissions on the kind's model."""
    return kind(**{item.name: user.has_perm(_permission(kind, item.name)) for item in fields(kind)})


def _permission(kind: type[Granted], right: str) -> str:
    model = JobRow if right == "view_arguments" else kind.model
    # Django has a word of its own for it.
    action = "delete" if right == "discard" else right
    return f"{model._meta.app_label}.{get_permission_codename(action, model._meta)}"
