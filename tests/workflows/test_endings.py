"""What is kept of a step that failed."""

from __future__ import annotations

import json
import traceback
from datetime import UTC, datetime

import pytest

from reinhardt_tasks.jobs import Attempt
from reinhardt_tasks.workflows.endings import error_text


def with_a_note(exc: Exception) -> Exception:
    exc.add_note("See the manual.")
    return exc


@pytest.mark.parametrize(
    ("exc", "message"),
    [
        (ValueError("no date"), "no date"),
        (ValueError("import failed:\nline 3 is no date"), "import failed:"),
        (with_a_note(ValueError("no date")), "no date"),
        (ExceptionGroup("both", [ValueError("a"), OSError("b")]), "both (2 sub-exceptions)"),
        (ValueError(), ""),
    ],
    ids=["one line", "several lines", "a note", "a group", "none"],
)
def test_the_message_of_a_failure_is_its_first_line(exc: Exception, message: str) -> None:
    try:
        raise exc
    except Exception:
        text = traceback.format_exc()
    now = datetime.now(UTC)
    attempt = Attempt(worker="w", started_at=now, finished_at=now, exception="x.Y", traceback=text)
    assert json.loads(error_text(attempt)) == {"exception": "x.Y", "message": message, "traceback": text}
