"""What every store takes as text. JSON escapes the rest; a key, a name or a line in a log is stored as it is."""

from __future__ import annotations


def storable(text: str) -> str:
    """Return a text as every database takes it: without halves of surrogate pairs, and without NUL."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")


def is_storable(text: str) -> bool:
    """Return whether every database takes a text as it is."""
    return storable(text) == text
