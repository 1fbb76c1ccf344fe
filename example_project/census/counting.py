"""What is counted in a source tree, and how: no database, no task, so that anyone can check the tasks against it."""

from __future__ import annotations

import ast
import math
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True, kw_only=True)
class Count:
    lines: int
    classes: int = 0
    functions: int = 0
    imports: int = 0
    problem: str = ""


def count_source(source: bytes) -> Count:
    """Count one file; a file that Python cannot parse has its lines counted and says why in `problem`."""
    lines = len(source.splitlines())
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as exc:
        # MemoryError is how the parser says that an expression is nested too deeply; no memory has run out.
        return Count(lines=lines, problem=f"{type(exc).__name__}: {exc}")
    nodes = list(ast.walk(tree))
    return Count(
        lines=lines,
        classes=_how_many(nodes, ast.ClassDef),
        functions=_how_many(nodes, ast.FunctionDef, ast.AsyncFunctionDef),
        imports=_how_many(nodes, ast.Import, ast.ImportFrom),
    )


def python_files(root: Path) -> list[str]:
    """Return the Python files below `root`, relative to it, sorted; hidden folders are left out."""
    found = (path.relative_to(root) for path in root.rglob("*.py") if path.is_file())
    return sorted(path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts))


def in_batches(paths: list[str], most: int) -> list[list[str]]:
    """Return the paths in at most so many batches: each alone, where they are no more than that."""
    size = max(1, math.ceil(len(paths) / most))
    return [paths[first : first + size] for first in range(0, len(paths), size)]


def package_of(root_name: str, path: str) -> str:
    """Return the package that `path` is counted under: its own, but no deeper than two below the root."""
    folders = PurePosixPath(path).parent.parts[:2]
    return ".".join([root_name, *folders])


def _how_many(nodes: list[ast.AST], *kinds: type[ast.AST]) -> int:
    return sum(isinstance(node, kinds) for node in nodes)
