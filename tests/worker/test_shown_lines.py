"""What `runworker` has Python's logging do: nobody is shown less, and nothing is made that nobody is shown."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from logging.config import dictConfig
from typing import Any

import pytest
from django.utils.log import DEFAULT_LOGGING

from reinhardt_tasks.logs import TaskFilter
from reinhardt_tasks.worker.logs import set_up_logging

NAMES = ("", "django", "django.server", "django.tasks", "django_tasks", "reinhardt_tasks")


@pytest.fixture(autouse=True)
def loggers() -> Iterator[None]:
    """LOGGING as Django has it where a project says nothing; afterwards as it was."""
    before = [(each, vars(each).copy(), each.handlers[:]) for each in map(logging.getLogger, NAMES)]
    for logger, _, _ in before:
        logger.handlers = []
        logger.propagate = True
        logger.setLevel(logging.WARNING if logger is logging.root else logging.NOTSET)
    dictConfig(DEFAULT_LOGGING)
    yield
    for logger, facts, handlers in before:
        logger.handlers = handlers
        logger.propagate = facts["propagate"]
        logger.setLevel(facts["level"])


def set_up(verbosity: int = 1) -> None:
    """Do as `runworker`, without the handlers that pytest puts at the root for each test."""
    there = logging.root.handlers
    logging.root.handlers = [each for each in there if type(each).__module__ != "_pytest.logging"]
    try:
        set_up_logging("text", verbosity)
    finally:
        logging.root.handlers = there


def heard(*names: str) -> Callable[[], str]:
    """Let the loggers of these names write; return what tells what they wrote."""
    text = io.StringIO()
    for name in names:
        logging.getLogger(name).addHandler(logging.StreamHandler(text))
    return text.getvalue


@pytest.mark.parametrize("name", ["django.tasks", "django_tasks"])
def test_lines_that_every_handler_drops_are_not_made(name: str, settings: Any) -> None:
    settings.DEBUG = False
    set_up()
    logger = logging.getLogger(name)
    assert not logger.isEnabledFor(logging.INFO)
    assert logger.isEnabledFor(logging.WARNING)


@pytest.mark.parametrize("place", ["django.tasks", "django", ""])
def test_lines_that_a_handler_of_the_project_writes_are_made(place: str, settings: Any) -> None:
    settings.DEBUG = False
    text = heard(place)
    if not place:
        logging.root.setLevel(logging.INFO)
    set_up()
    logging.getLogger("django.tasks").info("one begins")
    assert text() == "one begins\n"


def test_what_the_console_shows_while_debugging_is_shown_still(settings: Any) -> None:
    settings.DEBUG = True
    set_up()
    assert logging.getLogger("django.tasks").isEnabledFor(logging.INFO)


def test_a_level_that_the_project_has_set_stays(settings: Any) -> None:
    settings.DEBUG = False
    logging.getLogger("django.tasks").setLevel(logging.DEBUG)
    set_up()
    assert logging.getLogger("django.tasks").level == logging.DEBUG


def test_verbosity_3_shows_them(settings: Any) -> None:
    settings.DEBUG = False
    set_up(3)
    assert logging.getLogger("django.tasks").isEnabledFor(logging.DEBUG)


def test_a_record_keeps_what_it_says_of_a_task_itself() -> None:
    record = logging.makeLogRecord({"task_id": "own"})
    assert TaskFilter().filter(record)
    assert (record.task_id, record.task_name, record.task_attempt) == ("own", "", 0)  # type: ignore[attr-defined]
