"""Fields that several of the forms have."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, NoReturn

from django import forms
from django.utils import timezone
from django.utils.functional import lazy
from django.utils.translation import gettext as _

#: Years beyond these are slips of the keyboard; those furthest out are no times at all in some zones.
_FIRST, _LAST = 1900, 9000


class _MomentInput(forms.DateTimeInput):
    """As browsers want it; with seconds only where these are not nought, or else they would be lost when it is saved."""

    input_type = "datetime-local"

    def format_value(self, value: Any) -> str | None:
        if not isinstance(value, datetime):
            return None if value is None else str(value)
        return value.replace(tzinfo=None).isoformat(timespec="auto" if value.microsecond or value.second else "minutes")


class MomentField(forms.DateTimeField):
    """A date and a time in the current time zone, which its help names, or nothing."""

    def __init__(self, **values: Any) -> None:
        super().__init__(**{"required": False, "widget": _MomentInput(), "help_text": _zone_of_moments(), **values})

    def clean(self, value: Any) -> Any:
        moment = super().clean(value)
        if moment is not None and not _FIRST <= moment.year <= _LAST:
            raise forms.ValidationError(_("The year of this is too early or too late."))
        return moment


class JSONTextField(forms.CharField):
    """JSON of one kind, a list or an object; cleaned, it is the value, or None where it may be empty and is."""

    widget = forms.Textarea

    def __init__(self, kind: type, **values: Any) -> None:
        super().__init__(**values)
        self.kind = kind
        self.widget.attrs |= {"rows": 4, "spellcheck": "false", "class": "rt-code"}

    def clean(self, value: Any) -> Any:
        if self.kind is list:
            problem = _('This has to be a JSON list, such as [1, "two"].')
        else:
            problem = _('This has to be a JSON object, such as {"limit": 10}.')
        text = super().clean(value)
        if not text:
            return None
        try:
            found = json.loads(text, parse_constant=_refuse)
        except (ValueError, RecursionError) as exc:
            raise forms.ValidationError(f"{problem} ({exc})") from exc
        if not isinstance(found, self.kind):
            raise forms.ValidationError(problem)
        return found


def _zone_in_words() -> str:
    return _("By the clock of {zone}.").format(zone=timezone.get_current_timezone_name())


#: Which it is, is known when a page is made.
_zone_of_moments = lazy(_zone_in_words, str)


def _refuse(constant: str) -> NoReturn:
    """Refuse what Python alone takes for JSON: NaN, Infinity."""
    raise ValueError(constant)
