"""The site's own tests: `manage.py test`."""

from __future__ import annotations

import re
import smtplib
import tempfile
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

from django.contrib.auth import get_user_model
from django.test import TestCase, override_settings
from django.urls import reverse
from django.utils import timezone

from reinhardt_tasks import ChainStatus, get_workflow
from reinhardt_tasks.models import StepRow
from reinhardt_tasks.testing import CapturedTasksMixin

from .counting import in_batches
from .models import Letter, Run
from .runs import MISSING_FILE, READERS, start
from .tasks import (
    begin_nightly_census,
    count_files,
    count_missing_file,
    merge_counts,
    render_headline,
    send_letter,
)
from .verification import differences

SOURCES = {
    "town/__init__.py": "",
    "town/people.py": "import os\n\n\nclass Person:\n    def greet(self): ...\n",
    "town/deep/down/broken.py": "def (:\n",
}


class CensusTestCase(CapturedTasksMixin, TestCase):
    @classmethod
    def setUpTestData(cls) -> None:
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.root = Path(folder.name).resolve() / "town"
        for name, source in SOURCES.items():
            path = cls.root.parent / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source)
        cls.mail_folder = cls.root.parent / "mail"
        cls.run_ = start(cls.root)

    def count_everything(self) -> None:
        """Run all that the census has enqueued, with its retries, until it is over."""
        backend = "census.postoffice.GreylistingBackend"
        with override_settings(EMAIL_BACKEND=backend, EMAIL_FILE_PATH=self.mail_folder):
            # One task is meant to fail.
            self.tasks.drain(raise_failures=False)
            self.tasks.travel(timedelta(seconds=5))
            self.tasks.drain(raise_failures=False)
        self.run_.refresh_from_db()

    def send(self, letter: Letter) -> int:
        """Try to send the letter until it is sent; return the number of refusals."""
        backend = "census.postoffice.GreylistingBackend"
        with override_settings(EMAIL_BACKEND=backend, EMAIL_FILE_PATH=self.mail_folder):
            for refusals in range(10):
                try:
                    send_letter.call(letter.pk, "4 lines")
                except smtplib.SMTPResponseException:
                    continue
                return refusals
        raise AssertionError("The letter was never sent.")


class StartTests(CensusTestCase):
    def test_a_census_begins_as_a_workflow_of_the_steps_that_are_known(self) -> None:
        names = [step.name for step in get_workflow(self.run_.workflow_id).steps()]
        letters = [f"letter to {reader}" for reader in READERS]
        self.assertEqual(names, ["scan", "files", "missing", "merge", "headline", *letters])

    def test_every_file_is_a_step_and_is_enqueued_once(self) -> None:
        self.tasks.drain(raise_failures=False)
        names = [step.name for step in get_workflow(self.run_.workflow_id).steps()]
        self.assertEqual([name for name in names if "files" in name], ["files[0]", "files[1]", "files[2]"])
        for path in ("__init__.py", "deep/down/broken.py", "people.py"):
            self.tasks.assert_enqueued(count_files, args=[self.run_.pk, [path]], queue_name="files", count=1)
        self.assertEqual(self.tasks.assert_enqueued(render_headline)[0].state, "SCHEDULED")

    def test_a_tree_without_python_fails_in_its_scan(self) -> None:
        with tempfile.TemporaryDirectory() as empty:
            run = start(Path(empty))
            self.tasks.drain(raise_failures=False)
        workflow = get_workflow(run.workflow_id)
        self.assertIs(workflow.status, ChainStatus.FAILED)
        self.assertIn("no Python file", workflow.steps()[0].error)
        self.assertIn("It has come to no result", self.client.get(run.get_absolute_url()).content.decode())

    def test_more_files_than_a_workflow_takes_steps_go_in_batches(self) -> None:
        paths = [f"{number}.py" for number in range(10)]
        self.assertEqual(in_batches(paths, 10), [[path] for path in paths])
        self.assertEqual([len(batch) for batch in in_batches(paths, 4)], [3, 3, 3, 1])
        self.assertEqual(sum(in_batches(paths, 3), []), paths)

    def test_the_nightly_census_begins_once_though_its_task_runs_twice(self) -> None:
        tonight = SimpleNamespace(scheduled_for=timezone.now())
        with override_settings(CENSUS_ROOT=str(self.root)):
            self.assertEqual(begin_nightly_census.func(tonight), begin_nightly_census.func(tonight))
        self.assertEqual(Run.objects.count(), 2)


