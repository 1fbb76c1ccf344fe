"""A site, a worker and a browser. Without chromium these tests are skipped, loudly; under CI that is an error."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.servers import wait_until
from tests.servers.ports import HOST, ReservedPort
from tests.settings import sqlite

ROOT = Path(__file__).parents[2]
#: Milliseconds for what takes a moment, on a machine that has much else to do.
SOON = 60_000


def _browser_program() -> str | None:
    names = [os.environ.get("REINHARDT_CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"]
    return next((found for name in names if name and (found := shutil.which(name))), None)


@dataclass(frozen=True)
class Site:
    """A running site: its address, and a door that makes `deliver` succeed once it is there."""

    address: str
    door: Path
    environment: dict[str, str]

    def enqueue(self, task: str, name: str) -> str:
        return _run(self.environment, "-m", "tests.browser.prepare", task, name).strip()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    door = folder / "door"
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.browser.settings",
        "REINHARDT_TEST_DATABASES": json.dumps({"default": sqlite(folder / "site.sqlite3")}),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "BROWSER_DOOR": str(door),
    }
    _run(environment, "-m", "tests.browser.prepare")
    port = ReservedPort()
    # Each look at all pages leaves a task that runs on and on.
    commands = [["runserver", "--noreload", f"{HOST}:{port.number}"], ["runworker", "--concurrency", "16"]]
    processes = []
    try:
        for command in commands:
            with (folder / f"{command[0]}.log").open("wb") as log:
                processes.append(
                    subprocess.Popen(
                        [sys.executable, "-m", "django", *command],
                        cwd=ROOT,
                        env=environment,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                    )
                )
        wait_until(lambda: _answers(port.number), "the site's answer")
        yield Site(f"http://{HOST}:{port.number}", door, environment)
    finally:
        for process in processes:
            process.kill()
            process.wait()
        port.release()


def _answers(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=1):
            return True
    except OSError:
        return False


def _run(environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def browser() -> Iterator[Any]:
    """Give a browser of this test's own: while playwright is up, this thread seems to run an event loop to all other tests."""
    program = _browser_program()
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sync_playwright = None
    if program is None or sync_playwright is None:
        missing = "chromium" if program is None else "playwright"
        words = f"No {missing}: NOTHING WAS TESTED IN A BROWSER. Install {missing}."
        if os.environ.get("CI"):
            pytest.fail(words, pytrace=False)
        pytest.skip(words)
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the pictures of the pages are put: REINHARDT_PICTURES, or a folder of this run."""
    folder = Path(os.environ.get("REINHARDT_PICTURES") or tmp_path_factory.mktemp("pictures"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def visit(browser: Any, site: Site) -> Iterator[Callable[..., Any]]:
    """Return a page on which somebody has logged in by the form. In the end no page may have complained in its console."""
    contexts: list[Any] = []
    complaints: list[str] = []

    def opened(user: str = "chief", *, scheme: str = "light", width: int = 1280, **more: Any) -> Any:
        context = browser.new_context(
            base_url=site.address,
            color_scheme=scheme,
            viewport={"width": width, "height": 900},
            **{"locale": "en-US", **more},
        )
        context.set_default_timeout(SOON)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: _heard(message, complaints))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto("/admin/")
        page.locator("#id_username").fill(user)
        page.locator("#id_password").fill(user)
        page.locator("input[type=submit]").click()
        page.wait_for_selector("#user-tools")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def _heard(message: Any, complaints: list[str]) -> None:
    # Every browser asks for an icon by itself; the site has none.
    if message.type in ("error", "warning") and "favicon.ico" not in str(message.location):
        complaints.append(f"{message.type}: {message.text} {message.location}")
