"""What several commands read in the same way."""

from __future__ import annotations

import argparse

from django.utils.translation import gettext as _


def seconds(text: str) -> float:
    """Read seconds, 0 or more."""
    number = float(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(_("must be 0 or more seconds, not {text}").format(text=text))
    return number


def whole(text: str) -> int:
    """Read a whole number, 1 or more."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(_("must be 1 or more, not {text}").format(text=text))
    return number
