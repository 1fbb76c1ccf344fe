"""What axe-core finds on the pages: nothing that is serious or critical, light and dark, in both languages."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from .conftest import Site
from .places import PAGES, every_place

#: The rules of WCAG 2.2 up to AA, and what axe's makers hold for good practice.
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

#: Pages that a question is on, which only a button leads to: a page, and the button's place on it.
QUESTIONS = {
    "clear": (PAGES["queues"], "button[value=clear]"),
    "prune": (PAGES["queues"], "button[value=prune]"),
    "all that match": (f"{PAGES['tasks']}?state=failure", "button[value=retry]"),
    "a group": (PAGES["failures"], "button[value=discard]"),
}


@pytest.fixture
def axe() -> Any:
    try:
        from axe_playwright_python.sync_playwright import Axe
    except ImportError:
        words = "No axe-playwright-python: NOBODY LOOKED WHETHER THE PAGES ARE ACCESSIBLE."
        if os.environ.get("CI"):
            pytest.fail(words, pytrace=False)
        pytest.skip(words)
    return Axe()


def findings(axe: Any, page: Any) -> list[str]:
    """Return the serious and critical findings on a page."""
    # Without `preload`, which fetches style sheets anew, from where a browser would not look for them.
    options = {"runOnly": {"type": "tag", "values": TAGS}, "resultTypes": ["violations"], "preload": False}
    found = axe.run(page, None, options)
    return [
        f"{each['impact']} {each['id']}: {node['html'][:200]} {node['failureSummary'][:200]}"
        for each in found.response["violations"]
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


@pytest.mark.parametrize("locale", ["en-US", "ja-JP"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_a_serious_finding(
    axe: Any, visit: Callable[..., Any], site: Site, scheme: str, locale: str
) -> None:
    # Whatever other tests have left: the page of workers shows one at work.
    site.enqueue("wander", "past the workers")
    # Axe itself writes styles into the page, to measure what is covered by what.
    page = visit(scheme=scheme, locale=locale, bypass_csp=True)
    found: dict[str, list[str]] = {}
    for name, place in every_place(page, site).items():
        page.goto(place)
        found[name] = findings(axe, page)
    for name, (place, button) in QUESTIONS.items():
        page.goto(place)
        if name == "all that match":
            page.locator("input[name=all]").check()
        page.locator(button).first.click()
        page.locator(".rt-question").wait_for()
        found[name] = findings(axe, page)
    assert "\n".join(f"{name}: {each}" for name, some in found.items() for each in some) == ""
