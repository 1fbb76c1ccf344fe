"""Results in a table of their own, for queues that live elsewhere."""

from __future__ import annotations

from django.db import router

from ...jobs import TaskStatus
from ...models import ResultRow
from ...result_backends import ResultBackend, TaskResultMetadata
from .session import Session


class DatabaseResultBackend(ResultBackend):
    """Keeps results in the database `using`, or where the router sends them."""

    def __init__(self, using: str | None = None) -> None:
        self.using = using

    def store_result(self, metadata: TaskResultMetadata) -> None:
        row = ResultRow(
            task_id=str(metadata.task_id),
            status=metadata.status.value,
            result=metadata.result,
            error=metadata.error,
            created_at=metadata.created_at,
        )
        session = Session(self.using or router.db_for_write(ResultRow))
        # One statement, since two that store the same result each hold what the other wants (InnoDB: a deadlock).
        has_target = session.connection.features.supports_update_conflicts_with_target
        session.run(
            lambda _: ResultRow.objects.using(session.alias).bulk_create(
                [row],
                update_conflicts=True,
                unique_fields=["task_id"] if has_target else None,
                update_fields=["status", "result", "error", "created_at"],
            )
        )

    def get_result(self, task_id: str) -> TaskResultMetadata | None:
        rows = ResultRow.objects.using(self.using or router.db_for_read(ResultRow))
        row = rows.filter(task_id=str(task_id)).first()
        if row is None:
            return None
        return TaskResultMetadata(
            task_id=row.task_id,
            status=TaskStatus(row.status),
            result=row.result,
            error=row.error,
            created_at=row.created_at,
        )

    def delete_result(self, task_id: str) -> None:
        ResultRow.objects.using(self.using or router.db_for_write(ResultRow)).filter(task_id=str(task_id)).delete()
