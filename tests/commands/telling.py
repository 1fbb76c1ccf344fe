"""Running `manage.py tasks` in this process."""

from __future__ import annotations

import io
import json
from typing import Any

from django.core.management import CommandError, call_command


def told(*words: str) -> tuple[int, str, str]:
    """Return exit code, what was printed, and what was complained of."""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("tasks", *words, stdout=out, stderr=err)
    except SystemExit as exc:
        return int(exc.code or 0), out.getvalue(), err.getvalue()
    except CommandError as exc:
        return exc.returncode, out.getvalue(), err.getvalue() + str(exc)
    return 0, out.getvalue(), err.getvalue()


def data(*words: str, code: int = 0) -> Any:
    """Return what --json gives; there is nothing else on stdout."""
    told_code, out, err = told(*words, "--json")
    assert told_code == code, err
    return json.loads(out)
