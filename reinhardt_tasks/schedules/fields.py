"""The fields of a cron expression: what each may hold, and a sentence for whoever wrote something else into one."""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.utils.translation import gettext_noop

from ..exceptions import InvalidSchedule
from ..speech import gettext as _
from ..suggestions import nearest

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")

#: The words that stand for an expression of five fields.
WORDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


@dataclass(frozen=True)
class Field:
    """One place of an expression: its name, the numbers that it takes, and the names that stand for some of them."""

    name: str
    least: int
    most: int
    names: tuple[str, ...] = ()
    first_name: int = 0
    #: How many values it goes through; a step of so many or more is none.
    span: int = 60

    def number(self, text: str) -> int | None:
        """Return the number that a text stands for, or None."""
        if text.isascii() and text.isdigit():
            return int(text) if self.least <= int(text) <= self.most else None
        return self.names.index(text) + self.first_name if text in self.names else None


SECOND = Field(gettext_noop("second"), 0, 59)
MINUTE = Field(gettext_noop("minute"), 0, 59)
HOUR = Field(gettext_noop("hour"), 0, 23, span=24)
DAY_OF_MONTH = Field(gettext_noop("day of the month"), 1, 31, span=31)
MONTH = Field(gettext_noop("month"), 1, 12, MONTHS, 1, span=12)
DAY_OF_WEEK = Field(gettext_noop("day of the week"), 0, 7, DAYS, span=7)

FIELDS = (MINUTE, HOUR, DAY_OF_MONTH, MONTH, DAY_OF_WEEK)


def fields_of(expression: str, *, seconds: bool) -> list[str]:
    """Return the fields of an expression in small letters, the second first where there is one.

    Raise InvalidSchedule, which says which field is wrong and why, for what is no expression.
    """
    text = expression.strip().lower()
    if text.startswith("@"):
        return ["0", *_word(expression, text).split()] if seconds else _word(expression, text).split()
    parts = text.split()
    kinds = (SECOND, *FIELDS) if seconds else FIELDS
    if len(parts) != len(kinds):
        raise InvalidSchedule(
            _("Cron expression {expression} has {number_of}{advice}").format(
                expression=repr(expression), number_of=_number_of(len(parts)), advice=_advice(parts, seconds)
            )
        )
    for kind, part in zip(kinds, parts, strict=True):
        if (problem := _problem(kind, part)) is not None:
            raise InvalidSchedule(
                _("Cron expression {expression}: the {name} field {part} {problem}").format(
                    expression=repr(expression), name=_(kind.name), part=repr(part), problem=problem
                )
            )
    return parts


def _word(expression: str, text: str) -> str:
    if text in WORDS:
        return WORDS[text]
    near = nearest(text, WORDS)
    hint = (
        _("did you mean {near}?").format(near=repr(near))
        if near
        else _("known are {known}.").format(known=", ".join(WORDS))
    )
    raise InvalidSchedule(
        _("Cron expression {expression} is no word that names times of the clock: {hint}").format(
            expression=repr(expression), hint=hint
        )
    )


def _number_of(count: int) -> str:
    return _("one field") if count == 1 else _("{number} fields").format(number=count)


def _advice(parts: list[str], seconds: bool) -> str:
    order = ", ".join(_(kind.name) for kind in FIELDS)
    if len(parts) == 6 and not seconds:
        return _(
            "; five are expected ({order}). With seconds=True a sixth is read, which stands first: the second."
        ).format(order=order)
    if len(parts) == 5 and seconds:
        return _(
            "; with seconds=True six are expected (second, {order}). Write '0 ' before it for whole minutes."
        ).format(order=order)
    words = _("; six are expected (second, {order}).") if seconds else _("; five are expected ({order}).")
    return words.format(order=order)


def _problem(kind: Field, text: str) -> str | None:
    """Return what is wrong with the text of one field, or None."""
    for part in text.split(","):
        if not part:
            return _("has a comma with nothing beside it.")
        body, slash, step = part.partition("/")
        if slash and (problem := _step_problem(kind, step)):
            return problem
        if (problem := _body_problem(kind, body)) is not None:
            return problem
    return None


def _step_problem(kind: Field, step: str) -> str | None:
    if not (step.isascii() and step.isdigit()):
        return _("has the step {step}, which is no whole number.").format(step=repr(step))
    if int(step) == 0:
        return _("has the step 0.")
    if int(step) >= kind.span:
        return _(
            "has the step {step}, and goes round after {span}: each round would have one time only. Write the "
            "number itself, or use IntervalSchedule for what the clock has no round number of."
        ).format(step=step, span=kind.span)
    return None


def _body_problem(kind: Field, body: str) -> str | None:
    if body == "*" or (body == "?" and kind in (DAY_OF_MONTH, DAY_OF_WEEK)):
        return None
    if _is_special(kind, body):
        return None
    if re.match(r"[hr](\(|$)", body):
        return _("has H or R, which would be other times in each process. Use jitter= to spread schedules.")
    first, dash, last = body.partition("-")
    for text in [first, last] if dash else [first]:
        if kind.number(text) is None:
            return _value_problem(kind, text)
    if dash and kind.number(first) == kind.number(last):
        return _("has the range {body} of one value. Write {first}.").format(body=repr(body), first=repr(first))
    return None


def _is_special(kind: Field, body: str) -> bool:
    if kind is DAY_OF_MONTH:
        return body == "l" or re.fullmatch(r"(\d{1,2})w|w(\d{1,2})", body) is not None
    if kind is DAY_OF_WEEK:
        if last := re.fullmatch(r"l([0-7])", body):
            return kind.number(last[1]) is not None
        if nth := re.fullmatch(r"(\w+)(?:-(\w+))?#([1-5])", body):
            return all(kind.number(text) is not None for text in nth.group(1, 2) if text)
    return False


def _value_problem(kind: Field, text: str) -> str:
    what = repr(text) if text else _("nothing")
    least, most = kind.least, kind.most
    if kind.names and text.isalpha():
        near = nearest(text, kind.names)
        hint = (
            _("did you mean {near}?").format(near=repr(near))
            if near
            else _("names are {known}.").format(known=", ".join(kind.names))
        )
        return _("has {what}, which is none of its names: {hint}").format(what=what, hint=hint)
    names = _(" or {first}–{last}").format(first=kind.names[0], last=kind.names[-1]) if kind.names else ""
    return _("has {what} where a number from {least} to {most}{names} is expected.").format(
        what=what, least=least, most=most, names=names
    )
