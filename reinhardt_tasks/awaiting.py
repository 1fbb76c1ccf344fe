"""Awaiting a project's own code, so that whoever awaits it is neither hung nor cancelled by it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import ParamSpec, TypeVar

from asgiref.sync import sync_to_async

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run an ordinary function beside the loop, where it may ask a database."""

    def call() -> T:
        try:
            return function(*args, **kwargs)
        except StopIteration as exc:
            # No future takes it, and whoever awaits would do so for ever (https://github.com/python/cpython/issues/112182).
            raise RuntimeError("StopIteration was raised") from exc

    return await sync_to_async(call)()


async def drop_cancellation() -> None:
    """Let a cancellation of the current task that was asked for until now, and not raised yet, be raised no more."""
    task = asyncio.current_task()
    if task is None or not task.cancelling():
        return
    while task.uncancel():
        pass
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(0)
