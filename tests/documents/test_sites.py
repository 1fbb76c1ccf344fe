"""Sites that are built by the manual's word: READMEs, quickstart, tutorial."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.documents.pages import ROOT
from tests.documents.sites import SOON, Site
from tests.servers import wait_until

UPLOAD = (
    "from django.test import RequestFactory; from uploads.views import upload; "
    "print(upload(RequestFactory().post('/', {'text': 'a,b'})).content.decode())"
)
ROWS = "from uploads.models import Upload; print([upload.rows for upload in Upload.objects.all()])"
LETTERS = "from orders.models import Letter; print(sorted(Letter.objects.values_list('text', flat=True)))"
#: What somebody who is logged in reads on a page of the admin.
READ = (
    "from django.contrib.auth.models import User; from django.test import Client; client = Client(); "
    "client.force_login(User.objects.get(username='me')); "
    "print(client.get('/admin/reinhardt_tasks/{}/', HTTP_HOST='localhost').content.decode())"
)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.close()


@pytest.mark.parametrize("name", ["README.md", "README.ja.md"])
def test_a_project_becomes_what_the_readme_shows(name: str, site: Site) -> None:
    # It begins in a project that is there.
    site.run("django-admin startproject mysite . && python manage.py startapp uploads")
    site.follow(ROOT / name)
    site.run("python manage.py check --fail-level WARNING --database default")
    assert "PENDING" in site.python(UPLOAD)
    succeeded = "python manage.py tasks list --status success"
    wait_until(lambda: "uploads.tasks.count_rows" in site.run(succeeded), "the task has run", timeout=SOON)


def test_the_quickstart_leads_where_it_says(site: Site) -> None:
    site.follow(ROOT / "docs" / "quickstart.md")
    site.run("python manage.py check --fail-level WARNING --database default")
    assert site.python(ROWS) == "[1]"


def test_the_tutorial_leads_where_it_says(site: Site) -> None:
    site.follow(ROOT / "docs" / "tutorial.md")

    assert (
        site.python(LETTERS)
        == "['Cakes, and more cakes.', 'Sales: north: 30, south: 12', 'You paid 12.', 'You paid 30.']"
    )
    address = f"http://{site.address}/admin/login/"
    wait_until(lambda: _answers(address), "the site answers")
    tasks, flows = site.python(READ.format("jobrow/tasks")), site.python(READ.format("workflowrow"))
    assert "send_catalogue" in tasks and "begin_report" in tasks
    assert "report" in flows and "Completed" in flows
    assert "nightly report" in site.python(READ.format("schedulerow"))


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False
