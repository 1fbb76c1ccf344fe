"""What several commands read in the same way."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

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


def processes(text: str) -> int:
    """Read a number of processes; auto is one for each core."""
    number = (os.cpu_count() or 1) if text == "auto" else int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(_("must be 0 or more, or auto, not {text}").format(text=text))
    return number


def port(text: str) -> int:
    """Read the number of a port, 0 for any that is free."""
    number = int(text)
    if not 0 <= number <= 65_535:
        raise argparse.ArgumentTypeError(
            _("must be a port from 1 to 65535, or 0 for any that is free, not {text}").format(text=text)
        )
    return number


def file_to_be(text: str) -> Path:
    """Read the path of a file that can be written."""
    path = Path(text).absolute()
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(
            _("must be a file in a folder that can be written to, not {text}").format(text=text)
        )
    return path
