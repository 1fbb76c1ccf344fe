"""Stores that cannot be asked, in the words of one exception."""

from __future__ import annotations

import pytest
from django.db import Error, InterfaceError, OperationalError, ProgrammingError

from reinhardt_tasks.exceptions import QueueError
from reinhardt_tasks.operations.stores import as_queue_error


@pytest.mark.parametrize("kind", [InterfaceError, OperationalError, ProgrammingError])
def test_whatever_a_database_raises_is_told_with_its_name(kind: type[Error]) -> None:
    lost = as_queue_error("What is in {database} is lost: {reason}", "attic")
    with pytest.raises(QueueError, match="^What is in 'attic' is lost: it is closed"), lost:
        raise kind("it is closed")
