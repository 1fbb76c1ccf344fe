"""At start the `tasks` module of every installed app is imported, and what it has is registered."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from reinhardt_tasks._compat import BaseTaskBackend
from reinhardt_tasks.discovery import discover
from reinhardt_tasks.exceptions import DuplicateTask
from reinhardt_tasks.registry import registry

#: Django's own dummy, or the backport's: a backend that knows nothing of us.
FOREIGN = BaseTaskBackend.__module__.removesuffix(".base") + ".dummy.DummyBackend"
CORE = BaseTaskBackend.__module__.partition(".backends")[0]

numbers = itertools.count()

OURS = "from reinhardt_tasks import task\n\n@task\ndef add(a, b):\n    return a + b\n"
CORES = f"from {CORE} import task\n\n@task(backend='foreign')\ndef add(a, b):\n    return a + b\n"

Install = Callable[[Mapping[str, str]], str]


@pytest.fixture
def install(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install an app with these files, and return its name."""
    settings.TASKS = {**settings.TASKS, "foreign": {"BACKEND": FOREIGN}}
    monkeypatch.syspath_prepend(str(tmp_path))
    installed: list[str] = []

    def install(files: Mapping[str, str]) -> str:
        name = f"discovered{next(numbers)}"
        installed.append(name)
        for path, text in {"__init__.py": "", **files}.items():
            file = tmp_path / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, name]
        return name

    yield install
    for name in [name for name in registry.list() if name.partition(".")[0] in installed]:
        registry.unregister(name)
    for name in [name for name in sys.modules if name.partition(".")[0] in installed]:
        del sys.modules[name]


def names_of(app: str) -> list[str]:
    return [name for name in registry.list() if name.startswith(f"{app}.")]


def test_the_tasks_of_an_installed_app_are_registered_when_django_is_ready(install: Install) -> None:
    app = install({"tasks.py": OURS})
    assert names_of(app) == [f"{app}.tasks.add"]
    assert registry.get(f"{app}.tasks.add").call(1, 2) == 3


def test_a_task_of_djangos_own_for_another_backend_is_registered_too(install: Install) -> None:
    app = install({"tasks.py": CORES})
    it = registry.get(f"{app}.tasks.add")
    assert type(it.get_backend()).__module__.startswith(CORE)
    assert it.using(backend="dummy").enqueue(1, 2).task.backend == "dummy"


def test_a_task_that_is_imported_into_the_module_keeps_its_own_name(install: Install) -> None:
    app = install({"sums.py": CORES, "tasks.py": "from .sums import add as plus\n"})
    assert names_of(app) == [f"{app}.sums.add"]


def test_tasks_may_be_a_package(install: Install) -> None:
    app = install({"tasks/__init__.py": "from .sums import add\n", "tasks/sums.py": OURS})
    assert names_of(app) == [f"{app}.tasks.sums.add"]


def test_an_app_without_tasks_is_no_error(install: Install) -> None:
    assert names_of(install({})) == []


def test_a_task_elsewhere_is_not_found(install: Install) -> None:
    assert names_of(install({"views.py": OURS})) == []


def test_what_is_broken_in_a_tasks_module_is_told_at_start(install: Install) -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        install({"tasks.py": "import no_such_module\n"})


def test_two_functions_under_one_name_are_told_at_start(install: Install) -> None:
    with pytest.raises(DuplicateTask, match=r"tasks\.add' *: .*tasks\.py:3 and .*tasks\.py:7"):
        install({"tasks.py": OURS + "\n@task\ndef add(a):\n    return a\n"})


def test_to_discover_again_changes_nothing(install: Install) -> None:
    app = install({"tasks.py": OURS})
    before = registry.list()
    known = registry.get(f"{app}.tasks.add")
    discover()
    assert registry.list() == before
    assert registry.get(f"{app}.tasks.add") is known
