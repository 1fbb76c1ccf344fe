"""django-tasks-db: one process, one task at a time, results kept; it has no bulk enqueue."""

from __future__ import annotations

from benchmarks.driver import DjangoDriver


class DjangoTasksDb(DjangoDriver):
    worker = ("django", "db_worker", "--no-startup-delay")

    def left(self) -> int:
        from django_tasks_db.models import DBTaskResult

        number: int = DBTaskResult.objects.filter(status__in=["READY", "RUNNING"]).count()
        return number


if __name__ == "__main__":
    DjangoTasksDb.serve()
