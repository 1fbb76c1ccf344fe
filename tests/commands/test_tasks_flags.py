"""`manage.py tasks`: each subcommand has its help, and the manual has each of its flags."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import call_command

from reinhardt_tasks.management.commands.tasks import SUBCOMMANDS, Command
from reinhardt_tasks.management.tasks_cli.groups import Group
from tests.test_docs import ROOT, table


def subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    (found,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return dict(found.choices)


def leaves() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield each subcommand, also those of a subcommand: `list`, `schedules list`."""
    for name, parser in subparsers(Command().create_parser("manage.py", "tasks")).items():
        if isinstance(SUBCOMMANDS[name], Group):
            yield from ((f"{name} {verb}", its) for verb, its in subparsers(parser).items())
        else:
            yield name, parser


def test_the_manual_has_each_subcommand_and_each_of_its_flags() -> None:
    page = ROOT / "docs" / "commands.md"
    common = set(table(page, "Flags of all of them"))
    filters = set(table(page, "Which tasks"))
    assert set(table(page, "The subcommands")) == {name for name, _ in leaves()}
    for name, its in leaves():
        flags = {action.option_strings[-1] for action in its._actions if action.option_strings} - {"--help"}
        shared = common if " " not in name else common - {"--backend"}
        assert shared <= flags, name
        own = flags - shared
        if "--text" in own:
            assert own >= filters - {"--status"}, name
            own -= filters
        told = _flags_under(page, f"tasks {name}")
        assert told == own, name


def _flags_under(page: Path, heading: str) -> set[str]:
    """Return the flags that begin a row of the table under a heading, which may be about several subcommands."""
    headings = [line.removeprefix("### ") for line in page.read_text().splitlines() if line.startswith("### ")]
    (found,) = (each for each in headings if heading.removeprefix("tasks ") in each.replace("tasks ", "").split(", "))
    return {name for name in table(page, found) if name.startswith("--")}


@pytest.mark.parametrize("words", [["status"], ["schedules", "list"]], ids=" ".join)
def test_flags_of_django_are_taken_behind_a_subcommand_and_before_it(words: list[str]) -> None:
    parser = Command().create_parser("manage.py", "tasks")
    flags = ["--settings=site", "--pythonpath=here", "--traceback", "-v2", "--force-color"]
    behind, before = parser.parse_args([*words, *flags]), parser.parse_args([*flags, *words])
    assert behind == before
    assert (behind.settings, behind.pythonpath, behind.traceback, behind.verbosity) == ("site", "here", True, 2)
    assert parser.parse_args(words).verbosity == 1


def test_no_subcommand_asks_in_its_help() -> None:
    assert [name for name, its in leaves() if not (its.description or "").endswith(".")] == []


def test_the_import_does_not_offer_to_repeat_its_backend() -> None:
    helps = {
        name: next(a.help for a in its._actions if a.dest == "backend") or ""
        for name, its in leaves()
        if " " not in name
    }
    assert [name for name, words in helps.items() if "may be repeated" not in words] == ["import"]


def test_each_subcommand_has_a_help(capsys: pytest.CaptureFixture[str]) -> None:
    for name, _ in leaves():
        with pytest.raises(SystemExit) as ended:
            call_command("tasks", *name.split(), "--help")
        assert ended.value.code == 0
        assert f"tasks {name}" in capsys.readouterr().out
