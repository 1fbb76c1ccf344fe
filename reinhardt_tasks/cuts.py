"""Texts cut to a length. Where the mark stands, redaction looks for what the cut has left of a value."""

from __future__ import annotations

#: What stands where a text was cut.
CUT = "…"


def beginning(text: str, letters: int) -> str:
    """Return a text of so many letters at most: its first ones and the mark, where it is longer."""
    return text if len(text) <= letters else text[: letters - 1] + CUT


def end(text: str, letters: int) -> str:
    """Return a text of so many letters at most: the mark and its last ones, where it is longer."""
    return text if len(text) <= letters else CUT + text[1 - letters :]


def both_ends(text: str, letters: int) -> str:
    """Return so many letters of a text, the first and the last, with a line between them that tells how many are left out."""
    if len(text) <= letters:
        return text
    half = letters // 2
    return f"{text[:half]}\n{CUT} {len(text) - 2 * half} letters left out {CUT}\n{text[-half:]}"
