"""Every command of the manual is one that is there, with flags that it has: in consoles, unit files, images, clusters."""

from __future__ import annotations

import argparse
import ast
import configparser
import re
import shlex
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand
from django.db import connections, transaction

from tests.documents.pages import PAGES, ROOT, Block, all_blocks, prose
from tests.documents.sites import commands

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TARGETS = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
#: Programs of others: nothing here knows their flags.
OTHERS = {"curl", "systemctl", "redis-cli", "django-admin", ".", "env"}
OTHERS_FLAGS = {"--batch", "--init", "--queue-name"}
#: Commands of apps that no test has installed.
OF_THE_EXAMPLE_SITE = {"census"}
CONSOLES = [(block, command) for block in all_blocks("console") for command, _ in commands(block.text)]


@pytest.fixture
def database_of_the_manual() -> Iterator[None]:
    """Some pages name a database `tasks`; commands only take what DATABASES has."""
    connections.databases["tasks"] = connections.databases["default"]
    yield
    del connections.databases["tasks"]


def test_there_is_something_to_test() -> None:
    assert len(CONSOLES) > 40 and len(all_blocks("yaml")) > 4 and len(all_blocks("ini")) > 2


@pytest.mark.usefixtures("database_of_the_manual")
@pytest.mark.parametrize(("block", "command"), CONSOLES, ids=str)
def test_a_command_can_be_typed(block: Block, command: str) -> None:
    words = [word for word in shlex.split(command) if not re.fullmatch(r"[A-Z_]+=.*", word)]
    _check(words[1:] if words[0] == "env" else words)


@pytest.mark.parametrize("block", all_blocks("ini"), ids=str)
def test_a_unit_starts_what_is_there(block: Block) -> None:
    unit = configparser.ConfigParser(interpolation=None, strict=True)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(block.text)
    words = shlex.split(unit["Service"]["ExecStart"].replace("%i", "default"))
    _check(["python", *words[1:]])


@pytest.mark.parametrize("block", all_blocks("yaml"), ids=str)
def test_a_manifest_starts_what_is_there(block: Block) -> None:
    for document in yaml.safe_load_all(block.text):
        for words in _lists(document):
            words = words[1:] if words[0] == "CMD" else words
            if "manage.py" in words:
                _check(words)


@pytest.mark.parametrize("block", all_blocks("dockerfile"), ids=str)
def test_an_image_starts_what_is_there(block: Block) -> None:
    [command] = re.findall(r"^CMD (\[.*\])$", block.text, flags=re.MULTILINE)
    _check(ast.literal_eval(command))


def test_every_flag_that_is_named_is_one_of_a_command() -> None:
    known = set(OTHERS_FLAGS)
    for name, app in get_commands().items():
        if app == "reinhardt_tasks" or name in ("check", "migrate"):
            known |= set(_flags(load_command_class(app, name).create_parser("manage.py", name)))
    named = {(page.name, flag) for page in PAGES for flag in re.findall(r"`[^`\n]*?(--[a-z][\w-]+)", prose(page))}
    assert len(named) > 50
    assert {each for each in named if each[1] not in known} == set()


def _flags(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for subparser in action.choices.values():
                yield from _flags(subparser)


def test_the_statements_are_postgresql(postgres_database: str, django_db_blocker: Any) -> None:
    with django_db_blocker.unblock(), transaction.atomic(postgres_database):
        for block in all_blocks("sql"):
            with connections[postgres_database].cursor() as cursor:
                cursor.execute(block.text)
        transaction.set_rollback(True, using=postgres_database)


def _lists(value: Any) -> Iterator[list[str]]:
    """Yield the lists of words in a manifest, at any depth."""
    if isinstance(value, dict):
        value = list(value.values())
    elif isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        yield value
    for each in value if isinstance(value, list) else ():
        yield from _lists(each)


def _check(words: list[str]) -> None:
    match words:
        case ["python", "manage.py", name, *arguments]:
            if name not in OF_THE_EXAMPLE_SITE:
                _parse(name, arguments)
        case ["python", "-m", "venv", _]:
            pass
        case ["python", path]:
            assert (ROOT / path).is_file()
        case ["make", target, *_]:
            assert target in TARGETS
        case ["pip", "install", *packages]:
            extras = {name for package in packages for name in re.findall(r"\[(.*)\]", package)}
            assert extras <= set(PROJECT["optional-dependencies"])
        case [program, *_]:
            assert program in OTHERS, f"Nobody has said what {program!r} is."


def _parse(name: str, arguments: list[str]) -> None:
    app = get_commands()[name]
    command = app if isinstance(app, BaseCommand) else load_command_class(app, name)
    try:
        command.create_parser("manage.py", name).parse_args(arguments)
    except (argparse.ArgumentError, SystemExit) as exc:
        pytest.fail(f"manage.py {name} {shlex.join(arguments)}: {exc}")
