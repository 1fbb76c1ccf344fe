"""The Japanese catalogue: whole, with the same places to fill as the English words, and compiled as it is written."""

from __future__ import annotations

import ast
import gettext
import re
from pathlib import Path

import reinhardt_tasks

FOLDER = Path(reinhardt_tasks.__path__[0]) / "locale" / "ja" / "LC_MESSAGES"
#: What is filled in later: {name} or %(name)s.
PLACE = re.compile(r"\{\w+\}|%\(\w+\)s")


def entries() -> dict[str, str]:
    """Return the catalogue as it is written: English → Japanese."""
    found = {}
    for block in (FOLDER / "django.po").read_text(encoding="utf-8").split("\n\n")[1:]:
        texts = {"msgid": "", "msgstr": ""}
        key = ""
        for line in block.splitlines():
            if started := re.match(r"(msgid_plural|msgid|msgstr)(?:\[0\])? (.*)", line):
                key, line = started[1], started[2]
            if key and line.startswith('"'):
                texts[key] = texts.get(key, "") + ast.literal_eval(line)
        found[texts["msgid"]] = texts["msgstr"]
    return found


def test_everything_is_translated() -> None:
    found = entries()
    assert len(found) > 400
    assert [english for english, japanese in found.items() if not japanese] == []


def test_translations_have_the_same_places_to_fill() -> None:
    found = entries()
    assert [e for e, japanese in found.items() if set(PLACE.findall(e)) != set(PLACE.findall(japanese))] == []


def test_it_is_compiled_as_it_is_written() -> None:
    with (FOLDER / "django.mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    wrong = [
        english
        for english, japanese in entries().items()
        if japanese not in (compiled.gettext(english), compiled.ngettext(english, english, 1))
    ]
    assert wrong == []
