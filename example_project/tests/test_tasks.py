"""Three of the site's tasks, tested with pytest's fixture `reinhardt_tasks`; `census/tests.py` has Django's test cases."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from census.models import Letter, Run
from census.tasks import count_files, count_missing_file, send_letter

from reinhardt_tasks.testing import CapturedTasks

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "people.py").write_text("class Person: ...\n")
    return Run.objects.create(root=str(tmp_path), name="town")


def test_a_file_is_counted_when_its_task_has_run(run: Run, reinhardt_tasks: CapturedTasks) -> None:
    count_files.enqueue(run.pk, ["people.py"])
    reinhardt_tasks.assert_enqueued(count_files, args=[run.pk, ["people.py"]], queue_name="files", count=1)
    assert not run.file_counts.exists()
    [result] = reinhardt_tasks.drain()
    assert result.return_value == [[1, "people.py"]]
    assert run.file_counts.get().classes == 1


def test_a_letter_that_is_refused_is_sent_later(
    run: Run, reinhardt_tasks: CapturedTasks, settings: Any, tmp_path: Path
) -> None:
    settings.EMAIL_BACKEND, settings.EMAIL_FILE_PATH = "census.postoffice.GreylistingBackend", tmp_path / "mail"
    letter = Letter.objects.create(run=run, recipient="ada@example.org", refusals_ahead=1)
    result = send_letter.enqueue(letter.pk, "The town has one line.")
    reinhardt_tasks.drain(retries=False)
    result.refresh()
    assert (result.state, result.attempts) == ("RETRY", 1)
    reinhardt_tasks.travel(timedelta(seconds=1))
    [result] = reinhardt_tasks.drain()
    letter.refresh_from_db()
    assert letter.sent_at is not None
    handing_in = f"Handing in letter {letter.pk}"
    assert [(line.attempt, line.message) for line in result.log] == [
        (1, handing_in),
        (2, handing_in),
        (2, "The post office took it"),
    ]


def test_a_file_that_is_not_there_fails_for_good(run: Run, reinhardt_tasks: CapturedTasks) -> None:
    count_missing_file.enqueue(run.pk, "nobody.py")
    [result] = reinhardt_tasks.drain(raise_failures=False)
    assert (result.state, result.attempts) == ("FAILURE", 2)
    assert result.errors[-1].exception_class is FileNotFoundError
