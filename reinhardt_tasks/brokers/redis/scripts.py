"""The Lua scripts: read once, called by their hash, loaded again where the server does not know them (any more)."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from redis.exceptions import NoScriptError

_FOLDER = files(__package__) / "lua"


class Script:
    """One script. Calling it is one round trip, or two where the server has lost it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = "".join(
            (_FOLDER / f"{part}.lua").read_text("utf-8") for part in ("common", "gates", "stores", name)
        )
        # The name by which Redis knows a script, nothing that keeps a secret.
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    def __call__(self, send: Callable[..., Any], base: str, args: Sequence[Any], answer: str | None = None) -> Any:
        """Have it run by `send`, which sends one command and returns its answer.

        `answer` is a key that keeps the answer of a script which would give another one when it is sent again.
        """
        keys = [base] if answer is None else [base, answer]
        try:
            return send("EVALSHA", self.sha, len(keys), *keys, *args)
        except NoScriptError:
            return send("EVAL", self.text, len(keys), *keys, *args)

    async def acall(self, send: Callable[..., Awaitable[Any]], base: str, args: Sequence[Any]) -> Any:
        """See __call__(), on an event loop."""
        try:
            return await send("EVALSHA", self.sha, 1, base, *args)
        except NoScriptError:
            return await send("EVAL", self.text, 1, base, *args)


@cache
def script(name: str) -> Script:
    """Return the script in `lua/<name>.lua`."""
    return Script(name)
