"""Results in Redis, apart from any queue."""

from __future__ import annotations

import json
from dataclasses import asdict

from ...result_backends import ResultBackend, TaskResultMetadata
from .connections import Connections, Target

#: Seconds that a result is kept.
DAY = 86_400


class RedisResultBackend(ResultBackend):
    """Keeps each result under `<prefix><task id>` for `ttl` seconds (None: for ever)."""

    def __init__(
        self, url: str = "redis://127.0.0.1:6379/0", *, prefix: str = "reinhardt:results:task:", ttl: int | None = DAY
    ) -> None:
        self.connections = Connections(Target(url=url))
        self.prefix = prefix
        self.ttl = ttl

    def store_result(self, metadata: TaskResultMetadata) -> None:
        text = json.dumps({**asdict(metadata), "status": metadata.status.value, "task_id": str(metadata.task_id)})
        self.connections.sender.set(self.prefix + str(metadata.task_id), text, ex=self.ttl)

    def get_result(self, task_id: str) -> TaskResultMetadata | None:
        text = self.connections.sender.get(self.prefix + str(task_id))
        if text is None:
            return None
        values = json.loads(text)
        return TaskResultMetadata(**values)

    def delete_result(self, task_id: str) -> None:
        self.connections.sender.delete(self.prefix + str(task_id))
