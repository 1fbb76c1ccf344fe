"""The documents against the code: links lead somewhere, names are real and complete, defaults are right, examples run."""

from __future__ import annotations

import ast
import inspect
import os
import re
import sys
from dataclasses import MISSING, fields
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.core.management.base import BaseCommand

import reinhardt_tasks
from reinhardt_tasks import RetryStrategy, carriers, exceptions
from reinhardt_tasks.backends.database import DatabaseOptions
from reinhardt_tasks.backends.immediate import ImmediateOptions
from reinhardt_tasks.backends.redis import RedisOptions
from reinhardt_tasks.management.commands.runworker import Command
from reinhardt_tasks.options import BackendOptions
from reinhardt_tasks.registry import registry
from reinhardt_tasks.schedules import declared
from tests.manual import Block, Site, blocks

ROOT = Path(__file__).resolve().parent.parent
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [*sorted(ROOT.glob("README*.md")), *DOCS, ROOT / "CONTRIBUTING.md"]

#: A class of options → the page and the heading over the table of what it adds.
OPTIONS = [
    (BackendOptions, "backends.md", "Options of every backend"),
    (DatabaseOptions, "backends.md", "Options of DatabaseBackend"),
    (ImmediateOptions, "backends.md", "Options of ImmediateBackend"),
    (RedisOptions, "redis.md", "Options of RedisBackend"),
]


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def all_docs() -> str:
    return "\n".join(page.read_text() for page in DOCS)


def is_named(name: str, text: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text) is not None


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def table(page: Path, heading: str) -> dict[str, list[str]]:
    """Return the rows of the table under a heading: the name in backticks that begins it → its other cells."""
    section = re.split(rf"^#+ {re.escape(heading)}$", prose(page), flags=re.MULTILINE)[1].split("\n#", 1)[0]
    rows = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if name := re.fullmatch(r"`([^`]+)`", cells[0]):
            rows[name[1]] = cells[1:]
    return rows


PYTHON_BLOCKS = [block for page in PAGES for block in blocks(page) if block.language == "python"]


def test_there_is_something_to_test() -> None:
    assert len(PAGES) > 10 and len(PYTHON_BLOCKS) > 20 and sum(block.is_run for block in PYTHON_BLOCKS) > 5


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        if not place.exists() or anchor and anchor not in anchors(place):
            broken.append(target)
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_is_named_exists(page: Path) -> None:
    missing = []
    for path, name in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", prose(page)):
        file = ROOT / path
        if not file.exists() or name and f"def {name}(" not in file.read_text():
            missing.append(f"{path}::{name}")
    assert not missing


def test_every_page_is_in_the_table_of_contents() -> None:
    manual = ROOT / "docs"
    indexes = [page for page in DOCS if page.name == "index.md"]
    listed = {
        (index.parent / target).resolve() for index in indexes for target in re.findall(r"\]\(([^)#]+)\)", prose(index))
    }
    assert [page for page in DOCS if page != manual / "index.md" and page not in listed] == []


def test_the_two_readmes_name_each_other() -> None:
    assert "(README.ja.md)" in (ROOT / "README.md").read_text()
    assert "(README.md)" in (ROOT / "README.ja.md").read_text()


@pytest.mark.parametrize(("kind", "page", "heading"), OPTIONS, ids=lambda value: getattr(value, "__name__", ""))
def test_options_are_told_with_their_defaults(kind: type, page: str, heading: str) -> None:
    told = {name: eval(cells[2].strip("`"), {"RetryStrategy": RetryStrategy}) for name, cells in _rows(page, heading)}
    assert told == _added_options(kind)


def _rows(page: str, heading: str) -> Any:
    return table(ROOT / "docs" / page, heading).items()


def _added_options(kind: type) -> dict[str, Any]:
    """Return the options that a class has beyond its base's, or with another default: name → default."""
    inherited = {} if kind is BackendOptions else _defaults(kind.__mro__[1])
    return {name: value for name, value in _defaults(kind).items() if (name, value) not in inherited.items()}


