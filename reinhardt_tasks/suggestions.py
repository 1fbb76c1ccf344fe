"""What is said of a name that there is not: the one that was probably meant, or those that there are."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

from .speech import gettext as _

_EXAMPLE = "TASKS = {'default': {'BACKEND': 'reinhardt_tasks.backends.DatabaseBackend'}}"


def nearest(name: Any, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the known name that is nearest, or None where none is near."""
    return next(iter(difflib.get_close_matches(str(name), list(known), n=1, cutoff=cutoff)), None)


def did_you_mean(name: Any, known: Iterable[str]) -> str:
    """Return " (did you mean 'x'?)" with the known name that is nearest, and nothing where none is near."""
    near = nearest(name, known)
    return _(" (did you mean {name}?)").format(name=repr(near)) if near else ""


def no_backend(alias: str, known: Sequence[str]) -> str:
    """Return what is said of an alias that TASKS lacks; it has those that are known."""
    if not known:
        return _("TASKS has no backend {alias}: it is empty. Write {example} in your settings.").format(
            alias=repr(alias), example=_EXAMPLE
        )
    return _("TASKS has no backend {alias}{hint}; it has {known}.").format(
        alias=repr(alias), hint=did_you_mean(alias, known), known=", ".join(map(repr, known))
    )
