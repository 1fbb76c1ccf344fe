"""Fields that several of the forms have."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.utils.translation import gettext as _


class MomentField(forms.DateTimeField):
    """A date and a time in the current time zone, or nothing."""

    def __init__(self, **values: Any) -> None:
        widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
        super().__init__(required=False, widget=widget, **values)


class JSONTextField(forms.CharField):
    """JSON of one kind, a list or an object; cleaned, it is the value."""

    widget = forms.Textarea

    def __init__(self, kind: type, **values: Any) -> None:
        super().__init__(**values)
        self.kind = kind
        self.widget.attrs |= {"rows": 6, "spellcheck": "false", "class": "rt-code"}

    def clean(self, value: Any) -> Any:
        if self.kind is list:
            problem = _('This has to be a JSON list, such as [1, "two"].')
        else:
            problem = _('This has to be a JSON object, such as {"limit": 10}.')
        try:
            found = json.loads(super().clean(value))
        except (ValueError, RecursionError) as exc:
            raise forms.ValidationError(f"{problem} ({exc})") from exc
        if not isinstance(found, self.kind):
            raise forms.ValidationError(problem)
        return found
