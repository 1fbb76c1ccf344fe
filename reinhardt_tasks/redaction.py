"""What people see of a call: its arguments, those that `@task(redact=…)` names replaced. Everybody who shows some asks here."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from ._compat import CoreTask
from .calls import call_parameters
from .cuts import CUT
from .exceptions import OperationRefused, SerializationFailed, TaskNotFound
from .jobs import Job
from .registry import registry
from .serialization import decode_call, shown_json
from .workflow_states import filled_later

#: What stands in the place of an argument that nobody is to see.
REDACTED = "[redacted]"
#: Letters that a redacted text has at least for its being looked for elsewhere: a shorter one would blot out anything.
_LEAST = 4


@dataclass(frozen=True, slots=True)
class ShownCall:
    """A call's arguments as people see them."""

    args: list[Any]
    kwargs: dict[str, Any]
    #: Why there are none to be seen, where what is stored cannot be read.
    problem: str = ""
    is_redacted: bool = False

    @property
    def text(self) -> str:
        """The arguments as JSON text, on one line."""
        return shown_json([self.args, self.kwargs])

    def __str__(self) -> str:
        """Show the arguments as a call has them, their values as JSON: (1, name="ada")."""
        parts = [shown_json(value) for value in self.args]
        parts += [f"{name}={shown_json(value)}" for name, value in self.kwargs.items()]
        return f"({', '.join(parts)})"


def shown_call(job: Job, *, everything: bool = False) -> ShownCall:
    """Return a job's arguments as people may see them; with `everything`, all of them redacted.

    Of a task that is not registered here nobody can say what is secret: all of its arguments are redacted.
    """
    try:
        args, kwargs, _headers = decode_call(job.payload)
    except (SerializationFailed, RecursionError) as exc:
        return ShownCall([], {}, problem=str(exc))
    if everything:
        return _shown(args, kwargs, set(_places(args, kwargs)))
    try:
        task = registry.get(job.name)
    except TaskNotFound:
        return _shown(args, kwargs, set(_places(args, kwargs)))
    return redacted_call(task, args, kwargs)


def redacted_call(task: CoreTask, args: Sequence[Any], kwargs: Mapping[str, Any]) -> ShownCall:
    """Return a call of `task` as people may see it."""
    return _shown(args, kwargs, secret_places(task, args, kwargs))


def secret_places(task: CoreTask, args: Sequence[Any], kwargs: Mapping[str, Any]) -> set[int | str]:
    """Return the positions and the names of the arguments that nobody is to see."""
    redact = getattr(task, "redact", ())
    if redact is True:
        return set(_places(args, kwargs))
    if not redact:
        return set()
    secret: set[int | str] = {name for name in kwargs if name in redact}
    parameters = call_parameters(task)
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    rest = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), None)
    for position in range(len(args)):
        # One that the function has no parameter for was enqueued for an older one: it may be anything.
        name = names[position] if position < len(names) else rest
        if name is None or name in redact:
            secret.add(position)
    others = next((p.name for p in parameters if p.kind is p.VAR_KEYWORD), None)
    known = {p.name for p in parameters if p.kind is not p.VAR_KEYWORD}
    return secret | {name for name in kwargs if name not in known and (others is None or others in redact)}


def hides(task: CoreTask | None) -> bool:
    """Return whether a task has arguments that nobody is to see."""
    return bool(getattr(task, "redact", ()))


def may_hide(name: str) -> bool:
    """Return whether a task of this name has arguments that nobody is to see, or is not known here."""
    return not registry.has(name) or hides(registry.get(name))


def without_secrets(job: Job, text: str) -> str:
    """Return a text about a job, such as a traceback, without the values of its redacted arguments."""
    return cleaner(job)(text)


def cleaner(job: Job, *, everything: bool = False) -> Callable[[str], str]:
    """Return what does so for many texts about one job; with `everything`, it takes out the values of all arguments.

    Where these cannot be read, so that nobody can say what to take out, nothing is left of a text that may hold one of them:
    a worker's loop asks, and no payload may end that. So it is with those that are results of other steps: they are put in
    when the job runs, and its payload lacks them.
    """
    if not everything and not may_hide(job.name):
        return _as_it_is
    try:
        args, kwargs, headers = decode_call(job.payload)
        places = set(_places(args, kwargs))
        if not everything and registry.has(job.name):
            places = secret_places(registry.get(job.name), args, kwargs)
        return _nothing_of if places & filled_later(headers) else _cleaner(args, kwargs, places)
    except Exception:
        return _nothing_of


