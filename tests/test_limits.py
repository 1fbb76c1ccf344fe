"""Limits as they are written: every form is read, every mistake is a sentence, and keys are what they say."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from reinhardt_tasks import Concurrency, Debounce, RateLimit, Unique, task
from reinhardt_tasks._compat import InvalidTask
from reinhardt_tasks.contexts import TaskContext
from reinhardt_tasks.gates import LARGEST, LONGEST, SLOWEST, Limit, Until, decode_limits, encode_limits, short
from reinhardt_tasks.limits import limits_of, once_of
from reinhardt_tasks.queues import QueueConfig

NAME = f"{__name__}.call_api"


@task(concurrency=3, rate_limit="100/m")
def call_api(user_id: int, path: str = "/", *, order: dict[str, Any] | None = None) -> None: ...


@task(takes_context=True, unique=Unique(key="user:{user_id}"))
def with_context(context: TaskContext, user_id: int) -> None: ...


@task(unique=True)
def anything(*args: Any, **options: Any) -> None: ...


def by_path(user_id: int, path: str = "/", **_: Any) -> str:
    return path


def once_key(task: Any, *args: Any, **kwargs: Any) -> str:
    key: str = once_of(task, args, kwargs)["once_key"]
    return key


def limits(task: Any, *args: Any, queue: QueueConfig | None = None, **kwargs: Any) -> list[tuple[str, int, int]]:
    return [(limit.key, limit.size, limit.every) for limit in limits_of(task, queue, args, kwargs)]


# What is written


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ({"unique": True}, {"unique": Unique()}),
        ({"unique": "started"}, {"unique": Unique(until="started")}),
        ({"unique": False}, {"unique": None}),
        ({"concurrency": 3}, {"concurrency": Concurrency(3)}),
        ({"rate_limit": "100/m"}, {"rate_limit": RateLimit("100/m")}),
        ({"debounce": 5}, {"debounce": Debounce(5.0)}),
        ({"debounce": timedelta(minutes=1)}, {"debounce": Debounce(60.0)}),
        (
            {"unique": None, "debounce": Debounce(5, max_wait=timedelta(minutes=1))},
            {"debounce": Debounce(5.0, max_wait=60.0)},
        ),
    ],
)
def test_a_short_form_stands_for_a_long_one(written: dict[str, Any], read: dict[str, Any]) -> None:
    made = call_api.using(**written)
    assert {name: getattr(made, name) for name in read} == read


def test_a_copy_can_lift_a_limit_and_keeps_the_others() -> None:
    free = call_api.using(concurrency=False)
    assert (free.concurrency, free.rate_limit) == (None, RateLimit("100/m"))
    assert call_api.using(priority=5).concurrency == Concurrency(3)


def test_tasks_with_limits_pickle() -> None:
    assert pickle.loads(pickle.dumps(call_api.using(unique=True))) == call_api.using(unique=True)


@pytest.mark.parametrize(
    ("rate", "every"),
    [
        ("100/m", 600_000),
        ("1/s", 1_000_000),
        ("3/s", 333_334),
        (" 10 / 15m ", 90_000_000),
        ("2/H", 1_800_000_000),
        ("1/d", 86_400_000_000),
    ],
)
def test_a_rate_is_read_and_never_rounded_up(rate: str, every: int) -> None:
    assert RateLimit(rate).every == every


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"unique": "start"}, r"until 'started' or 'finished', not 'start'\. Did you mean 'started'\?"),
        ({"unique": 3}, "unique is True, 'started', 'finished' or a Unique, not 3"),
        ({"concurrency": 0}, "a whole number from 1 on, not 0"),
        ({"concurrency": True}, "a whole number from 1 on, not True"),
        ({"concurrency": "3"}, "a whole number from 1 on, not '3'"),
        ({"rate_limit": "fast"}, "'fast' is no rate; write it as '100/m'"),
        ({"rate_limit": "0/m"}, "'0/m' is no rate"),
        ({"rate_limit": "5/0m"}, "'5/0m' is no rate"),
        ({"rate_limit": "5/w"}, "has no unit of time in 'w'"),
        ({"rate_limit": 5}, "5 is no rate"),
        ({"debounce": 0}, "seconds above 0, or a timedelta, not 0"),
        ({"debounce": "5"}, "seconds above 0, or a timedelta, not '5'"),
        ({"debounce": 5, "unique": True}, "leave unique out"),
        ({"unique": Unique(key="user:{usr_id}")}, "names 'usr_id', which is no argument of the task. Did you mean 'user_id'?"),
        ({"concurrency": Concurrency(1, key="a{")}, "is no format text"),
        ({"concurrency": Concurrency(1, key="a{0}")}, "names '0', which is no argument"),
        ({"concurrency": Concurrency(1, key="")}, "key is a text such as"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_where_the_task_is_written(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidTask, match=rf"Task call_api: .*({sentence}|{re.escape(sentence)})"):
        call_api.using(**options)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: RateLimit("1/s", burst=0), "burst must be a whole number from 1 on"),
        (lambda: RateLimit("1/s", burst=2**31), "burst can be 2147483647 at most"),
        (lambda: RateLimit("1/3654d"), "slower than one start in ten years"),
        (lambda: RateLimit(f"1/{10**400}d"), "slower than one start in ten years"),
        (lambda: Concurrency(2**31), "concurrency can be 2147483647 at most"),
        (lambda: Debounce(10, max_wait=5), r"max_wait \(5 s\) is shorter than debounce \(10 s\)"),
        (lambda: Debounce(10, max_wait="x"), "max_wait must be seconds"),
        (lambda: Unique(until="never"), "until 'started' or 'finished'"),
        (lambda: QueueConfig("q", concurrency=0), "Queue 'q': concurrency must be a whole number from 1 on"),
        (lambda: QueueConfig("q", concurrency="1"), "concurrency of queue 'q'"),
        (lambda: QueueConfig("q", rate_limit="1/x"), "Queue 'q': rate_limit '1/x'"),
        (lambda: QueueConfig("q", rate_limit=RateLimit("1/s", key="k")), "has no key"),
    ],
)
def test_a_bad_value_is_refused_by_itself(make: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make()


def test_the_context_is_no_argument_of_a_key() -> None:
    assert once_key(with_context, 3) == f"unique:{with_context.module_path}:user:3"
    with pytest.raises(InvalidTask, match="names 'context'"):
        with_context.using(unique=Unique(key="{context}"))


# Keys


def test_the_default_keys_are_the_task_and_the_task_with_its_arguments() -> None:
    assert [key for key, *_ in limits(call_api, 1)] == [f"running:{NAME}", f"rate:{NAME}"]
    unique = call_api.using(unique=True)
    assert once_key(unique, 1).startswith(f"unique:{NAME}:")
    assert len({once_key(unique, 1), once_key(unique, 2), once_key(unique, 1, "/a")}) == 3


def test_a_call_has_one_key_however_its_arguments_are_passed() -> None:
    unique = call_api.using(unique=True)
    keys = {
        once_key(unique, 1),
        once_key(unique, user_id=1),
        once_key(unique, 1, "/"),
        once_key(unique, path="/", user_id=1),
    }
    assert len(keys) == 1
    orders = [{"a": 1, "b": [{"c": 2, "d": 3}]}, {"b": [{"d": 3, "c": 2}], "a": 1}]
    assert once_key(unique, 1, order=orders[0]) == once_key(unique, 1, order=orders[1])
    assert once_key(anything, 1, a=2, b=3) == once_key(anything, 1, b=3, a=2)


@pytest.mark.parametrize(
    ("key", "made"),
    [("user:{user_id}", "user:7"), ("{order[id]}/{path}", "x//a"), ("all", "all"), (by_path, "/a")],
)
def test_a_key_is_made_of_the_arguments(key: Any, made: str) -> None:
    limited = call_api.using(concurrency=Concurrency(1, key=key), rate_limit=RateLimit("1/s", key=key))
    found = limits(limited, 7, path="/a", order={"id": "x"})
    assert found == [(f"running:{made}", 1, 0), (f"rate:{made}", 1, 1_000_000)]


def test_a_key_of_concurrency_is_shared_and_one_of_uniqueness_is_not() -> None:
    other = with_context.using(concurrency=Concurrency(1, key="user:{user_id}"))
    mine = call_api.using(concurrency=Concurrency(1, key="user:{user_id}"), unique=Unique(key="user:{user_id}"))
    assert limits(other, 3)[0] == limits(mine, 3)[0]
    assert once_key(other, 3) != once_key(mine, 3)


@pytest.mark.parametrize("key", ["{order[id]}", lambda *_, **__: 1 / 0, lambda *_, **__: 3])
def test_a_key_that_cannot_be_made_is_told_to_whoever_enqueues(key: Any) -> None:
    with pytest.raises(TypeError, match=re.escape(NAME)):
        limits(call_api.using(concurrency=Concurrency(1, key=key)), 1, order={})


@pytest.mark.parametrize("path", ["cut \ud83d", "\x00", "k" * 500 + "\udcff"], ids=["half", "NUL", "long"])
def test_a_key_that_not_every_store_can_keep_is_told_to_whoever_enqueues(path: str) -> None:
    rules = [
        {"concurrency": Concurrency(1, key="{path}")},
        {"rate_limit": RateLimit("1/s", key=by_path)},
        {"unique": Unique(key="{path}")},
        {"debounce": Debounce(5, key="{path}")},
    ]
    for rule in rules:
        limited = call_api.using(concurrency=False, rate_limit=False).using(**rule)
        with pytest.raises(TypeError, match=rf"The key of {re.escape(NAME)} has a NUL or half of a surrogate pair"):
            limits(limited, 1, path)
            once_of(limited, (1, path), {})
    # Without a key of its own it is unique by a hash.
    assert once_key(call_api.using(unique=True), 1, path)


def test_a_long_key_is_cut_and_stays_itself() -> None:
    one, other = "k" * 500 + "1", "k" * 500 + "2"
    assert len(short(one)) <= LONGEST
    assert len({short(one), short(other), "k"}) == 3
    assert short("k" * LONGEST) == "k" * LONGEST


def test_a_queues_limits_come_behind_a_tasks() -> None:
    queue = QueueConfig("emails", concurrency=10, rate_limit="600/m")
    kinds = [key.split(":")[0] for key, *_ in limits(call_api, 1, queue=queue)]
    assert kinds == ["running", "rate", "queue-running", "queue-rate"]
    assert limits(call_api.using(concurrency=False, rate_limit=False), 1, queue=queue) == [
        ("queue-running:emails", 10, 0),
        ("queue-rate:emails", 1, 100_000),
    ]


def test_debouncing_is_being_unique_until_started() -> None:
    found = once_of(call_api.using(debounce=Debounce(5, max_wait=60)), (1,), {})
    assert (found["once_until"], found["debounce"], found["max_wait"]) == (Until.STARTED, 5.0, 60.0)
    assert once_of(call_api, (1,), {}) == {}


# The arithmetic of rates


def test_starts_are_spread_and_a_burst_is_what_was_not_used() -> None:
    limit = Limit(key="k", size=3, every=100)
    reach, starts = 0, []
    for _ in range(6):
        starts.append(limit.opens_at(reach, 0, now=max([1000, *starts])))
        reach = limit.reach_after(reach, starts[-1])
    assert starts == [1000, 1000, 1000, 1100, 1200, 1300]


def test_those_who_have_passed_and_not_begun_are_counted() -> None:
    limit = Limit(key="k", size=2, every=100)
    assert [limit.opens_at(0, ahead, now=1000) for ahead in (0, 1)] == [1000, 1000]
    assert [limit.opens_at(1100, ahead, now=1000) for ahead in (0, 1)] == [1000, 1100]


def test_limits_are_stored_as_text_and_damage_is_no_limit() -> None:
    given = (Limit(key="a", size=2), Limit(key="b", size=1, every=5))
    assert decode_limits(encode_limits(given)) == given
    assert encode_limits(()) is None
    for damaged in (None, "", "{", "3", "[[1]]", '{"a": 1}', '[["a", "x", 0]]', '[["a", 1e999, 0]]', "[" * 100_000):
        assert decode_limits(damaged) == ()


def test_what_is_stored_is_read_as_every_store_can_write_it_down() -> None:
    given = [Limit(key="a\ud83d\x00", size=2**40, every=2**70), Limit(key="\udc00" * 150)]
    one, two = decode_limits(encode_limits(given))
    assert one == Limit(key="a\\ud83d\\x00", size=LARGEST, every=SLOWEST)
    assert len(two.key) <= LONGEST
    assert decode_limits(encode_limits([one, two])) == (one, two)
