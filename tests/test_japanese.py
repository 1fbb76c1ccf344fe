"""Everything that people are told in words of ours is told in Japanese: schedules, system checks, commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core import checks
from django.core.management import load_command_class
from django.core.management.base import BaseCommand
from django.utils import translation

from reinhardt_tasks.operations import Store
from reinhardt_tasks.schedules import At, CronSchedule, IntervalSchedule
from reinhardt_tasks.workflows import Workflow, step
from tests.commands.telling import told
from tests.operations import chores
from tests.operations.stores import claim, database_store, fail

__all__ = ["database_store"]

#: Four words of small Latin letters in a row are an English sentence; what is to be typed stands in backticks.
ENGLISH = re.compile(r"\b[a-z]+(?: [a-z]+){3,}\b")
TYPED = re.compile(r"`[^`]*`")


@pytest.fixture(autouse=True)
def japanese() -> Iterator[None]:
    with translation.override("ja"):
        yield


def english_in(text: str) -> list[str]:
    return [found[0] for found in ENGLISH.finditer(TYPED.sub("", text))]


def test_an_english_sentence_is_found() -> None:
    with translation.override("en"):
        assert english_in(str(CronSchedule("0 3 1 * mon")))


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (CronSchedule("0 3 * * *", tz="Asia/Tokyo"), "毎日 03:00(Asia/Tokyo の時刻)"),
        (CronSchedule("*/15 * * * *", tz="Asia/Tokyo"), "15 分ごと(Asia/Tokyo の時刻)"),
        (
            CronSchedule("0,30 9 * 1,7 mon-fri", tz="Asia/Tokyo"),
            "1月と7月 月曜日〜金曜日 09:00と09:30(Asia/Tokyo の時刻)",
        ),
        (CronSchedule("0 3 1,15 * mon", tz="UTC"), "毎月1 日と15 日、および月曜日 03:00(UTC の時刻)"),
        (CronSchedule("0 3 * * mon#2", tz="UTC"), "毎月第2月曜日 03:00(UTC の時刻)"),
        (CronSchedule("0 3 l * *", tz="UTC"), "毎月末日 03:00(UTC の時刻)"),
        (CronSchedule("0 3 * * l5", tz="UTC"), "毎月最後の金曜日 03:00(UTC の時刻)"),
        (CronSchedule("30 * * * *", tz="UTC"), "毎時、30 分(UTC の時刻)"),
        (CronSchedule("*/10 * * * * *", tz="UTC", seconds=True), "10 秒ごと(UTC の時刻)"),
        (CronSchedule("5-50/15 8-18 w15 * *", tz="UTC"), None),
        (IntervalSchedule(timedelta(minutes=90)), "90 分ごと"),
        (IntervalSchedule(timedelta(days=1)), "毎日"),
        (At(datetime(2031, 1, 31, 8, tzinfo=UTC)), "一度だけ 2031-01-31 08:00:00 UTC に"),
    ],
    ids=str,
)
def test_a_schedule_is_told_in_words(schedule: Any, words: str | None) -> None:
    assert words is None or str(schedule) == words
    assert english_in(str(schedule)) == []


#: Options that are wrong, each in its own way.
WRONG: list[dict[str, Any]] = [
    {"OPTIONS": [1]},
    {"OPTIONS": {"LAESE": 30}},
    {"OPTIONS": {"LEASE": -1, "MAX_ATTEMPTS": "many", "DATABASE": "nowhere"}},
    {"OPTIONS": {"QUEUES": {"emails": {"timeout": -1}}}},
    {"OPTIONS": {"BACKOFF": "no.such.thing"}},
    {"QUEUES": "default"},
    {"QUEUEZ": ["default"]},
    {"QUEUES": ["default"], "OPTIONS": {"QUEUES": {"emials": {}}}},
    {"OPTIONS": {"SCHEDULES": {"nightly": {"task": "shop.gone", "schedule": "0 3 * * *"}, "bad": {"schedule": "61"}}}},
]


@pytest.mark.parametrize("kind", ["DatabaseBackend", "RedisBackend"])
@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_the_system_checks_speak(settings: Any, kind: str, wrong: dict[str, Any]) -> None:
    settings.TASKS = {"default": {"BACKEND": f"reinhardt_tasks.backends.{kind}", **wrong}}
    found = [each for each in checks.run_checks() if (each.id or "").startswith("reinhardt_tasks.")]
    assert found, wrong
    assert english_in("\n".join(f"{each.msg} {each.hint}" for each in found)) == []


@pytest.mark.parametrize("options", [{"URL": "http://x", "CACHE": "none"}, {"CLUSTER": True, "WAIT_REPLICAS": 1}])
def test_the_checks_of_redis_speak(settings: Any, options: dict[str, Any]) -> None:
    settings.TASKS = {"default": {"BACKEND": "reinhardt_tasks.backends.RedisBackend", "OPTIONS": options}}
    found = [each for each in checks.run_checks() if (each.id or "").startswith("reinhardt_tasks.")]
    assert found
    assert english_in("\n".join(f"{each.msg} {each.hint}" for each in found)) == []


def parsers(parser: Any) -> Iterator[Any]:
    yield parser
    for action in parser._actions:
        if hasattr(action, "choices") and isinstance(action.choices, dict):
            for each in action.choices.values():
                yield from parsers(each)


@pytest.mark.parametrize("name", ["runworker", "runscheduler", "taskhealth", "taskschedules", "tasks"])
def test_the_help_of_a_command_speaks(name: str) -> None:
    djangos = {flag for action in BaseCommand().create_parser("", "")._actions for flag in action.option_strings}
    for parser in parsers(load_command_class("reinhardt_tasks", name).create_parser("manage.py", name)):
        words = [
            parser.description,
            *(action.help for action in parser._actions if not djangos & {*action.option_strings}),
        ]
        assert [found for each in words for found in english_in(each or "")] == []
        assert all(re.search(r"[ぁ-んァ-ン一-龥]", each) for each in words if each), words
        page = parser.format_help()
        assert page.startswith("使い方: ") and "usage" not in page and "\noptions:" not in page
        assert "show this help message" not in page


def test_what_the_command_tells_speaks(database_store: Store) -> None:
    chores.add.enqueue(1)
    failed = fail(database_store)
    first, second = (chores.add.using(concurrency=1).enqueue(number).id for number in (1, 2))
    claim(database_store)
    database_store.broker.pause("emails")
    chores.log_in.enqueue("ada", "secret")
    flow = Workflow("w")
    flow.add(step(chores.add, 1))
    run = flow.start().id
    texts = [
        told(*words)
        for words in (
            ("status",),
            ("list",),
            ("show", second),
            ("show", failed),
            ("workers",),
            ("failures",),
            ("limits",),
            ("check-queue",),
            ("cancel", first, failed),
            ("retry", "--all"),
            ("list", "--name", "ad"),
            ("edit", failed),
            ("pause", "emials"),
            ("show", "ffff"),
            ("schedules", "add", "n", "--task", chores.add.module_path, "--args", "[1]", "--cron", "0 3 * * *"),
            ("schedules", "add", "n", "--task", chores.add.module_path, "--args", "[1]", "--cron", "61 3 * * *"),
            ("schedules", "list"),
            ("schedules", "show", "n"),
            ("schedules", "off", "n", "gone"),
            ("schedules", "delete", "n"),
            ("workflows", "list"),
            ("workflows", "show", run),
            ("workflows", "retry", run, "--yes"),
            ("workflows", "show", "ffff"),
            ("workflows", "list", "--status", "nonsense"),
        )
    ]
    assert [found for _code, out, err in texts for found in english_in(out + err)] == []
