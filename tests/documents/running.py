"""As a program, with the path of a page: run its Python examples, one after the other, in one module.

They run on the Immediate backend; one under `<!-- with a worker -->` on the database, where a worker serves it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import django
from django.test import override_settings

from tests.documents.pages import Block, blocks

IMMEDIATE = {"default": {"BACKEND": "reinhardt_tasks.backends.ImmediateBackend", "QUEUES": []}}
DATABASE = {"default": {"BACKEND": "reinhardt_tasks.backends.DatabaseBackend", "QUEUES": []}}
WITH_A_WORKER = "with a worker"


def examples(page: Path) -> list[Block]:
    """Return the Python blocks that run as they stand: no files of a site, no settings, no tests of pytest."""
    found = [block for block in blocks(page) if block.language == "python" and block.why_not is None]
    return [block for block in found if not (block.file or block.is_settings or "def test_" in block.text)]


def main(page: Path) -> None:
    django.setup()
    # A module, since a task must be a function of one.
    module = ModuleType(f"examples_of_{page.stem.replace('-', '_')}")
    sys.modules[module.__name__] = module
    for block in examples(page):
        code = compile("\n" * block.line + block.text, str(page), "exec")
        if block.note == WITH_A_WORKER:
            with override_settings(TASKS=DATABASE), _worker():
                exec(code, vars(module))
        else:
            with override_settings(TASKS=IMMEDIATE):
                exec(code, vars(module))


@contextmanager
def _worker() -> Iterator[None]:
    from reinhardt_tasks import Worker
    from reinhardt_tasks._compat import task_backends

    backend = task_backends["default"]
    worker = Worker(backend.broker, backend.settings, type(backend))
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join(timeout=60)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