def _defaults(kind: type) -> dict[str, Any]:
    return {
        item.name.upper(): item.default if item.default is not MISSING else item.default_factory()  # type: ignore[misc]
        for item in fields(kind)
    }


def test_flags_are_told_with_their_variables_and_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("REINHARDT_TASKS_")]:
        monkeypatch.delenv(name)
    djangos = {flag for action in _actions(BaseCommand()) for flag in action.option_strings}
    flags = {
        action.option_strings[0]: [_variable(action.option_strings[0]), _plain(action.default)]
        for action in _actions(Command())
        if action.option_strings and action.option_strings[0] not in djangos
    }
    told = {flag: [cells[0].strip("`"), cells[1]] for flag, cells in _rows("worker.md", "Flags")}
    assert told == flags


def _actions(command: BaseCommand) -> Any:
    return command.create_parser("manage.py", "runworker")._actions


def _variable(flag: str) -> str:
    return "REINHARDT_TASKS_" + flag.lstrip("-").replace("-", "_").upper()


def _plain(default: Any) -> str:
    if default is None or default is False:
        return "–" if default is None else "off"
    return f"{default:g}" if isinstance(default, (int, float)) else str(default)


def test_every_check_is_told_and_no_other() -> None:
    sources = "\n".join(path.read_text() for path in Path(reinhardt_tasks.__path__[0]).rglob("*.py"))
    used = set(re.findall(r"""["'.]([EW]\d{3})["']""", sources))
    told = set(re.findall(r"`reinhardt_tasks\.([EW]\d{3})` \|", all_docs()))
    assert used and told == used


def test_every_exception_is_told() -> None:
    page = (ROOT / "docs" / "errors.md").read_text()
    public = [name for name, value in vars(exceptions).items() if _is_own_exception(value)]
    assert public and [name for name in public if f"`{name}`" not in page] == []


def _is_own_exception(value: Any) -> bool:
    return inspect.isclass(value) and issubclass(value, Exception) and value.__module__ == exceptions.__name__


def test_every_public_name_is_told() -> None:
    docs = all_docs()
    assert [name for name in reinhardt_tasks.__all__ if not is_named(name, docs)] == []


def test_every_option_of_the_decorator_is_told() -> None:
    told = {name for name, _ in _rows("tasks.md", "Options of the decorator")}
    assert told == {item.name for item in fields(reinhardt_tasks.Task)} - {"func", "run_after"}


@pytest.mark.parametrize("block", PYTHON_BLOCKS, ids=str)
def test_every_python_block_compiles(block: Block) -> None:
    compile(block.text, str(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


RUNNING_PAGES = [page for page in PAGES if any(block.is_run for block in blocks(page))]


@pytest.mark.parametrize("page", RUNNING_PAGES, ids=lambda page: page.name)
def test_examples_run(page: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.TASKS = {"default": {"BACKEND": "reinhardt_tasks.backends.ImmediateBackend", "QUEUES": []}}
    # A module, since a task must be a function of one; the page's blocks follow on each other in it.
    module = ModuleType(f"examples_of_{page.stem}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    known, travelling = set(registry.list()), list(carriers._carriers)
    schedules = list(declared)
    try:
        for block in blocks(page):
            if block.is_run:
                padding = "\n" * block.line
                exec(compile(padding + block.text, str(page), "exec"), vars(module))
    finally:
        carriers._carriers[:] = travelling
        for name in set(registry.list()) - known:
            registry.unregister(name)
        for declaration in [each for each in declared if each not in schedules]:
            declared.unregister(declaration.name)


@pytest.mark.parametrize("name", ["README.md", "README.ja.md", "docs/quickstart.md"])
def test_a_site_can_be_built_by_the_page(name: str, tmp_path: Path) -> None:
    """Do what a page says, in a new folder: write its files, run its commands; in the end the task has run."""
    Site(tmp_path, path=[ROOT]).build(ROOT / name)
