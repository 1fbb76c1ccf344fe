"""A django-q2 project, moved as the guide tells it: before by django-q2 in its sync mode, at the end by us alone."""

from __future__ import annotations

import json
from pathlib import Path

from tests.moving.houses import needs
from tests.moving.sites import Site

pytestmark = needs("django_q")

#: A schedule that is due, and the rest of what `schedule()` of django-q2 was told.
MADE = """
from django.utils import timezone
from django_q.tasks import schedule
made = schedule("shop.jobs.count_orders", "morning", name="count", schedule_type="I", minutes=1, short=True,
    next_run=timezone.now())
value = made.pk
"""
CLUSTER = "from django_q.scheduler import scheduler; scheduler(); value = None"
RENAMES = ("--rename", "shop.jobs.count_orders=shop.tasks.count_orders")


def counts(site: Site) -> list[tuple[int, str]]:
    return [(row["orders"], row["label"]) for row in site.rows("SELECT orders, label FROM shop_count ORDER BY id")]


def totals(site: Site) -> list[int | None]:
    return [row["total"] for row in site.rows("SELECT total FROM shop_order ORDER BY id")]


def test_the_project_moves(tmp_path: Path) -> None:
    site = Site("django_q2", tmp_path)

    site.move_on("before")
    site.manage("buy")
    number = site.python(MADE)
    site.python(CLUSTER)
    assert (totals(site), counts(site)) == ([119], [(1, "mor")])

    # Orders are added up by us; the schedule is brought over, switched off.
    site.move_on("during")
    site.manage("buy")
    assert totals(site) == [119, None]
    name = f"count (django-q2 {number})"
    refused = json.loads(site.manage("tasks", "import", "--dry-run", "--json", code=1))["found"]
    assert [each["verdict"] for each in refused] == ["refused"]
    told = json.loads(site.manage("tasks", "import", "--off", *RENAMES, "--json"))["found"]
    assert [(each["name"], each["task"], each["verdict"]) for each in told] == [
        (name, "shop.tasks.count_orders", "imported")
    ]
    assert "1 succeeded, 0 failed" in site.manage("runworker", "--burst")
    assert totals(site) == [119, 119]
    again = json.loads(site.manage("tasks", "import", *RENAMES, "--json"))["counts"]
    assert again == {"imported": 0, "present": 1, "left": 0, "refused": 0}

    site.move_on("after")
    (slot,) = site.rows("SELECT args, kwargs, enabled FROM reinhardt_tasks_schedule")
    assert slot == {"args": '["morning"]', "kwargs": '{"short": true}', "enabled": 0}
    site.python(
        f"from reinhardt_tasks.scheduling import run_now, switch; switch({name!r}, True); value = run_now({name!r})"
    )
    site.manage("buy")
    assert "2 succeeded, 0 failed" in site.manage("runworker", "--burst")
    assert (totals(site), counts(site)) == ([119] * 3, [(1, "mor"), (3, "mor")])