def call_cleaner(task: CoreTask, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Callable[[str], str]:
    """Return the same for texts about one call of a task, of which all arguments are at hand."""
    if not hides(task):
        return _as_it_is
    try:
        return _cleaner(args, kwargs, secret_places(task, args, kwargs))
    except Exception:
        return _nothing_of


def cleaned_value(value: Any, clean: Callable[[str], str]) -> Any:
    """Return a JSON value whose texts, numbers and keys are cleaned; a number that was one to hide is a text then."""
    if clean is _as_it_is:
        return value
    match value:
        case str():
            return clean(value)
        case dict():
            return {clean(key): cleaned_value(item, clean) for key, item in value.items()}
        case list() | tuple():
            return [cleaned_value(item, clean) for item in value]
        case int() | float() if not isinstance(value, bool) and clean(str(value)) != str(value):
            return clean(str(value))
        case _:
            return value


def _as_it_is(text: str) -> str:
    return text


def _nothing_of(text: str) -> str:
    return REDACTED if text else text


def _cleaner(args: Sequence[Any], kwargs: Mapping[str, Any], places: set[int | str]) -> Callable[[str], str]:
    values = {leaf for place in places for leaf in _leaves(_value(args, kwargs, place))}
    forms = [
        form
        for value in sorted(values, key=len, reverse=True)
        for form in (value, repr(value)[1:-1], json.dumps(value)[1:-1])
    ]
    return (lambda text: _without(text, forms)) if forms else _as_it_is


def _without(text: str, forms: Sequence[str]) -> str:
    for form in forms:
        text = text.replace(form, REDACTED)
    if CUT not in text:
        return text
    # The cut may have gone through a value, and have left a part of it at the edge.
    first, *others = text.split(CUT)
    turned = [form[::-1] for form in forms]
    others = [_without_begun(piece[::-1], turned, REDACTED[::-1])[::-1] for piece in others]
    *before, last = [first, *others]
    return CUT.join([*(_without_begun(piece, forms, REDACTED) for piece in before), last])


def _without_begun(text: str, forms: Sequence[str], redacted: str) -> str:
    """Return a text without what begins one of the forms at its end, before the newlines that may stand next to a cut."""
    body = text.rstrip("\n")
    letters = _begun(body, forms)
    return body[:-letters] + redacted + text[len(body) :] if letters else text


def _begun(text: str, forms: Sequence[str]) -> int:
    """Return how many letters at the end of a text begin one of the forms."""
    for form in forms:
        at = text.find(form[:_LEAST], max(0, len(text) - len(form)))
        while at >= 0:
            if form.startswith(text[at:]):
                return len(text) - at
            at = text.find(form[:_LEAST], at + 1)
    return 0


def restored_call(
    task: CoreTask,
    stored: tuple[Sequence[Any], Mapping[str, Any]],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> tuple[list[Any], dict[str, Any]]:
    """Return edited arguments with what is stored in the places where only the placeholder was seen, and was left.

    Raise OperationRefused for a placeholder in another place, where something is hidden: it would be stored as it stands.
    """
    secret = secret_places(task, *stored)
    if secret:
        refuse_placeholders(args, kwargs, but=secret)
    new_args, new_kwargs = list(args), dict(kwargs)
    for position, value in enumerate(args):
        if value == REDACTED and position in secret:
            new_args[position] = stored[0][position]
    for name, value in kwargs.items():
        if value == REDACTED and name in secret:
            new_kwargs[name] = stored[1][name]
    return new_args, new_kwargs


def refuse_placeholders(
    args: Sequence[Any], kwargs: Mapping[str, Any], *, but: Collection[int | str] = frozenset()
) -> None:
    """Raise OperationRefused where an edited argument is the placeholder, `but` in the places where that stands for something."""
    for place in _places(args, kwargs):
        if _value(args, kwargs, place) == REDACTED and place not in but:
            raise OperationRefused(
                _(
                    "{place} is {redacted}, which stands for a stored argument only in that one's own place, and of the "
                    "same task: give the value itself."
                ).format(place=_place_in_words(place), redacted=REDACTED)
            )


def _place_in_words(place: int | str) -> str:
    if isinstance(place, int):
        return _("Argument {number} by position").format(number=place + 1)
    return _("Argument {name}").format(name=repr(place))


def _places(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Iterator[int | str]:
    yield from range(len(args))
    yield from kwargs


def _value(args: Sequence[Any], kwargs: Mapping[str, Any], place: int | str) -> Any:
    return args[place] if isinstance(place, int) else kwargs[place]


def _shown(args: Sequence[Any], kwargs: Mapping[str, Any], secret: set[int | str]) -> ShownCall:
    return ShownCall(
        [REDACTED if position in secret else value for position, value in enumerate(args)],
        {name: REDACTED if name in secret else value for name, value in kwargs.items()},
        is_redacted=bool(secret),
    )


def _leaves(value: Any) -> Iterator[str]:
    # Not by recursion: what JSON's decoder reads may be nested deeper than that goes.
    left = [value]
    while left:
        match left.pop():
            case str(text) if len(text) >= _LEAST:
                yield text
            case dict(items):
                left.extend(items.values())
            case list() | tuple() as items:
                left.extend(items)
            case (int() | float()) as number if not isinstance(number, bool) and len(str(number)) >= _LEAST:
                yield str(number)
