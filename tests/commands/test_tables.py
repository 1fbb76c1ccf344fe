"""Tables on a terminal: no line is wider than it, with `rich` and without."""

from __future__ import annotations

import io

import pytest

from reinhardt_tasks.management.tasks_cli import tables
from reinhardt_tasks.management.tasks_cli.tables import Table, width

ID = "01a21746-e897-7d52-8000-001c0c1b2a52"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(params=["rich", "plain"])
def terminal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    if request.param == "plain":
        monkeypatch.setattr(tables, "find_spec", lambda name: None)
    monkeypatch.setenv("COLUMNS", "80")
    return Terminal()


def written(table: Table, stream: io.StringIO) -> list[str]:
    table.write(stream, no_color=True)
    return [line.rstrip() for line in stream.getvalue().splitlines() if line.strip()]


def test_what_is_long_stands_under_its_row_where_there_is_no_room(terminal: Terminal) -> None:
    table = Table(["id", "status", "task", "arguments", "exception"], under=[[2, 3], [4]])
    table.add(ID, "FAILURE", "shop.tasks.charge", "(1)", f"LookupError: {'nobody is at home ' * 9}")
    table.add(ID, "SUCCESS", "shop.tasks.発送", "()", "")
    title, first, *others = written(table, terminal)
    assert title.split() == ["id", "status"] and first.split() == [ID, "FAILURE"]
    assert others[0] == "    shop.tasks.charge (1)" and others[1].startswith("    LookupError: nobody is at home")
    assert others[-2].split() == [ID, "SUCCESS"] and others[-1] == "    shop.tasks.発送 ()"
    assert max(map(width, [title, first, *others])) <= 80


def test_where_there_is_room_all_stands_beside_each_other(terminal: Terminal) -> None:
    table = Table(["id", "status", "task"], under=[[2]])
    table.add(ID, "FAILURE", "shop.tasks.charge")
    assert written(table, terminal)[-1].split() == [ID, "FAILURE", "shop.tasks.charge"]


def test_no_cell_of_a_table_that_fits_is_broken(terminal: Terminal) -> None:
    table = Table(["queue", "ready", "running", "scheduled", "retrying", "failed", "oldest", ""], numbers=range(1, 7))
    table.add("images", 10000, 7, 0, 0, 1000, "8 min 56 s", "paused")
    assert max(map(width, table.text().splitlines())) < 80
    assert "8 min 56 s  paused" in written(table, terminal)[-1]


def test_a_file_is_given_whole_lines() -> None:
    table = Table(["id", "task"], under=[[1]])
    table.add(ID, "x" * 200)
    assert written(table, io.StringIO())[-1] == f"{ID}  {'x' * 200}"
