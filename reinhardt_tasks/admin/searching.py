"""The filters over the list of tasks: from what a person has chosen to a question for a store."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import QueryDict
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ..jobs import TaskStatus
from ..operations import Query, Store
from ..operations.queues import known_queues
from ..registry import registry
from . import states
from .fields import MomentField

_PERIODS: dict[str, tuple[str | Promise, timedelta | None]] = {
    "": (gettext_lazy("any time"), None),
    "15m": (gettext_lazy("last 15 minutes"), timedelta(minutes=15)),
    "1h": (gettext_lazy("last hour"), timedelta(hours=1)),
    "24h": (gettext_lazy("last 24 hours"), timedelta(days=1)),
    "7d": (gettext_lazy("last 7 days"), timedelta(days=7)),
}
_FIRST = ("q", "queue", "period")
#: What is taken for (the beginning of) an id: six digits of one or more.
_ID = re.compile(r"[0-9a-f]{6}[0-9a-f-]*", re.IGNORECASE)
#: What may be a task's whole name, which is the path of a function.
_WHOLE = re.compile(r"\w+(\.\w+)+")


def exactly(name: str) -> str:
    """Return the words of a search for the tasks of this very name, whether or not the code here has it."""
    return f'"{name}"'


class SearchForm(forms.Form):
    """The filters of one store. Whoever may not see arguments has no filter over them either: its answers would tell."""

    q = forms.CharField(label=gettext_lazy("Id or name"), required=False, max_length=257, strip=True)
    queue = forms.ChoiceField(label=gettext_lazy("Queue"), required=False)
    period = forms.ChoiceField(
        label=gettext_lazy("Enqueued"),
        required=False,
        choices=[(key, words) for key, (words, _span) in _PERIODS.items()],
    )
    since = MomentField(label=gettext_lazy("Enqueued from"))
    until = MomentField(label=gettext_lazy("Enqueued until"))
    finished_since = MomentField(label=gettext_lazy("Finished from"))
    finished_until = MomentField(label=gettext_lazy("Finished until"))
    worker = forms.CharField(label=gettext_lazy("Worker's id"), required=False, max_length=255, strip=True)
    exception = forms.CharField(label=gettext_lazy("Exception"), required=False, max_length=255, strip=True)
    place = forms.CharField(label=gettext_lazy("Failed at"), required=False, max_length=1000, strip=True)
    text = forms.CharField(label=gettext_lazy("In the arguments"), required=False, max_length=200, strip=True)

    #: Names of tasks that `q` may mean, where these are several.
    candidates: tuple[str, ...] = ()

    def __init__(self, data: QueryDict, store: Store, *, with_arguments: bool) -> None:
        super().__init__(data, prefix=None, auto_id="rt-%s", use_required_attribute=False)
        self.store = store
        if not with_arguments:
            if data.get("text"):
                # To leave the filter out would find, and do something to, more than was asked for.
                raise PermissionDenied
            del self.fields["text"]
        queues = known_queues(store)
        # A link may name a queue that has become empty.
        if (asked := data.get("queue", "")) and asked not in queues:
            queues.append(asked)
        choices = [("", _("all queues")), *((queue, queue) for queue in queues)]
        self.fields["queue"].choices = choices  # type: ignore[attr-defined]
        self.fields["q"].widget.attrs["type"] = "search"
        self.fields["q"].widget.attrs["list"] = "rt-names"

    @property
    def state(self) -> str:
        asked = self.data.get("state", "all")
        return asked if asked in states.TABS else "all"

    @property
    def is_narrowed(self) -> bool:
        """Whether anything but the state is chosen."""
        return any(self.data.get(name) for name in self.fields)

    @property
    def first_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in _FIRST]

    @property
    def more_fields(self) -> list[forms.BoundField]:
        """Those that are folded away until somebody wants them."""
        return [self[name] for name in self.fields if name not in _FIRST]

    @property
    def is_more_asked(self) -> bool:
        return any(self.data.get(field.name) for field in self.more_fields)

    @property
    def names(self) -> list[str]:
        return sorted(registry.list())

    def meaning(self, field: str, query: Query | None) -> str:
        """Return what was entered in a field; of a part of a name the whole name that it was taken for."""
        name = query.name if query is not None and field == "q" else None
        return str(self.data.get(field, "")) if name is None else name

    def query(self, now: datetime | None = None) -> Query | None:
        """Return the question; None where what was entered makes none, which the form's errors or `candidates` tell.

        A last hour is the one before `now`, which whoever comes back to a question has kept.
        """
        if not self.is_valid():
            return None
        chosen = self.cleaned_data
        status = states.TABS[self.state][1]
        since = chosen.get("since")
        if (span := _PERIODS[chosen.get("period") or ""][1]) is not None:
            since = max(filter(None, [since, (now or timezone.now()) - span]))
        by_id, name = self._meant(chosen["q"])
        if self.candidates:
            return None
        return Query(
            statuses=None if status is None else (TaskStatus(status),),
            queue=chosen["queue"] or None,
            name=name,
            id_prefix=by_id,
            enqueued_since=since,
            enqueued_until=chosen.get("until"),
            finished_since=chosen.get("finished_since"),
            finished_until=chosen.get("finished_until"),
            worker=chosen["worker"] or None,
            exception=chosen["exception"] or None,
            place=chosen["place"] or None,
            text=chosen.get("text") or None,
        )

    def kept(self, **changes: str) -> str:
        """Return the query string that leads here again, with some things changed."""
        known = ["backend", "state", *self.fields]
        kept = {key: self.data.get(key, "") for key in known} | changes
        found = QueryDict(mutable=True)
        found.update({key: value for key, value in kept.items() if value})
        return found.urlencode()

    def _meant(self, words: str) -> tuple[str | None, str | None]:
        """Return the id's beginning and the name that the words of the search stand for."""
        if not words:
            return None, None
        if _ID.fullmatch(words):
            return words, None
        names = registry.list()
        if (exact := words.strip('"')) in names or exact != words:
            return None, exact
        alike = [name for name in names if words.casefold() in name.casefold()]
        may_be_whole = _WHOLE.fullmatch(words) is not None
        if len(alike) == 1 and (not may_be_whole or alike[0].endswith(f".{words}")):
            return None, alike[0]
        # One that no code here knows may still be in the store, by its whole name: it is nobody else's.
        self.candidates = tuple(sorted([*alike, words] if alike and may_be_whole else alike))
        return None, words
