"""What is published: the wheel works with nothing else installed, and the source archive can be tested again."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_string
from pathlib import Path

import pytest

from tests.documents.sites import Site

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "reinhardt_tasks"

#: Module → the library, of an extra or of a test's own, without which it cannot be imported.
WANTING = {
    "reinhardt_tasks.contrib.opentelemetry": "opentelemetry",
    "reinhardt_tasks.contrib.prometheus": "prometheus_client",
    "reinhardt_tasks.pytest_plugin": "pytest",
}
#: Imports all modules of the package, and prints those that cannot be, with what is missing.
IMPORT_ALL = """
import importlib, pkgutil, reinhardt_tasks
for module in pkgutil.walk_packages(reinhardt_tasks.__path__, "reinhardt_tasks."):
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as exc:
        print("wanting", module.name, (exc.__cause__ or exc).name)
"""


@dataclass(frozen=True)
class Built:
    wheel: Path
    archive: Path


def ran(*command: object, cwd: Path = ROOT) -> str:
    """Run a program, without what this run of pytest has in the environment; return what it prints."""
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("PYTEST_", "DJANGO_", "REINHARDT_", "PYTHONPATH"))
    }
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The source archive, and the wheel that is built from it."""
    # A folder of that name, in which the manual lies, is a package too.
    pytest.importorskip("build.__main__", reason="build is not installed: pip install 'reinhardt-tasks[dev]'")
    folder = tmp_path_factory.mktemp("dist")
    ran(sys.executable, "-m", "build", "--outdir", folder, ROOT)
    (wheel,), (archive,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return Built(wheel, archive)


@pytest.fixture(scope="module")
def unpacked(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in the source archive."""
    with tarfile.open(built.archive) as archive:
        archive.extractall(folder := tmp_path_factory.mktemp("unpacked"), filter="data")
    (root,) = folder.iterdir()
    return root


@pytest.fixture(scope="module")
def lonely_programs(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the programs of an environment lie in which nothing is installed but the wheel, with what it requires."""
    folder = tmp_path_factory.mktemp("environment")
    ran(sys.executable, "-m", "venv", folder)
    ran(folder / "bin" / "python", "-m", "pip", "install", "--quiet", built.wheel)
    return folder / "bin"


@pytest.fixture
def lonely_site(lonely_programs: Path, tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path, lonely_programs, has_package=True)
    yield site
    site.close()


def test_the_package_index_would_take_both(built: Built) -> None:
    pytest.importorskip("twine", reason="twine is not installed: pip install 'reinhardt-tasks[dev]'")
    ran(sys.executable, "-m", "twine", "check", "--strict", built.wheel, built.archive)


def test_on_the_package_index_the_readme_leads_to_the_repository(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as wheel:
        (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = message_from_string(wheel.read(name).decode())
    urls = dict(url.split(", ") for url in metadata.get_all("Project-URL", []))
    home = urls["Source"]
    assert [url for url in urls.values() if not url.startswith(home)] == []
    links = re.findall(r"(!?)\[[^\]]*\]\(([^)\s]+)\)", metadata.get_payload())
    assert len(links) == len(re.findall(r"\]\(", (ROOT / "README.md").read_text())) > 10
    for picture, target in links:
        place = re.fullmatch(rf"{re.escape(home)}/(?:{'raw' if picture else 'blob'})/main/([^#]+)(?:#.*)?", target)
        assert place and (ROOT / place[1]).exists(), target


def test_the_wheel_has_the_whole_package_and_nothing_else(built: Built) -> None:
    packed = {name for name in zipfile.ZipFile(built.wheel).namelist() if ".dist-info/" not in name}
    there = {path.relative_to(ROOT).as_posix() for path in PACKAGE.rglob("*") if path.is_file()}
    assert packed == {name for name in there if "__pycache__" not in name}
    kinds = {Path(name).suffix for name in packed}
    assert kinds >= {".py", ".typed", ".lua", ".html", ".css", ".js", ".mo"}


def test_a_site_needs_the_wheel_and_nothing_else(lonely_site: Site) -> None:
    lonely_site.follow(ROOT / "docs" / "tutorial.md")
    found = lonely_site.run('python -c "import reinhardt_tasks; print(reinhardt_tasks.__file__)"')
    assert "site-packages" in found


def test_every_module_needs_the_wheel_and_nothing_else(lonely_site: Site) -> None:
    """But for those that serve a library which is an extra."""
    lonely_site.run("django-admin startproject mysite .")
    lonely_site.write("mysite/settings.py", "INSTALLED_APPS += ['reinhardt_tasks']")
    printed = lonely_site.python(IMPORT_ALL)
    assert dict(re.findall(r"^wanting (\S+) (\S+)$", printed, flags=re.MULTILINE)) == WANTING


def test_the_demo_needs_the_package_and_nothing_else(lonely_programs: Path, tmp_path: Path) -> None:
    (tmp_path / "house.py").write_text("import os\n")
    demo = [ROOT / "example_project" / "demo.py", "--root", tmp_path, "--port", "0"]
    assert "Every check held." in ran("env", "DEMO_EXIT=1", lonely_programs / "python", *demo)


def test_the_source_archive_has_all_tests(unpacked: Path) -> None:
    assert collected(unpacked) == collected(ROOT)


def collected(root: Path) -> list[str]:
    printed = ran(sys.executable, "-m", "pytest", "tests", "--collect-only", "-q", cwd=root)
    return re.findall(r"^(tests/.*)$", printed, flags=re.MULTILINE)


def test_the_source_archive_has_what_its_documents_name(unpacked: Path) -> None:
    names = "every_link_leads_somewhere or every_test_that_is_named_exists or every_check_is_told"
    printed = ran(sys.executable, "-m", "pytest", "tests/test_docs.py", "-k", names, cwd=unpacked)
    assert " passed" in printed
