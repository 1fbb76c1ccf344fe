"""What is told of a traceback: the exception's own line, and the place in the project's own code."""

from __future__ import annotations

import json
import traceback
from pathlib import Path

import pytest

from reinhardt_tasks.tracebacks import exception_line, place_of


def raised(work: object) -> str:
    try:
        work()  # type: ignore[operator]
    except BaseException as exc:
        return "".join(traceback.format_exception(exc))
    raise AssertionError("Nothing was raised.")


def read_what_is_not_there() -> None:
    Path("/nowhere/at/all").read_text(encoding="utf-8")


def read_no_json() -> None:
    try:
        json.loads("{")
    except ValueError as exc:
        raise LookupError("no settings\nand a second line") from exc


def fail_in_two() -> None:
    raise ExceptionGroup("both", [ValueError("one"), KeyError("two")])


def test_the_place_is_the_last_frame_of_the_projects_own_code() -> None:
    text = raised(read_what_is_not_there)
    # The innermost frame is the standard library's.
    assert "pathlib" in text.splitlines()[-4]
    assert place_of(text).endswith("in read_what_is_not_there") and "test_tracebacks.py:" in place_of(text)


@pytest.mark.parametrize(
    "library",
    [
        "/usr/lib/python3.11/pathlib.py",
        "/opt/venv/lib/python3.13t/site-packages/redis/client.py",
        "/usr/lib/python3/dist-packages/yaml/reader.py",
        r"C:\Python312\Lib\pathlib.py",
        r"C:\venv\Lib\site-packages\redis\client.py",
        "<frozen importlib._bootstrap>",
    ],
)
def test_a_library_is_known_wherever_the_worker_has_it(library: str) -> None:
    own = '  File "/srv/shop/orders.py", line 7, in send\n    deliver()\n'
    theirs = f'  File "{library}", line 1044, in open\n    boom()\n'
    text = f"Traceback (most recent call last):\n{own}{theirs}OSError: no"
    assert place_of(text) == "/srv/shop/orders.py:7 in send"
    # Better a library's place than none.
    assert place_of(f"Traceback (most recent call last):\n{theirs}OSError: no") == f"{library}:1044 in open"


def test_of_exceptions_that_follow_on_each_other_the_last_counts() -> None:
    text = raised(read_no_json)
    assert place_of(text).endswith("in read_no_json") and exception_line(text) == "LookupError: no settings"


def test_of_a_group_its_own_line_is_told() -> None:
    text = raised(fail_in_two)
    assert exception_line(text) == "ExceptionGroup: both (2 sub-exceptions)"
    assert place_of(text).endswith("in fail_in_two")


@pytest.mark.parametrize(
    ("text", "line", "place"),
    [
        ("", "", ""),
        ("reinhardt_tasks.exceptions.WorkerLost: it died\n", "reinhardt_tasks.exceptions.WorkerLost: it died", ""),
        ('  File "x.py", line 3, in f\n    g()\n    ^^^\nOdd', "Odd", "x.py:3 in f"),
        ("Traceback\nValueError: no", "ValueError: no", ""),
        ("   \n", "", ""),
    ],
)
def test_what_is_hardly_a_traceback_is_told_as_it_is(text: str, line: str, place: str) -> None:
    assert (exception_line(text), place_of(text)) == (line, place)
