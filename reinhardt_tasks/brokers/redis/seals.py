"""Signed arguments: what nobody with one of the project's keys has written never runs.

The signature covers the id and the task's name too, so that arguments cannot be moved to another task. Metadata, results
and states are not signed: whoever can write to the server can end or lose a task, not make one up.
"""

from __future__ import annotations

from django.core.signing import BadSignature, Signer

from ...serialization import REFUSED

_SALT = "reinhardt_tasks.payload"


class Seal:
    """Signs with SECRET_KEY, and takes what SECRET_KEY_FALLBACKS have signed too."""

    def put_on(self, id_: str, name: str, payload: str) -> str:
        """Return the payload with a signature; one that was refused as it was found: whoever has its key may take it off."""
        if payload.startswith(REFUSED):
            return payload.partition("\n")[2]
        return f"{payload}\n{Signer(salt=_SALT).signature(_message(id_, name, payload))}"

    def take_off(self, id_: str, name: str, text: str) -> str:
        """Return the payload; where the signature is not right, one that no worker decodes: it says so, and has all as it was."""
        payload, _, signature = text.rpartition("\n")
        try:
            Signer(salt=_SALT).unsign(f"{_message(id_, name, payload)}:{signature}")
        except BadSignature:
            reason = f"The arguments of task {id_} are not signed with a key of this project: they were not run."
            return f"{REFUSED}{reason}\n{text}"
        return payload


def _message(id_: str, name: str, payload: str) -> str:
    return f"{id_}\n{name}\n{payload}"
