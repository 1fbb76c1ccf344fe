"""What an alias of TASKS may say: every option is read, every mistake is a sentence, and none of them is raised."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from reinhardt_tasks.jobs import Job
from reinhardt_tasks.options import (
    BackendOptions,
    Problem,
    a_backoff,
    a_duration,
    a_flag,
    a_log_level,
    a_number,
    a_text,
    a_text_or_none,
    option,
    queue_configs,
    read_options,
)
from reinhardt_tasks.queues import QueueConfig
from reinhardt_tasks.retries import RetryStrategy


def five_seconds(exception: BaseException, result: Any) -> int:
    return 5


@dataclass(frozen=True, kw_only=True)
class WithUrl(BackendOptions):
    """The options of a backend that has one of its own."""

    url: str = option("nowhere", a_text)


def read(params: dict[str, Any], kind: type[Any] = BackendOptions) -> tuple[Any, list[Problem]]:
    return read_options(kind, "default", {"BACKEND": "any", **params})


def problems(**params: Any) -> list[Problem]:
    return read(params)[1]


def wrong(**options: Any) -> str:
    """Return the one sentence about one wrong option."""
    found = problems(OPTIONS=options)
    assert [problem.code for problem in found] == ["E004"]
    assert found[0].hint
    return found[0].message


# Readers


@pytest.mark.parametrize(("value", "seconds"), [(1, 1.0), (0.5, 0.5), (timedelta(minutes=2), 120.0)])
def test_a_duration_is_seconds_or_a_timedelta(value: Any, seconds: float) -> None:
    assert a_duration()(value) == seconds
    assert isinstance(a_duration()(value), float)


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, "30", None, True, timedelta(0), [1]])
def test_what_is_no_duration_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="must be seconds above 0, or a timedelta, not "):
        a_duration()(value)


def test_a_duration_may_have_a_least_and_may_be_none() -> None:
    assert a_duration(none=True)(None) is None
    with pytest.raises(ValueError, match=r"seconds above 0\.1, or a timedelta, or None, not 0\.1"):
        a_duration(0.1, none=True)(0.1)


def test_a_number_is_a_whole_one() -> None:
    assert [a_number(1)(value) for value in (1, 2, 10**9)] == [1, 2, 10**9]
    assert a_number(0, none=True)(None) is None
    for value in (0, -1, 1.0, "1", None, True):
        with pytest.raises(ValueError, match="must be a whole number from 1 on, not "):
            a_number(1)(value)
    with pytest.raises(ValueError, match="from 1 on, or None, not 0"):
        a_number(1, none=True)(0)


def test_a_flag_is_true_or_false_and_nothing_like_it() -> None:
    assert (a_flag(True), a_flag(False)) == (True, False)
    for value in (1, 0, "yes", None):
        with pytest.raises(ValueError, match="must be True or False, not "):
            a_flag(value)


def test_a_log_level_is_a_name_or_a_number_of_logging() -> None:
    assert [a_log_level(value) for value in ("INFO", "warning", 25, 0)] == [20, 30, 25, 0]
    for value in ("LOUD", -1, True, None, 1.5, []):
        with pytest.raises(ValueError, match="must be a level of logging, as in 'INFO', not "):
            a_log_level(value)
    with pytest.raises(ValueError, match=r"not 'WARNIN' \(did you mean 'WARNING'\?\)"):
        a_log_level("WARNIN")


def test_the_options_of_logs_are_checked_like_all_others() -> None:
    options, found = read({"OPTIONS": {"LOG_LINES": 0, "LOG_LEVEL": "ERROR"}})
    assert (options.log_lines, options.log_level, found) == (0, 40, [])
    assert "TASKS['default']['OPTIONS']['LOG_LINES'] must be a whole number from 0 on" in wrong(LOG_LINES=-1)
    assert "must be a level of logging" in wrong(LOG_LEVEL="LOUD")


def test_a_text_is_not_empty() -> None:
    assert a_text("redis://") == a_text_or_none("redis://") == "redis://"
    assert a_text_or_none(None) is None
    for value in ("", 5, b"x"):
        for reader in (a_text, a_text_or_none):
            with pytest.raises(ValueError, match="must be a text, not "):
                reader(value)
    with pytest.raises(ValueError, match="must be a text, not None"):
        a_text(None)


def test_a_backoff_is_a_callable_or_the_path_of_one() -> None:
    strategy = RetryStrategy.fixed_delay(5)
    assert a_backoff(strategy) is strategy
    assert a_backoff(five_seconds) is a_backoff(f"{__name__}.five_seconds") is five_seconds
    with pytest.raises(ValueError, match=r"names 'nowhere\.at_all', which cannot be imported"):
        a_backoff("nowhere.at_all")
    for value in (5, None):
        with pytest.raises(ValueError, match="must be a RetryStrategy, a function or the path of one"):
            a_backoff(value)
    with pytest.raises(ValueError, match="must be a RetryStrategy"):
        a_backoff(f"{__name__}.__name__")


def test_queues_have_rules_of_their_own() -> None:
    read = queue_configs({"emails": {"max_retries": 5}, "reports": {}})
    # Where a queue says nothing, the backend does.
    assert read == {"emails": QueueConfig("emails", 5), "reports": QueueConfig("reports", None)}


@pytest.mark.parametrize("timeout", [60, 60.0, timedelta(minutes=1)])
def test_a_queues_timeout_is_seconds_or_a_timedelta(timeout: Any) -> None:
    (config,) = queue_configs({"emails": {"timeout": timeout}}).values()
    assert (config.timeout, config.max_retries) == (60, None)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (["emails"], "must map queue names to their options"),
        ({"emails": 5}, "must have a dictionary under 'emails', not 5"),
        ({"emails": {"max_retry": 5}}, r"'max_retry' under 'emails'; .* \(did you mean 'max_retries'\?\)"),
        ({"emails": {"name": "post"}}, "'name' under 'emails'"),
        ({"emails": {"max_retries": -1}}, "max_retries of queue 'emails' must be a whole number"),
        ({"emails": {"timeout": 0}}, "'timeout' under 'emails' that must be seconds above 0, .* not 0"),
        ({"emails": {"timeout": timedelta(seconds=-1)}}, "'timeout' under 'emails' that must be seconds above 0"),
        ({"emails": {"timeout": "60"}}, "'timeout' under 'emails' that must be seconds above 0, .* not '60'"),
        ({"emails": {"timeout": True}}, "'timeout' under 'emails' that must be seconds above 0"),
        ({"emails": {"timeout": float("inf")}}, "'timeout' under 'emails' that must be seconds above 0"),
        ({5: {}}, "name is a text without NUL .*, not 5"),
        ({"a\ud83d": {"concurrency": 1}}, r"name is a text without .* surrogate pairs, not 'a.+ud83d'"),
    ],
)
def test_wrong_rules_of_queues_are_named(value: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        queue_configs(value)


# read_options


def test_every_option_has_a_default_and_a_reader() -> None:
    options, found = read({})
    assert found == []
    assert options == BackendOptions()
    assert all(callable(item.metadata["reader"]) for item in fields(BackendOptions))
    assert (options.queues, options.max_attempts, options.timeout, options.lease) == ({}, None, None, 30.0)
    assert options.backoff == RetryStrategy.exponential_backoff()
    assert (options.max_lost, options.result_ttl, options.unknown_task_ttl) == (3, 7 * 86_400, 86_400)


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("QUEUES", {"emails": {"max_retries": 5}}, {"emails": QueueConfig("emails", 5)}),
        ("MAX_ATTEMPTS", 7, 7),
        ("BACKOFF", five_seconds, five_seconds),
        ("TIMEOUT", timedelta(minutes=1), 60.0),
        ("TIMEOUT", None, None),
        ("LEASE", 5, 5.0),
        ("MAX_LOST", 1, 1),
        ("RESULT_TTL", timedelta(days=1), 86_400.0),
        ("RESULT_TTL", None, None),
        ("UNKNOWN_TASK_TTL", 60, 60.0),
    ],
)
def test_an_option_is_read_under_its_name_in_capitals(name: str, given: Any, value: Any) -> None:
    options, found = read({"OPTIONS": {name: given}})
    assert found == []
    assert getattr(options, name.lower()) == value


def test_a_backends_own_options_are_read_beside_the_common_ones() -> None:
    options, found = read({"OPTIONS": {"URL": "redis://", "LEASE": 5}}, WithUrl)
    assert found == []
    assert (options.url, options.lease) == ("redis://", 5)
    assert read({"OPTIONS": {"URL": "redis://"}})[1][0].code == "E003"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("QUEUES", 5, "must map queue names"),
        ("MAX_ATTEMPTS", 0, "must be a whole number from 1 on, or None, not 0"),
        ("BACKOFF", "nowhere.at_all", "cannot be imported"),
        ("TIMEOUT", 0, "must be seconds above 0, or a timedelta, or None, not 0"),
        ("LEASE", 0.01, "must be seconds above 0.1, or a timedelta, not 0.01"),
        ("LEASE", None, "must be seconds above 0.1"),
        ("MAX_LOST", 0, "must be a whole number from 1 on, not 0"),
        ("RESULT_TTL", "week", "must be seconds above 0"),
        ("UNKNOWN_TASK_TTL", None, "must be seconds above 0"),
    ],
)
def test_a_bad_value_is_a_sentence_and_the_default_stands(name: str, value: Any, words: str) -> None:
    sentence = wrong(**{name: value})
    assert sentence.startswith(f"TASKS['default']['OPTIONS'][{name!r}] ")
    assert words in sentence
    assert sentence.endswith(".")
    assert getattr(read({"OPTIONS": {name: value}})[0], name.lower()) == getattr(BackendOptions(), name.lower())


def test_an_unknown_option_is_answered_with_the_nearest() -> None:
    for name in ("LEASES", "lease", "Lease"):
        (problem,) = problems(OPTIONS={name: 5})
        assert problem.code == "E003"
        assert problem.message == (
            f"TASKS['default']['OPTIONS'] has {name!r}, which is no option (did you mean 'LEASE'?)."
        )
        assert "LEASE" in problem.hint
    (problem,) = problems(OPTIONS={"ZZZ": 5, "LEASE": 6})
    assert problem.message == "TASKS['default']['OPTIONS'] has 'ZZZ', which is no option."
    assert read({"OPTIONS": {"ZZZ": 5, "LEASE": 6}})[0].lease == 6


def test_an_option_whose_name_is_no_text_is_a_problem_too() -> None:
    assert [problem.code for problem in problems(OPTIONS={5: 5})] == ["E003"]


@pytest.mark.parametrize("options", [[1], "LEASE", 5])
def test_options_are_a_dictionary(options: Any) -> None:
    (problem,) = problems(OPTIONS=options)
    assert problem.code == "E002"
    assert f"must be a dictionary, not {options!r}" in problem.message


def test_no_options_are_no_problem() -> None:
    assert problems(OPTIONS=None) == problems(OPTIONS={}) == []


def test_an_unknown_key_of_an_alias_is_answered_with_the_nearest() -> None:
    (problem,) = problems(QUEUE=["default"])
    assert problem.code == "E003"
    assert problem.message == "TASKS['default'] has 'QUEUE', which is no key of a backend (did you mean 'QUEUES'?)."
    # An option at the wrong height is shown where it belongs.
    (problem,) = problems(LEASE=5)
    assert "options of the backend go into 'OPTIONS'" in problem.hint


def test_attempts_and_backoff_may_stand_in_either_place() -> None:
    for params in (
        {"MAX_ATTEMPTS": 7, "BACKOFF": five_seconds},
        {"OPTIONS": {"MAX_ATTEMPTS": 7, "BACKOFF": five_seconds}},
        {"MAX_ATTEMPTS": 7, "OPTIONS": {"BACKOFF": five_seconds}},
    ):
        options, found = read(params)
        assert found == []
        assert (options.max_attempts, options.backoff) == (7, five_seconds)


def test_of_both_places_the_options_decide() -> None:
    assert read({"MAX_ATTEMPTS": 7, "OPTIONS": {"MAX_ATTEMPTS": 2}})[0].max_attempts == 2


def test_a_bad_value_is_shown_where_it_stands() -> None:
    (problem,) = problems(MAX_ATTEMPTS=0)
    assert problem.code == "E004"
    assert problem.message.startswith("TASKS['default']['MAX_ATTEMPTS'] must be a whole number from 1 on")


@pytest.mark.parametrize("queues", ["default", [""], [5], ["default", None], ["a\ud83d"], ["a\x00"], 5, None])
def test_queues_are_a_list_of_names(queues: Any) -> None:
    (problem,) = problems(QUEUES=queues)
    assert problem.code == "E005"
    assert problem.message == f"TASKS['default']['QUEUES'] must be a list of names, not {queues!r}."


def test_rules_for_a_queue_that_the_alias_does_not_serve_are_a_problem() -> None:
    (problem,) = problems(QUEUES=["default", "emails"], OPTIONS={"QUEUES": {"emial": {}}})
    assert problem.code == "E005"
    assert problem.message.startswith("TASKS['default']['OPTIONS']['QUEUES'] has 'emial', which ")
    assert problem.message.endswith(" (did you mean 'emails'?).")
    assert problems(QUEUES=["default", "emails"], OPTIONS={"QUEUES": {"emails": {}}}) == []
    # An empty list serves every queue.
    assert problems(QUEUES=[], OPTIONS={"QUEUES": {"emails": {}}}) == []


def test_all_problems_are_told_at_once() -> None:
    found = problems(QUEUES="default", TYPO=1, OPTIONS={"LEASE": 0, "TIMEOUT": 0, "MAXLOST": 3})
    assert sorted(problem.code for problem in found) == ["E003", "E003", "E004", "E004", "E005"]
    assert all(problem.message.endswith(".") and problem.hint.endswith(".") for problem in found)


# retry_policy


def policy(options: BackendOptions, own: dict[str, Any] | None = None, **values: Any) -> Any:
    job = Job(id="1", name="app.tasks.add", payload="[[],{}]", backend="default", **values)
    return options.retry_policy(SimpleNamespace(**(own or {})), job)


def test_who_says_something_first_decides_how_often_a_task_is_tried() -> None:
    options = BackendOptions(
        queues={"emails": QueueConfig("emails", 10), "files": QueueConfig("files", None, timeout=60)},
        max_attempts=21,
        backoff=RetryStrategy.fixed_delay(1, max_retries=30),
    )
    strategy = RetryStrategy.exponential_backoff(max_retries=5)
    own = {"max_attempts": 3, "backoff": strategy}
    assert policy(options, own, queue="emails", max_attempts=2).max_attempts == 2
    assert policy(options, own, queue="emails").max_attempts == 3
    assert policy(options, {"backoff": strategy, "max_attempts": None}, queue="emails").max_attempts == 6
    assert policy(options, queue="emails").max_attempts == 11
    assert policy(options, queue="files").max_attempts == policy(options).max_attempts == 21
    assert policy(BackendOptions(backoff=RetryStrategy.fixed_delay(1, max_retries=30))).max_attempts == 31
    assert policy(BackendOptions(backoff=five_seconds)).max_attempts == 4


def test_who_says_something_first_decides_how_long_an_attempt_may_take() -> None:
    queues = {"emails": QueueConfig("emails", timeout=60), "files": QueueConfig("files")}
    options = BackendOptions(queues=queues, timeout=9)

    def timeout(own: Any, queue: str) -> float | None:
        job = Job(id="1", name="app.tasks.add", payload="[[],{}]", backend="default", queue=queue)
        return options.timeout_of(own, job)

    assert timeout(SimpleNamespace(timeout=5), "emails") == 5
    assert timeout(SimpleNamespace(timeout=None), "emails") == 60
    # A task that is not known here, or Django's own.
    assert timeout(None, "emails") == timeout(SimpleNamespace(), "emails") == 60
    assert timeout(SimpleNamespace(timeout=None), "files") == timeout(None, "default") == 9


def test_a_task_that_says_nothing_has_one_run_and_three_retries() -> None:
    assert policy(BackendOptions()).max_attempts == 4
    assert policy(BackendOptions()).backoff == RetryStrategy.exponential_backoff()


def test_a_tasks_own_backoff_comes_before_the_backends() -> None:
    options = BackendOptions(backoff=RetryStrategy.fixed_delay(1))
    assert policy(options, {"backoff": five_seconds}).backoff is five_seconds
    assert policy(options, {"backoff": None}).backoff is options.backoff
    # A function says nothing about how often.
    assert policy(options, {"backoff": five_seconds}).max_attempts == 4


def test_no_retry_as_a_tasks_strategy_is_one_attempt() -> None:
    options = BackendOptions(max_attempts=10)
    assert policy(options, {"backoff": RetryStrategy.no_retry()}).max_attempts == 1


def test_the_exceptions_are_the_tasks_own() -> None:
    rules = policy(BackendOptions(), {"retry_on": (OSError,), "give_up_on": (FileNotFoundError,)})
    assert (rules.retry_on, rules.give_up_on) == ((OSError,), (FileNotFoundError,))


def test_a_task_of_djangos_own_has_rules_too() -> None:
    # It has none of our attributes.
    rules = policy(BackendOptions())
    assert (rules.retry_on, rules.give_up_on) == ((), ())
