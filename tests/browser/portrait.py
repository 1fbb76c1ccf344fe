"""As a program: take the pictures of docs/images, of the example site after some censuses and in the midst of one.

python -m tests.browser.portrait        # takes five minutes, most of which it waits
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import django
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.conftest import ROOT, _answers, _browser_program
from tests.browser.places import PAGES
from tests.servers import wait_until
from tests.servers.ports import HOST, ReservedPort

SITE = ROOT / "example_project"
#: Parts of Django, each for a census of its own, so that the minutes of the last hour differ; in the end all of it.
PARTS = [
    "db",
    "forms",
    "contrib",
    "core",
    "utils",
    "views",
    "contrib/admin",
    "template",
    "contrib/auth",
    "http",
    "db/models",
]
#: Seconds between two of them.
PAUSE = 22
LANGUAGES = {"admin.png": "en-US", "admin-ja.png": "ja-JP"}
SIZE = {"width": 1280, "height": 840}
NAME = PASSWORD = "admin"
SLOTS = 4


def main() -> None:
    port = ReservedPort()
    with tempfile.TemporaryDirectory(prefix="census-") as folder:
        environment = {
            **os.environ,
            "CENSUS_DB": f"{folder}/census.sqlite3",
            "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
            "DJANGO_SETTINGS_MODULE": "census_site.settings",
        }

        def manage(*words: str) -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                [sys.executable, SITE / "manage.py", *words], env=environment, stdout=subprocess.DEVNULL
            )

        def count(part: str) -> None:
            assert manage("census", "--root", str(Path(django.__file__).parent / part)).wait() == 0

        assert manage("migrate").wait() == 0
        assert manage("createsuperuser", "--noinput", "--username", NAME, "--email", "admin@example.org").wait() == 0
        staying = [
            manage("runserver", "--noreload", f"{HOST}:{port.number}"),
            manage("runworker", "--with-scheduler", "--concurrency", str(SLOTS)),
        ]
        try:
            wait_until(lambda: _answers(port.number), "the site's answer")
            for part in PARTS:
                count(part)
                time.sleep(PAUSE)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=_browser_program(), args=["--no-sandbox"])
                pages = {name: _overview(browser, port.number, locale) for name, locale in LANGUAGES.items()}
                count("")
                for name, page in pages.items():
                    _wait_for_work(page)
                    page.screenshot(path=ROOT / "docs" / "images" / name, full_page=True)
                browser.close()
        finally:
            for process in staying:
                process.terminate()
                process.wait()
            port.release()


def _overview(browser: Browser, port: int, locale: str) -> Page:
    context: Any = browser.new_context(
        base_url=f"http://{HOST}:{port}", locale=locale, viewport=SIZE, color_scheme="light"
    )
    page: Page = context.new_page()
    page.goto(f"/admin/login/?next={PAGES['overview']}")
    page.locator("#id_username").fill(NAME)
    page.locator("#id_password").fill(PASSWORD)
    page.locator("input[type=submit]").click()
    page.wait_for_selector(".rt-cards")
    return page


def _wait_for_work(page: Page) -> None:
    """Look again until most of the census is still to be done, and each slot has one of its tasks, with none claimed ahead."""
    while True:
        page.reload()
        numbers = [int(text.replace(",", "")) for text in page.locator(".rt-cards b").all_inner_texts()[:2]]
        if numbers[0] > 100 and numbers[1] == SLOTS:
            return


if __name__ == "__main__":
    main()