class TaskTests(CensusTestCase):
    def test_a_file_counted_twice_is_one_row(self) -> None:
        self.assertEqual(count_files.call(self.run_.pk, ["people.py"]), [[5, "people.py"]])
        self.assertEqual(count_files.call(self.run_.pk, ["people.py"]), [[5, "people.py"]])
        row = self.run_.file_counts.get()
        self.assertEqual((row.package, row.classes, row.functions, row.imports), ("town", 1, 1, 1))

    def test_every_task_bears_a_worker_that_dies_before_it_can_tell(self) -> None:
        with self.tasks.kill_before_settle():
            self.count_everything()
        self.assertEqual(differences(self.run_, self.mail_folder), [])

    def test_the_post_office_refuses_as_often_as_it_is_told(self) -> None:
        for letter in self.run_.letters.all():
            self.assertEqual(self.send(letter), letter.refusals_ahead)

    def test_a_letter_that_was_sent_is_not_sent_again(self) -> None:
        letter = self.run_.letters.all()[0]
        self.send(letter)
        before = len(list(self.mail_folder.iterdir()))
        self.assertEqual(send_letter.call(letter.pk, "4 lines"), "sent before")
        self.assertEqual(len(list(self.mail_folder.iterdir())), before)

    def test_a_letter_that_is_handed_in_twice_is_one_letter(self) -> None:
        letter = self.run_.letters.all()[0]
        self.send(letter)
        before = len(list(self.mail_folder.iterdir()))
        # Its worker died before it could write down that it was sent.
        Letter.objects.filter(pk=letter.pk).update(sent_at=None)
        self.send(letter)
        self.assertEqual(len(list(self.mail_folder.iterdir())), before)

    def test_the_counts_of_all_files_become_one(self) -> None:
        merged = merge_counts.call([[[3, "a.py"], [7, "b.py"]], [[7, "c.py"]]])
        self.assertEqual(merged, {"files": 3, "lines": 17, "longest": "b.py", "most": 7})
        Run.objects.filter(pk=self.run_.pk).update(size=99)
        self.assertIn("17 lines in 3 Python files of 99 bytes", render_headline.call(self.run_.pk, merged))

    def test_all_waits_for_the_scan(self) -> None:
        run = get_workflow(self.run_.workflow_id)
        self.assertEqual(run.progress(), (0, 8))
        self.assertEqual([step.state for step in run.steps()], ["PENDING", *["WAITING"] * 7])

    def test_the_missing_file_fails(self) -> None:
        with self.assertRaises(FileNotFoundError):
            count_missing_file.call(self.run_.pk, MISSING_FILE)


class VerificationTests(CensusTestCase):
    def test_a_finished_run_has_no_differences(self) -> None:
        self.count_everything()
        self.assertEqual(differences(self.run_, self.mail_folder), [])

    def test_a_wrong_number_a_lost_file_and_a_wrong_state_are_found(self) -> None:
        self.count_everything()
        self.run_.file_counts.filter(path="people.py").update(lines=4)
        self.run_.file_counts.filter(path="__init__.py").delete()
        StepRow.objects.filter(workflow_id=self.run_.workflow_id, name="scan").update(status="FAILURE")
        ada, grace, _ = self.run_.letters.all()
        Letter.objects.filter(pk=ada.pk).update(sent_at=None)
        (self.mail_folder / f"letter-{grace.pk}.eml").unlink()
        found = "\n".join(differences(self.run_, self.mail_folder))
        for words in (
            "people.py: the task stored",
            "__init__.py is there, but",
            "scan ended as FAILURE",
            "ada@example.org: refused 1 of 1 times, sent None",
            "0 letters to grace@example.org",
        ):
            self.assertIn(words, found)


class PageTests(CensusTestCase):
    def page(self) -> str:
        response = self.client.get(self.run_.get_absolute_url())
        self.assertEqual(response.status_code, 200)
        return response.content.decode()

    def test_an_open_run_keeps_its_page_fresh(self) -> None:
        page = self.page()
        self.assertIn("<strong>0</strong> of 8 steps done", page)
        self.assertIn("No file is counted yet", page)
        self.assertIn("census/live.js", page)
        self.assertIn('<noscript><meta http-equiv="refresh"', page)

    def test_live_tells_how_far_it_is_and_draws_the_parts(self) -> None:
        count_files.call(self.run_.pk, ["people.py"])
        news = self.client.get(reverse("census:live", args=[self.run_.pk])).json()
        self.assertEqual((news["done"], news["total"], news["ended"]), (0, 8, False))
        self.assertEqual(sum(news["states"].values()), 8)
        self.assertIn("people.py", news["parts"]["results"])

    def test_a_finished_run_shows_totals_chart_failures_and_no_script(self) -> None:
        self.count_everything()
        page = self.page()
        for words in (
            "All tasks have ended",
            "town has 6 lines in 3 Python files",
            "town.deep.down",
            "FileNotFoundError",
        ):
            self.assertIn(words, page)
        self.assertRegex(page, r'<rect class="bar" x="0" y="20" width="100.000%"')
        self.assertIn('<span class="badge">expected</span>', page)
        self.assertIn("SyntaxError", page)
        self.assertNotIn("<script", page)

    def test_nothing_is_inline_and_nothing_comes_from_another_host(self) -> None:
        for page in (self.page(), self.client.get(reverse("census:index")).content.decode()):
            self.assertNotRegex(page, r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=")
            self.assertEqual(re.findall(r'(?:src|href|action)="(?:https?:)?//[^"]*', page), [])

    def test_an_unknown_run_is_not_found(self) -> None:
        self.assertEqual(self.client.get(reverse("census:run", args=[self.run_.pk + 1])).status_code, 404)

    def test_only_staff_starts_a_census(self) -> None:
        with override_settings(CENSUS_ROOT=str(self.root)):
            self.assertIn("/admin/login/", self.client.post(reverse("census:begin")).headers["Location"])
            self.assertEqual(Run.objects.count(), 1)
            self.client.force_login(get_user_model().objects.create_superuser("admin"))
            response = self.client.post(reverse("census:begin"))
        self.assertRedirects(response, Run.objects.latest("pk").get_absolute_url())
        self.assertEqual(Run.objects.count(), 2)

    def test_the_admin_shows_the_tables(self) -> None:
        count_files.call(self.run_.pk, ["people.py"])
        self.client.force_login(get_user_model().objects.create_superuser("admin"))
        for model in ("run", "filecount", "letter"):
            self.assertEqual(self.client.get(reverse(f"admin:census_{model}_changelist")).status_code, 200)
