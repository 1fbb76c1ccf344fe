"""As a program: make the tables and the users; or, with a task and a name (`deliver parcel`), enqueue it and tell its id.

`later 2300` enqueues so many tasks for tomorrow.
"""

from __future__ import annotations

import os
import sys
from datetime import timedelta

import django

from reinhardt_tasks import CronSchedule


def main(words: list[str]) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.browser.settings")
    django.setup()
    from tests.browser import tasks

    if words[:1] == ["trip"]:
        print(_trip(words[1]))
        return
    if words[:1] == ["later"]:
        waiting = tasks.pack.using(run_after=timedelta(days=1))
        print(len(waiting.enqueue_many([((f"bag {number}",), {}) for number in range(int(words[1]))])))
        return
    if words:
        print(getattr(tasks, words[0]).enqueue(words[1]).id)
        return
    from django.contrib.auth.models import Permission, User
    from django.core.management import call_command

    call_command("migrate", verbosity=0, run_syncdb=True)
    from reinhardt_tasks.scheduling import people

    people.create("weekly", tasks.pack.module_path, CronSchedule("0 9 * * mon", tz="Asia/Tokyo"), args=["bag"])
    User.objects.create_superuser("chief", password="chief")
    guest = User.objects.create_user("guest", password="guest", is_staff=True)
    guest.user_permissions.set(
        Permission.objects.filter(codename__in=["view_jobrow", "view_schedulerow", "view_workflowrow"])
    )


def _trip(name: str) -> str:
    """Start a workflow whose second step goes on until it is told to stop; return its id."""
    from reinhardt_tasks.workflows import Workflow, step
    from tests.browser import tasks

    flow = Workflow(f"trip {name}")
    bags = flow.add(step(tasks.pack, "bag").named("pack <b>bags</b>"))
    walk = flow.add(step(tasks.wander, name).named("walk"), after=[bags])
    flow.add(step(tasks.pack, "home").named("come home"), after=[walk])
    return flow.start().id


if __name__ == "__main__":
    main(sys.argv[1:])
