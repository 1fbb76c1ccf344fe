"""Log records that tell which task they come from.

```python
LOGGING = {
    "filters": {"task": {"()": "reinhardt_tasks.logs.TaskFilter"}},
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s [%(task_name)s %(task_id)s] %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "filters": ["task"], "formatter": "plain"}},
    ...
}
```
"""

from __future__ import annotations

import logging

from .contexts import get_current_context


class TaskFilter(logging.Filter):
    """Lets every record pass, and gives it `task_id`, `task_name`, `task_attempt` and `task_queue`.

    They are '' (the attempt 0) where no task runs; one that a record has already stays.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        # A worker's own lines, one for each task, have them all.
        if not _NOBODYS.keys() <= vars(record).keys():
            for name, value in _facts().items():
                if not hasattr(record, name):
                    setattr(record, name, value)
        return True


_NOBODYS: dict[str, str | int] = {"task_id": "", "task_name": "", "task_attempt": 0, "task_queue": ""}


def _facts() -> dict[str, str | int]:
    context = get_current_context()
    if context is None:
        return _NOBODYS
    result = context.task_result
    return {
        "task_id": result.id,
        "task_name": result.task.module_path,
        "task_attempt": context.attempt,
        "task_queue": result.task.queue_name,
    }
