"""What all of our commands have in common."""

from __future__ import annotations

import pytest
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError

from reinhardt_tasks.management.commands.runscheduler import Command


def test_a_database_that_the_checks_cannot_ask_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    # So it is on MariaDB and MySQL from Django 6.1 on.
    def check(*args: object, **kwargs: object) -> None:
        raise OperationalError("no route")

    monkeypatch.setattr(BaseCommand, "check", check)
    with pytest.raises(
        CommandError, match=r"A database cannot be reached, which the system checks ask: no route"
    ) as told:
        Command().check()
    assert told.value.returncode == 3
