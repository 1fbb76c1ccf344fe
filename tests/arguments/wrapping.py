"""A decorator of a module that knows nothing of what the wrapped functions' annotations name."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


def watched(func: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(func)
    def run(*args: Any, **kwargs: Any) -> Any:
        return func(*args, **kwargs)

    return run
