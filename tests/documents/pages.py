"""The pages of the manual, and what stands in them."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = sorted((ROOT / "docs").rglob("*.md"))
READMES = sorted(ROOT.glob("README*.md"))
PAGES = [*READMES, *DOCS, ROOT / "CONTRIBUTING.md", ROOT / "example_project" / "README.md"]

_FENCE = re.compile(r"( *)```(.*)")
_NOTE = re.compile(r"<!-- (.*) -->")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page; `note` is the comment right above it."""

    page: Path
    line: int
    language: str
    text: str
    note: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def why_not(self) -> str | None:
        """Return why it is not run, where the page says so."""
        return self.note.removeprefix("not run: ") if self.note.startswith("not run: ") else None

    @property
    def file(self) -> str | None:
        """Return which file of a site it is, where its first line says so: `# uploads/tasks.py`."""
        match = re.match(r"(?:#|<!--) ([\w/.]+\.(?:py|html))(?: -->)?\n", self.text)
        return match[1] if match else None

    @property
    def is_settings(self) -> bool:
        """Whether it does nothing but give values to names in capitals."""
        tree = ast.parse(self.text)
        return any(map(_sets, tree.body)) and all(
            isinstance(line, (ast.Import, ast.ImportFrom)) or _sets(line) for line in tree.body
        )


def _sets(line: ast.stmt) -> bool:
    targets = line.targets if isinstance(line, ast.Assign) else [line.target] if isinstance(line, ast.AugAssign) else []
    names = [target.value if isinstance(target, ast.Subscript) else target for target in targets]
    return bool(names) and all(isinstance(name, ast.Name) and name.id.isupper() for name in names)


def blocks(page: Path) -> Iterator[Block]:
    lines = page.read_text().splitlines()
    fences = [(number, match) for number, line in enumerate(lines) if (match := _FENCE.fullmatch(line))]
    for (begin, opening), (end, _) in zip(fences[::2], fences[1::2], strict=True):
        note = _NOTE.fullmatch(lines[begin - 1].strip()) if begin else None
        text = textwrap.dedent("\n".join(lines[begin + 1 : end]) + "\n")
        yield Block(page, begin + 1, opening[2], text, note[1] if note else "")


def all_blocks(language: str) -> list[Block]:
    return [block for page in PAGES for block in blocks(page) if block.language == language]


def prose(page: Path) -> str:
    return re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as a forge makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def table(page: Path, heading: str) -> dict[str, list[str]]:
    """Return the rows of the table under a heading: the name in backticks that begins it → its other cells."""
    section = re.split(rf"^#+ {re.escape(heading)}$", prose(page), flags=re.MULTILINE)[1].split("\n#", 1)[0]
    rows = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and (name := re.fullmatch(r"`([^`]+)`", cells[0])):
            rows[name[1]] = cells[1:]
    return rows
