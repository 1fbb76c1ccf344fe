"""The addresses of all pages, and what has to be there for each of them to show something."""

from __future__ import annotations

from typing import Any

from .conftest import Site

PAGES = {
    "overview": "/admin/reinhardt_tasks/jobrow/",
    "tasks": "/admin/reinhardt_tasks/jobrow/tasks/",
    "queues": "/admin/reinhardt_tasks/jobrow/queues/",
    "workers": "/admin/reinhardt_tasks/jobrow/workers/",
    "failures": "/admin/reinhardt_tasks/jobrow/failures/",
    "schedules": "/admin/reinhardt_tasks/schedulerow/",
    "workflows": "/admin/reinhardt_tasks/workflowrow/",
}


def every_place(page: Any, site: Site) -> dict[str, str]:
    """Make a task that failed and a workflow that runs; return the addresses of all pages that a link leads to."""
    site.door.unlink(missing_ok=True)
    id_ = site.enqueue("deliver", "parcel 9")
    task = f"/admin/reinhardt_tasks/jobrow/{id_}/change/"
    page.goto(task)
    while page.locator("#rt-task-state .rt-bad").count() == 0:
        page.reload()
    flow = site.enqueue("trip", "to the sea")
    page.goto(PAGES["schedules"])
    page.get_by_role("link", name="weekly").click()
    return {
        **PAGES,
        "task": task,
        "check": "/admin/reinhardt_tasks/jobrow/check/?backend=default",
        "edit": task.replace("change", "edit"),
        "schedule": page.url,
        "schedule-edit": page.url.replace("change", "edit"),
        "schedule-add": f"{PAGES['schedules']}add/",
        "workflow": f"/admin/reinhardt_tasks/workflowrow/{flow}/change/",
        "index": "/admin/",
    }
