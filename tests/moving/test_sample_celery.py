"""A Celery project with beat, moved as the guide tells it: before by Celery, meanwhile by both, at the end by us alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.moving.houses import needs
from tests.moving.sites import Site

pytestmark = needs("django_celery_beat")

CELERY = ("-m", "celery", "-A", "shopsite")
WORKER = (*CELERY, "worker", "--pool", "solo", "--without-gossip", "--without-mingle")
#: What somebody has clicked together in the admin.
CLICKED = """
from django_celery_beat.models import IntervalSchedule, PeriodicTask
every = IntervalSchedule.objects.create(every=1, period="seconds")
value = PeriodicTask.objects.create(name="count", task="shop.tasks.count_orders", interval=every).pk
"""
_FOUND = {"celery.backend_cleanup": "left"}


def order(site: Site, number: str) -> dict[str, Any]:
    (found,) = site.rows(f"SELECT * FROM shop_order WHERE id = {number}")
    return found


def counts(site: Site, by: str) -> int:
    return len(site.rows(f"SELECT id FROM shop_count WHERE by = '{by}'"))


def is_shipped(site: Site, number: str) -> bool:
    found = order(site, number)
    return bool(found["shipped_in"] and found["total"])


def test_the_project_moves(tmp_path: Path, redis_server: Any) -> None:
    site = Site("celery", tmp_path, REDIS_URL=redis_server.url)

    site.move_on("before")
    first = site.manage("buy").strip()
    site.python(CLICKED)
    with site.running(*WORKER), site.running(*CELERY, "beat"):
        site.wait_for(lambda: is_shipped(site, first) and counts(site, "celery") > 0)
    done = order(site, first)
    assert (done["total"], done["paid_in"], done["paid_by"]) == (119, 2, "celery")

    # One task is moved, the others are not; the schedule is brought over, switched off.
    site.move_on("during")
    second = site.manage("buy").strip()
    rehearsed = json.loads(site.manage("tasks", "import", "--dry-run", "--json", code=1))
    # It is no task of ours yet. The other is what Celery has put there for itself.
    assert {each["name"]: each["verdict"] for each in rehearsed["found"]} == _FOUND | {"count": "refused"}
    with site.running(*WORKER), site.running("manage.py", "runworker"):
        site.wait_for(lambda: is_shipped(site, second))
    done = order(site, second)
    assert (done["total"], done["paid_in"], done["paid_by"]) == (119, 2, "reinhardt_tasks")
    assert done["shipped_in"] > 1

    site.move_on("clock")
    told = json.loads(site.manage("tasks", "import", "--off", "--json"))
    assert {each["name"]: each["verdict"] for each in told["found"]} == _FOUND | {"count": "imported"}
    assert json.loads(site.manage("tasks", "import", "--json"))["counts"]["present"] == 1

    site.move_on("after")
    assert counts(site, "reinhardt_tasks") == 0
    site.python("from reinhardt_tasks.scheduling import switch; value = switch('count', True).enabled")
    third = site.manage("buy").strip()
    with site.running("manage.py", "runworker", "--with-scheduler"):
        site.wait_for(lambda: is_shipped(site, third) and counts(site, "reinhardt_tasks") > 0)
    done = order(site, third)
    assert (done["total"], done["paid_in"], done["paid_by"]) == (119, 2, "reinhardt_tasks")
