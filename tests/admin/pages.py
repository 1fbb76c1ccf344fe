"""Addresses of the pages, and reading their HTML."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

from django.http import HttpResponse
from django.urls import reverse

#: What may not stand in a page under `Content-Security-Policy: default-src 'self'`.
_ADDRESSES = {"src", "href", "action", "formaction", "data", "poster"}
_EMPTY = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


def url(name: str, *args: Any) -> str:
    return reverse(f"admin:reinhardt_tasks_{name}", args=args)


class Page(HTMLParser):
    """A page's text, and what a strict Content-Security-Policy or a reader of it would complain about."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.complaints: list[str] = []
        self.buttons: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.labels: set[str] = set()
        self.inputs: list[dict[str, str | None]] = []
        self._open: list[str] = []
        self._words: list[str] = []
        self.feed(html)
        self.close()
        self.complaints += [f"id {each!r} twice" for each in set(self.ids) if self.ids.count(each) > 1]
        self.complaints += [
            f"no label: {each}"
            for each in self.inputs
            if each.get("type") != "hidden"
            and not (each.get("aria-label") or each.get("id") in self.labels or each.get("in label"))
        ]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.append(tag)
        if tag not in _EMPTY:
            self._open.append(tag)
        if tag == "style" or tag == "script" and "src" not in values:
            self.complaints.append(f"inline <{tag}>")
        for name, value in attrs:
            if name == "style" or name.startswith("on"):
                self.complaints.append(f"inline {name}={value!r} on <{tag}>")
            if name in _ADDRESSES and (value or "").startswith(("http:", "https:", "//", "javascript:", "data:")):
                self.complaints.append(f"{name}={value!r} on <{tag}>")
        if tag == "button" and values.get("name") == "deed":
            self.buttons.append(values.get("value") or "")
        if tag == "label" and values.get("for"):
            self.labels.add(values["for"] or "")
        if tag in ("input", "select", "textarea"):
            self.inputs.append({**values, "in label": "yes" if "label" in self._open else None})
        if values.get("id"):
            self.ids.append(values["id"] or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self._open:
            self.complaints += [] if tag in _EMPTY else [f"</{tag}> without a beginning"]
            return
        while (last := self._open.pop()) != tag:
            self.complaints.append(f"<{last}> is not closed before </{tag}>")

    def handle_data(self, data: str) -> None:
        self._words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._words).split())


def read(response: Any) -> Page:
    assert isinstance(response, HttpResponse)
    assert response.status_code == 200, response.content.decode()[:2000]
    return Page(response.content.decode())
