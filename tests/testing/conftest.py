"""What the tests of the testing kit share."""

from __future__ import annotations

import pytest

from . import chores


@pytest.fixture(autouse=True)
def nothing_noted() -> None:
    chores.noted.clear()
