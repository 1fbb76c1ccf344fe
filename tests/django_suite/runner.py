"""Runs the package `tasks` in the current folder and prints each test's end as JSON: `python -m tests.django_suite.runner`.

DEFAULT_BACKEND in the environment says which backend's task class the tests' own tasks are of.
"""

from __future__ import annotations

import json
import os
import sys
import unittest
from typing import Any

from django.conf import settings


class Ends(unittest.TextTestResult):
    """Keeps one word for each test, and what it failed by."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ends: dict[str, str] = {}

    def stopTest(self, test: unittest.TestCase) -> None:
        super().stopTest(test)
        self.ends.setdefault(test.id(), "")

    def addError(self, test: Any, err: Any) -> None:
        super().addError(test, err)
        self._failed(test)

    def addFailure(self, test: Any, err: Any) -> None:
        super().addFailure(test, err)
        self._failed(test, self.failures)

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.ends[test.id()] = f"{subtest}: {err[1]!r}"

    def _failed(self, test: Any, failed: Any = None) -> None:
        self.ends[test.id()] = (failed or self.errors)[-1][1]


def main() -> None:
    settings.configure(
        SECRET_KEY="for tests only",
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        INSTALLED_APPS=["reinhardt_tasks", "tasks"],
        TASKS={"default": {"BACKEND": os.environ["DEFAULT_BACKEND"]}},
    )
    import django
    from django.test.runner import DiscoverRunner

    django.setup()

    class Runner(DiscoverRunner):
        def get_resultclass(self) -> Any:
            return Ends

        def suite_result(self, suite: Any, result: Any, **kwargs: Any) -> int:
            print(json.dumps(result.ends))
            return 0

    Runner(verbosity=0, interactive=False).run_tests(["tasks"])


if __name__ == "__main__":
    sys.path.insert(0, os.getcwd())
    main()
