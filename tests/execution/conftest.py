"""What tests of executions ask of ordinary functions and of coroutine functions alike, and to hear their signals."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .ears import Ears


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def is_async(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def ears() -> Iterator[Ears]:
    with Ears() as ears:
        yield ears
