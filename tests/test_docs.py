"""The documents against the code: links lead somewhere, names are real and complete, defaults are right.

What is run of them is run in `documents`.
"""

from __future__ import annotations

import inspect
import logging
import os
import re
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest
from django.core.management.base import BaseCommand

import reinhardt_tasks
from reinhardt_tasks import RetryStrategy, exceptions
from reinhardt_tasks.backends.database import DatabaseOptions
from reinhardt_tasks.backends.immediate import ImmediateOptions
from reinhardt_tasks.backends.redis import RedisOptions
from reinhardt_tasks.brokers.base import BrokerTraits
from reinhardt_tasks.brokers.memory import MemoryBroker
from reinhardt_tasks.management.commands.runworker import Command
from reinhardt_tasks.management.worker_banner import connections_in_words
from reinhardt_tasks.options import BackendOptions
from reinhardt_tasks.worker import WorkerConfig
from tests.documents.pages import DOCS, PAGES, ROOT, anchors, prose, table

#: A class of options → the page and the heading over the table of what it adds.
OPTIONS = [
    (BackendOptions, "backends.md", "Options of every backend"),
    (DatabaseOptions, "backends.md", "Options of DatabaseBackend"),
    (ImmediateOptions, "backends.md", "Options of ImmediateBackend"),
    (RedisOptions, "redis.md", "Options of RedisBackend"),
]


def all_docs() -> str:
    """Return what people have written: the reference names everything, and says nothing by itself."""
    return "\n".join(page.read_text() for page in DOCS if page.parent.name != "reference")


def is_named(name: str, text: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text) is not None


def test_there_is_something_to_test() -> None:
    assert len(PAGES) > 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_test_that_is_named_exists(page: Path) -> None:
    missing = []
    for path, name in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", prose(page)):
        file = ROOT / path
        if not file.exists() or name and f"def {name}(" not in file.read_text():
            missing.append(f"{path}::{name}")
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_lines_are_short_but_for_tables(page: Path) -> None:
    lines = [line for line in prose(page).splitlines() if not line.lstrip().startswith("|")]
    assert [line for line in lines if len(line) > 120] == []


def test_every_page_is_in_a_table_of_contents() -> None:
    manual = ROOT / "docs"
    indexes = [page for page in DOCS if page.name == "index.md"]
    listed = {
        (index.parent / target).resolve()
        for index in indexes
        for target in re.findall(r"^- \[[^]]+\]\(([^)#]+)\)", prose(index), flags=re.MULTILINE)
    }
    assert [page for page in DOCS if page != manual / "index.md" and page not in listed] == []


def test_the_reference_has_every_public_name_and_names_that_are_there() -> None:
    pages = "\n".join(page.read_text() for page in (ROOT / "docs" / "reference").glob("*.md"))
    told = re.findall(r"^\.\. auto\w+:: reinhardt_tasks\.([\w.]+)$", pages, flags=re.MULTILINE)
    assert len(told) == len(set(told))
    assert {name for name in told if "." not in name} == set(reinhardt_tasks.__all__)


def test_the_two_readmes_name_each_other() -> None:
    assert "(README.ja.md)" in (ROOT / "README.md").read_text()
    assert "(README.md)" in (ROOT / "README.ja.md").read_text()


@pytest.mark.parametrize(("kind", "page", "heading"), OPTIONS, ids=lambda value: getattr(value, "__name__", ""))
def test_options_are_told_with_their_defaults(kind: type, page: str, heading: str) -> None:
    told = {
        name: eval(cells[2].strip("`"), {"RetryStrategy": RetryStrategy, "logging": logging})
        for name, cells in _rows(page, heading)
    }
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


def test_the_connections_of_the_examples_are_counted_as_the_banner_does() -> None:
    told = table(ROOT / "docs" / "howto" / "sizing.md", "Connections")
    assert len(told) >= 4
    for words, [number] in told.items():
        flags = vars(Command().create_parser("manage.py", "runworker").parse_args(words.split()[1:]))
        config = WorkerConfig(concurrency=flags["concurrency"])
        # Four threads, and one more connection that listens: what a worker on PostgreSQL has.
        [(_name, words_told)] = connections_in_words(BrokerTraits(connections=5), config, flags["processes"])
        assert words_told.startswith(f"{number} to the database"), words


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


def test_every_public_name_says_what_it_promises() -> None:
    silent = []
    for name in reinhardt_tasks.__all__:
        value = getattr(reinhardt_tasks, name)
        members = [
            f"{name}.{attribute}" for attribute in _own_members(value) if not inspect.getdoc(getattr(value, attribute))
        ]
        silent += [name, *members] if not inspect.getdoc(value) else members
    assert silent == []


def _own_members(value: Any) -> list[str]:
    """Return the methods and properties that a class of this package shows."""
    if not inspect.isclass(value) or not value.__module__.startswith("reinhardt_tasks"):
        return []
    shown = {name: member for name, member in vars(value).items() if not name.startswith("_")}
    return [name for name, member in shown.items() if inspect.isroutine(member) or isinstance(member, property)]


def test_every_metric_is_told_and_no_other() -> None:
    pytest.importorskip("prometheus_client")
    from reinhardt_tasks.contrib.prometheus import StoreCollector, WorkerCollector

    collectors = [WorkerCollector("default", lambda: ({}, {})), StoreCollector("default", MemoryBroker())]
    families = [family for collector in collectors for family in collector.collect()]
    counted = {f"{family.name}_total" if family.type == "counter" else family.name for family in families}
    lines = (ROOT / "docs" / "observing.md").read_text().splitlines()
    cells = [line.split("|")[1] for line in lines if line.startswith("| `reinhardt_tasks_")]
    assert {name for cell in cells for name in re.findall(r"reinhardt_tasks_\w+", cell)} == counted
    # In queries and alerts, wherever they stand: the parts of a histogram have names of their own.
    queried = re.findall(r"\b(?:rate|max by \([\w, ]+\) |sum|absent)\((reinhardt_tasks_\w+)", all_docs())
    assert len(queried) > 10
    assert {re.sub("_(bucket|count|sum)$", "", name) for name in queried} <= counted
