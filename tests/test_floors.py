"""Imports inside the package go down only: each room has a floor, and outside libraries have rooms of their own."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import reinhardt_tasks

PACKAGE = Path(reinhardt_tasks.__path__[0])

FLOORS = [
    "_compat cuts exceptions speech suggestions texts timestamps tracebacks __version__",
    "jobs gates limits arguments calls contexts task_options tasks registry retries results serialization followers execution "
    "schedules options queues "
    "redaction receivers signals logs log_lines log_capture carriers exception_text "
    "awaiting bare_outcomes workflow_states spans aliases priorities unknown_names ended_jobs waiting result_backends",
    "brokers.base brokers.lookups brokers.sifting brokers.wakes",
    "brokers.memory brokers.memory_gates brokers.database brokers.redis brokers.archiving fields models",
    "worker scheduling workflows backends",
    "operations",
    "moving",
    "apps checks discovery admin templatetags testing pytest_plugin management contrib",
]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms.split()}

#: Rooms of one floor that do not know of each other, nor of what is under them, except as said.
APART = [{"brokers.memory", "brokers.database", "brokers.redis"}, {"worker", "scheduling", "workflows", "backends"}]
#: What a room may see of the storage; others may see all that is below them.
SEES = {"worker": {"brokers.base"}}

#: An outside module → the rooms that may import it; the first that fits counts.
OUTSIDE = {
    "redis": {"brokers.redis"},
    "django_redis": {"brokers.redis"},
    "croniter": {"schedules"},
    "difflib": {"suggestions", "testing"},
    "django.tasks": {"_compat"},
    "django_tasks": {"_compat"},
    "django.db.models": {
        "models",
        "fields",
        "brokers.database",
        "scheduling",
        "workflows",
        "admin",
        "testing",
        "migrations",
    },
    "django.db": {room for room, floor in FLOOR.items() if floor >= 3} | {"migrations"},
}

#: (importer, imported) → why it may.
EXCEPTIONS = {
    ("tasks", "django.db.transaction"): "enqueue_on_commit, inside of the function: importing @task needs no database",
    ("arguments", "django.db.router"): "asked where a model instance is stored, inside of the function",
}

#: In no floor: `reinhardt_tasks` itself only hands on the public names, and migrations are written by Django.
WITHOUT_A_FLOOR = {"", "migrations"}


def room_of(name: str) -> str:
    """Return the room that a module of the package (its dotted name inside it) is in."""
    parts = name.split(".")
    return ".".join(parts[:2]) if parts[0] == "brokers" else parts[0]


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").rstrip(".")


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and full name of all that a file imports, also in functions and under TYPE_CHECKING."""
    inside = ["reinhardt_tasks", *path.relative_to(PACKAGE).parent.parts]
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = inside[: len(inside) - node.level + 1] if node.level else []
            module = ".".join([*base, *filter(None, [node.module])])
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def complaint(importer: str, name: str) -> str | None:
    """Return what is wrong with a room's import, or None."""
    if (importer, name) in EXCEPTIONS:
        return None
    for library, rooms in OUTSIDE.items():
        if name == library or name.startswith(f"{library}."):
            return None if importer in rooms else f"{library} belongs into {', '.join(sorted(rooms))}"
    if not name.startswith("reinhardt_tasks.") or importer in WITHOUT_A_FLOOR:
        return None
    room = room_of(name.removeprefix("reinhardt_tasks."))
    if room == importer:
        return None
    if unplaced := {room, importer} - FLOOR.keys():
        return f"{', '.join(sorted(unplaced))}: no floor is named for it"
    if FLOOR[room] > FLOOR[importer]:
        return f"{room} is {FLOOR[room] - FLOOR[importer]} floor(s) up"
    if any({room, importer} <= siblings for siblings in APART):
        return f"{room} is a sibling"
    if importer in SEES and FLOOR[room] >= 2 and room not in SEES[importer]:
        return f"{importer} sees {', '.join(SEES[importer])} only"
    return None


#: Module → what it imports. Read before any test runs: Python 3.11 may refuse to parse ("AST constructor recursion depth
#: mismatch") in a process in which a thread was stopped by an exception from outside, as some of our tests do.
MODULES = {module_name(path): list(imported(path)) for path in sorted(PACKAGE.rglob("*.py"))}


def test_every_module_has_a_floor() -> None:
    rooms = {room_of(name) for name in MODULES} - WITHOUT_A_FLOOR - {"brokers"}
    assert rooms - FLOOR.keys() == set()


@pytest.mark.parametrize("name", MODULES)
def test_imports_go_down_only(name: str) -> None:
    importer = room_of(name)
    problems = [
        f"line {line}: {what}: {problem}" for line, what in MODULES[name] if (problem := complaint(importer, what))
    ]
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize(
    ("importer", "name", "words"),
    [
        ("jobs", "reinhardt_tasks.brokers.base.Broker", "1 floor(s) up"),
        ("worker", "reinhardt_tasks.brokers.redis", "sees brokers.base only"),
        ("worker", "reinhardt_tasks.backends.base", "sibling"),
        ("brokers.redis", "reinhardt_tasks.brokers.database", "sibling"),
        ("brokers.base", "redis", "belongs into brokers.redis"),
        ("tasks", "django.tasks.task", "belongs into _compat"),
        ("worker", "django.db.models", "belongs into"),
        ("tasks", "reinhardt_tasks.attic.chest", "attic: no floor"),
        ("admin", "reinhardt_tasks.models.JobRow", None),
        ("jobs", "django.dispatch.Signal", None),
        ("brokers.redis", "redis.asyncio", None),
        ("brokers.database", "reinhardt_tasks.brokers.database.dialects", None),
    ],
)
def test_the_rules_themselves_are_kept(importer: str, name: str, words: str | None) -> None:
    problem = complaint(importer, name)
    assert problem is None if words is None else words in str(problem)
