"""The manual as a site. Its pages are plain Markdown, which a forge shows too; what only a site needs is put in here."""

from __future__ import annotations

import os
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import django  # noqa: E402

django.setup()

import reinhardt_tasks  # noqa: E402

REPOSITORY = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Source"]

project = "reinhardt_tasks"
author = copyright = "The reinhardt_tasks authors"
release = version = reinhardt_tasks.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
# Anchors of headings are made as a forge makes them, so that one link serves both.
myst_heading_anchors = 4
# Docstrings write `name` for code.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
add_module_names = False
python_maximum_signature_line_length = 100
# Every link between pages is checked. Types in signatures are no links: Python's and Django's have their manuals elsewhere.
nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["manual.css"]
html_title = f"reinhardt_tasks {release}"
html_theme_options = {
    "source_repository": REPOSITORY,
    "source_branch": "main",
    "source_directory": "docs/",
}


def complete(app: Any, docname: str, source: list[str]) -> None:
    page = DOCS / f"{docname}.md"
    source[0] = _with_links_to_the_forge(source[0], page)
    if page.name == "index.md":
        source[0] += _tables_of_contents(source[0])


def _with_links_to_the_forge(text: str, page: Path) -> str:
    """Let links to files beside the manual (the changelog, the example site) lead to the repository."""

    def target(match: re.Match[str]) -> str:
        path, anchor = (page.parent / match[1]).resolve(), match[2] or ""
        if path.is_relative_to(DOCS):
            return match[0]
        return f"]({REPOSITORY}/blob/main/{path.relative_to(ROOT)}{anchor})"

    return re.sub(r"\]\((\.\./[^)\s#]+)(#[^)\s]*)?\)", target, text)


def _tables_of_contents(text: str) -> str:
    """Return what the sidebar shows: the pages that an index lists under each of its headings."""
    tables = []
    for section in re.split(r"^##? ", text, flags=re.MULTILINE)[1:]:
        caption = section.splitlines()[0]
        pages = re.findall(r"^- \[[^]]+\]\(([^):#]+)\.md\)", section, flags=re.MULTILINE)
        if pages:
            tables.append("\n".join(["", "```{toctree}", ":hidden:", f":caption: {caption}", "", *pages, "```", ""]))
    return "\n".join(tables)


def without_factories(app: Any, what: str, name: str, obj: Any, options: Any, signature: str, returns: str) -> Any:
    """Let a signature be Python, so that it can be read: what a dataclass makes anew each time has no text."""
    return (signature or "").replace("<factory>", "...") or None, returns


def setup(app: Any) -> None:
    app.connect("source-read", complete)
    app.connect("autodoc-process-signature", without_factories)
