"""What a traceback tells at a glance: what was raised, and where in the project's own code."""

from __future__ import annotations

import re
from pathlib import Path

_FRAME = re.compile(r'^[\s|]*File "([^"]*)", line (\d+), in (.+)$', re.MULTILINE)
#: It stands at the top of each exception's own, where one was raised from another.
_TOP = "Traceback (most recent call last):"
#: The standard library and installed packages, wherever they lie on the machine that the worker ran on; code without a file.
_LIBRARIES = re.compile(r"[/\\](?:site|dist)-packages[/\\]|[/\\]lib(?:64)?[/\\]python3\.\d+t?[/\\]|\\Lib\\|^<")
#: This package, which is no package among others where it is worked on.
_OURS = str(Path(__file__).resolve().parent)
#: The first line of a group of exceptions, behind the bar that Python draws before all of its lines.
_GROUP = re.compile(r"^  \| (\S.*)$", re.MULTILINE)


def exception_line(traceback: str) -> str:
    """Return the line of the exception that was raised last, `ValueError: it is late`; '' where no traceback tells."""
    if traceback.lstrip().startswith("+ Exception Group") and (found := _GROUP.search(traceback)) is not None:
        return found[1]
    frames = list(_FRAME.finditer(traceback))
    lines = traceback[frames[-1].end() if frames else 0 :].strip("\n").splitlines()
    # A line of code under a frame stands to the right, and so do the marks under it; further lines of a message follow.
    own = (line for line in lines if line and not line[0].isspace() and not line.startswith("Traceback"))
    return next(own, lines[-1].strip() if lines else "")


def place_of(traceback: str) -> str:
    """Return file, line and function of the innermost frame that is the project's own code; '' without any frame.

    Where there is none, it is that of the innermost frame: the library's line is better than nothing.
    """
    frames = _FRAME.findall(traceback[max(0, traceback.rfind(_TOP)) :])
    if not frames:
        return ""
    own = [frame for frame in frames if not _LIBRARIES.search(frame[0]) and not frame[0].startswith(_OURS)]
    return "{}:{} in {}".format(*(own or frames)[-1])
