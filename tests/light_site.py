"""A site with one task and nothing besides, in a process of its own: what it imports, and what of the processor that takes.

`python -m tests.light_site STEP` goes as far as that step, and prints as JSON milliseconds and the names of the modules.
"""

from __future__ import annotations

import json
import sys
import time

STEPS = ["django", "installed", "enqueued"]


def greet(name: str) -> str:
    return f"Hello {name}"


def set_up(*, with_tasks: bool) -> None:
    import django
    from django.conf import settings

    ours = ["reinhardt_tasks"] if with_tasks else []
    settings.configure(
        # Django 5.2 has its tasks from another package, whichever backend is used.
        INSTALLED_APPS=["django.contrib.contenttypes", *(["django_tasks"] if django.VERSION < (6, 0) else []), *ours],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        TASKS={"default": {"BACKEND": "reinhardt_tasks.backends.DatabaseBackend"}} if with_tasks else {},
        USE_TZ=True,
    )
    django.setup()


def enqueue() -> float:
    """Return the seconds of processor time from the task's definition to the end of `enqueue()`."""
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    began = time.process_time()
    from reinhardt_tasks import task

    task(greet).enqueue("Ann")
    return time.process_time() - began


def main(step: str) -> None:
    began = time.process_time()
    set_up(with_tasks=step != "django")
    seconds = time.process_time() - began
    if step == "enqueued":
        seconds += enqueue()
    print(json.dumps({"ms": seconds * 1000, "modules": sorted(sys.modules)}))


if __name__ == "__main__":
    main(sys.argv[1])
