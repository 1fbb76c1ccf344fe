"""What has to speak while Django is still loading speaks English, rather than hide the problem behind another one."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
from django.conf import settings
settings.configure(LANGUAGE_CODE="ja", INSTALLED_APPS=[], USE_I18N=True)
from reinhardt_tasks.schedules import CronSchedule
try:
    CronSchedule("61 * * * *")
except Exception as exc:
    print(type(exc).__name__, exc)
"""


def test_a_schedule_that_cannot_be_is_told_before_the_apps_are_loaded() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120)
    assert done.stdout.startswith("InvalidSchedule Cron expression '61 * * * *': the minute field"), done.stderr
