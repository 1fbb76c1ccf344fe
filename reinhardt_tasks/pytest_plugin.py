"""The fixture for pytest. The module is loaded in every run of it, so all else is loaded when a test asks for the fixture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .testing import CapturedTasks


@pytest.fixture
def reinhardt_tasks() -> Iterator[CapturedTasks]:
    """Capture what the test enqueues: `drain()`, `assert_enqueued()`, `travel()` …; see `reinhardt_tasks.testing`."""
    from .testing import captured_tasks

    with captured_tasks() as tasks:
        yield tasks
