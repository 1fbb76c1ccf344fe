"""The example site: its counting, its own tests, and its demo from end to end, with real processes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.servers.descendants import descendants
from tests.servers.waiting import wait_until

EXAMPLE = Path(__file__).resolve().parents[2] / "example_project"
DEADLINE = 300


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(EXAMPLE))
    from census import counting

    yield counting
    for name in [name for name in sys.modules if name.partition(".")[0] == "census"]:
        del sys.modules[name]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A package of twelve files, one of which Python cannot parse."""
    root = tmp_path / "village"
    for number in range(12):
        folder = root / f"street{number % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"house{number}.py").write_text("import os\n\nclass House:\n    def door(self): ...\n" * (number + 1))
    (root / "street0" / "house0.py").write_text("def (:\n")
    return root


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    demo = Demo(tmp_path)
    yield demo
    demo.close()


class Demo:
    """The demo as a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.output = folder / "demo.log"
        self.temp = folder / "temp"
        self.temp.mkdir()
        self.process: subprocess.Popen[bytes] | None = None
        self.family: list[int] = []

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        # Warnings-as-errors of this test run are not for the processes of the demo.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "CENSUS_"))}
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, str(EXAMPLE / "demo.py"), *arguments],
                env={**inherited, "TMPDIR": str(self.temp), "PYTHONUNBUFFERED": "1", **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return self.process

    @property
    def text(self) -> str:
        return self.output.read_text(errors="replace")

    def remember_family(self) -> list[int]:
        """Return the processes below the demo, and stop those of them in the end that outlive it."""
        assert self.process is not None
        self.family = descendants(self.process.pid)
        return self.family

    def close(self) -> None:
        """Stop what a failed test left."""
        if self.process is not None and self.process.poll() is None:
            self.remember_family()
            self.process.kill()
            self.process.wait()
        for pid in filter(is_alive, self.family):
            os.kill(pid, signal.SIGKILL)


def test_counts_of_a_small_source(counting: ModuleType) -> None:
    source = b"""\
import os, sys
from pathlib import Path

class House:
    class Room:
        async def enter(self):
            import time
    def leave(self):
        return lambda: None
"""
    assert counting.count_source(source) == counting.Count(lines=9, classes=2, functions=2, imports=3)


@pytest.mark.parametrize(
    ("source", "lines"), [(b"", 0), (b"\n", 1), (b"x = 1", 1), (b"x = 1\r\ny = 2\r\n", 2), (b"x = '\x0c'\n", 1)]
)
def test_lines_are_counted_as_editors_do(counting: ModuleType, source: bytes, lines: int) -> None:
    assert counting.count_source(source).lines == lines


@pytest.mark.parametrize(
    "source", [b"def (:\n", b"x = '\0'\n", b"# coding: nonsense\nx = 1\n", b"x = '\xff'\n", b"-" * 100_000 + b"1\n"]
)
def test_source_that_python_cannot_parse_says_why(counting: ModuleType, source: bytes) -> None:
    count = counting.count_source(source)
    assert count.problem
    assert count.lines == source.count(b"\n")
    assert (count.classes, count.functions, count.imports) == (0, 0, 0)


def test_declared_encoding_is_read(counting: ModuleType) -> None:
    source = "# coding: latin-1\ndef früh(): ...\n".encode("latin-1")
    assert counting.count_source(source) == counting.Count(lines=2, functions=1)


def test_files_are_found_in_order_without_hidden_folders(counting: ModuleType, tree: Path) -> None:
    (tree / ".venv").mkdir()
    (tree / ".venv" / "hidden.py").touch()
    (tree / "notes.txt").touch()
    found = counting.python_files(tree)
    assert len(found) == 12
    assert found == sorted(found)
    assert found[0] == "street0/house0.py"


@pytest.mark.parametrize(
    ("path", "package"), [("a.py", "top"), ("b/a.py", "top.b"), ("b/c/a.py", "top.b.c"), ("b/c/d/a.py", "top.b.c")]
)
def test_package_is_no_deeper_than_two_below_the_root(counting: ModuleType, path: str, package: str) -> None:
    assert counting.package_of("top", path) == package


def test_the_sites_own_tests_pass(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, str(EXAMPLE / "manage.py"), "test", "census"],
        cwd=EXAMPLE,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "census_site.settings", "CENSUS_DB": str(tmp_path / "db.sqlite3")},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert int(re.findall(r"Ran (\d+) tests", run.stderr)[0]) >= 16


def test_the_sites_tests_with_pytest_pass(tmp_path: Path) -> None:
    own = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "DJANGO_"))}
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"],
        cwd=EXAMPLE,
        env={**own, "CENSUS_DB": str(tmp_path / "db.sqlite3")},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert " 3 passed" in run.stdout


def test_migrations_are_complete(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, str(EXAMPLE / "manage.py"), "makemigrations", "--check", "--dry-run", "census"],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "census_site.settings", "CENSUS_DB": str(tmp_path / "db.sqlite3")},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_demo_runs_the_nightly_census_checks_itself_and_ends(demo: Demo, tree: Path) -> None:
    process = demo.start("--root", str(tree), "--port", "0", DEMO_EXIT="1")
    assert process.wait(DEADLINE) == 0, demo.text
    assert "The nightly census is due at" in demo.text
    assert "The schedule was fired once" in demo.text
    assert "12 files, 309 lines, 77 classes" in demo.text
    assert "Every check held" in demo.text
    assert list(demo.temp.glob("census-demo-*")) == []


def test_demo_stays_up_until_ctrl_c_and_leaves_no_process(demo: Demo, tree: Path) -> None:
    process = demo.start("--root", str(tree), "--port", "0", DEMO_EXIT="")
    wait_until(
        lambda: "until Ctrl-C" in demo.text or process.poll() is not None, "the demo to stay up", timeout=DEADLINE
    )
    assert process.poll() is None, demo.text
    page = re.findall(r"http://\S+/runs/1/", demo.text)[0]
    assert b"All tasks have ended" in urllib.request.urlopen(page, timeout=30).read()
    family = demo.remember_family()
    assert len(family) >= 2

    process.send_signal(signal.SIGINT)
    assert process.wait(DEADLINE) == 0, demo.text
    # A killed parent's children are somebody else's to reap, so they may be there for a moment.
    wait_until(lambda: not any(map(is_alive, family)), "the demo's processes to be gone")
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(page, timeout=30)


def test_demo_without_progress_fails_and_shows_the_workers_log(demo: Demo, tree: Path) -> None:
    process = demo.start("--root", str(tree), "--port", "0", "--patience", "0", DEMO_EXIT="1")
    assert process.wait(DEADLINE) == 1, demo.text
    assert "Nothing moved for 0 seconds" in demo.text
    assert "Last lines of the worker's log" in demo.text


def test_demo_of_a_tree_without_python_fails(demo: Demo, tmp_path: Path) -> None:
    process = demo.start("--root", str(tmp_path), "--port", "0", DEMO_EXIT="1")
    assert process.wait(DEADLINE) == 1, demo.text
    assert "There is no Python file below" in demo.text


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
