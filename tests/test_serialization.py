"""What can be stored comes back as it was; what cannot is refused, with the place and the way out."""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from reinhardt_tasks.exceptions import SerializationFailed
from reinhardt_tasks.serialization import decode_call, dumps, encode_call

THE_CALLS: list[tuple[list[Any], dict[str, Any]]] = [
    ([], {}),
    ([1], {}),
    ([], {"user_id": 1}),
    ([0, -1, 2**63, 10**300, 1.5, -0.0, 1e-300, True, None], {"name": ""}),
    (["text", "日本語 🐍", "\x00", "\ud800", 'quo"te', "</script>", "a\u2028b"], {"日本": "語"}),
    ([[], {}, [[[]]], {"a": {"b": [{"c": None}]}}], {"": [1]}),
    ([{"context": 1, "self": 2, "__proto__": 3}], {"args": 1, "kwargs": 2, "func": 3}),
]


class Model:
    """Looks like a model's instance, as far as serialization can tell."""

    _meta = object()
    pk = 1


class Odd:
    pass


@pytest.mark.parametrize(("args", "kwargs"), THE_CALLS)
def test_a_call_comes_back_as_it_was(args: list[Any], kwargs: dict[str, Any]) -> None:
    payload = encode_call("app.tasks.add", args, kwargs)
    assert decode_call(payload) == (args, kwargs, {})
    assert json.loads(payload) == [args, kwargs]


def test_headers_travel_beside_the_arguments() -> None:
    payload = encode_call("app.tasks.add", [1], {"b": 2}, {"traceparent": "00-ab-cd-01"})
    assert decode_call(payload) == ([1], {"b": 2}, {"traceparent": "00-ab-cd-01"})
    assert decode_call(encode_call("app.tasks.add", [], {}, {"step": 3})) == ([], {}, {"step": 3})


def test_a_payload_is_plain_ascii_that_every_store_can_hold() -> None:
    assert encode_call("app.tasks.add", ["é\x00\ud800"], {}).isascii()
    assert "\x00" not in encode_call("app.tasks.add", ["\x00"], {})


def test_numbers_and_booleans_keep_their_types() -> None:
    args, *_ = decode_call(encode_call("app.tasks.add", [1, 1.0, True], {}))
    assert [type(item) for item in args] == [int, float, bool]


def test_the_order_of_keys_is_kept() -> None:
    _, kwargs, _ = decode_call(encode_call("app.tasks.add", [], {"z": 1, "a": {"y": 1, "b": 2}}))
    assert list(kwargs) == ["z", "a"]
    assert list(kwargs["a"]) == ["y", "b"]


def test_tuples_come_back_as_lists() -> None:
    assert decode_call(encode_call("app.tasks.add", ((1, (2,)),), {"pair": (3, 4)})) == (
        [[1, [2]]],
        {"pair": [3, 4]},
        {},
    )


def test_subclasses_of_what_json_knows_are_stored_as_that() -> None:
    class Name(str):
        pass

    assert dumps([Name("a"), OrderedDict(b=1)], "It") == '["a",{"b":1}]'


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (datetime(2026, 1, 1), ["is a datetime", "isoformat()"]),
        (date(2026, 1, 1), ["is a date", "isoformat()"]),
        (time(3, 0), ["is a time", "isoformat()"]),
        (Decimal("1.10"), ["is a Decimal", "str(value)"]),
        (UUID(int=1), ["is a UUID", "str(value)"]),
        (b"\xff", ["is a bytes", "base64"]),
        (bytearray(b"a"), ["is a bytearray", "base64"]),
        ({1, 2}, ["is a set", "sorted(value)"]),
        (frozenset(), ["is a frozenset", "sorted(value)"]),
        (Model(), ["is a Model", "primary key"]),
        (Odd(), ["is an Odd", "text, numbers, booleans, None, lists and dictionaries"]),
        (timedelta(1), ["is a timedelta", "text, numbers"]),
        (1j, ["is a complex", "text, numbers"]),
        (len, ["is a builtin_function_or_method", "text, numbers"]),
        (math.nan, ["is nan", "JSON does not have"]),
        (math.inf, ["is inf", "JSON does not have"]),
        (-math.inf, ["is -inf", "JSON does not have"]),
        (10**5_000, ["too many digits"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_cannot_hold_is_refused_with_the_place_and_the_way_out(value: Any, words: list[str]) -> None:
    with pytest.raises(SerializationFailed) as caught:
        encode_call("app.tasks.add", [1, {"rows": [None, value]}], {})
    sentence = str(caught.value)
    assert sentence.startswith("The arguments of app.tasks.add cannot be stored as JSON: args[1]['rows'][1] ")
    assert [word for word in words if word not in sentence] == []
    assert caught.value.__cause__ is not None


def test_a_bad_keyword_argument_is_named() -> None:
    with pytest.raises(SerializationFailed, match=r": when is a datetime"):
        encode_call("app.tasks.add", [], {"when": datetime(2026, 1, 1)})


def test_a_bad_value_alone_is_the_value() -> None:
    with pytest.raises(
        SerializationFailed, match=r"^The return value of app\.tasks\.add cannot .*: the value is a set\."
    ):
        dumps({1}, "The return value of app.tasks.add")


@pytest.mark.parametrize("key", [1, 1.5, None, True, (1, 2), UUID(int=1)])
def test_keys_that_are_not_text_are_refused_for_json_would_change_them(key: Any) -> None:
    with pytest.raises(SerializationFailed) as caught:
        dumps({"totals": [{key: 1}]}, "The return value of app.tasks.add")
    assert f"the key {key!r} in ['totals'][0] is a" in str(caught.value)
    assert "str(key)" in str(caught.value)


def test_an_odd_key_inside_a_tuple_is_found() -> None:
    with pytest.raises(SerializationFailed, match="keys of text only"):
        dumps((({1: 2},),), "It")


def test_a_list_that_contains_itself_is_refused() -> None:
    ring: list[Any] = []
    ring.append(ring)
    with pytest.raises(SerializationFailed, match="nested too deeply, or contain themselves"):
        dumps(ring, "The arguments of app.tasks.add")


def test_what_is_nested_too_deeply_is_refused_and_costs_nothing_else() -> None:
    deep: list[Any] = []
    for _ in range(200_000):
        deep = [deep]
    try:
        with pytest.raises(SerializationFailed, match="nested too deeply"):
            dumps(deep, "The arguments of app.tasks.add")
    finally:
        # Taken apart by hand: some interpreters recurse when they free such a thing.
        while deep:
            deep = deep.pop()
    assert dumps([1], "It") == "[1]"


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "{",
        "null",
        "5",
        "[]",
        "[[]]",
        "[[],{},1]",
        "[[],{},{},{}]",
        "[{},[]]",
        '[[],"ab"]',
        '{"a":1,"b":2}',
        '"ab"',
        "[" * 100_000,
    ],
    ids=lambda payload: payload[:12] or "empty",
)
def test_a_damaged_payload_is_a_sentence_not_a_puzzle(payload: str) -> None:
    with pytest.raises(SerializationFailed, match="The stored arguments are damaged"):
        decode_call(payload)


def test_a_damaged_payload_is_quoted_in_part_only() -> None:
    with pytest.raises(SerializationFailed) as caught:
        decode_call("x" * 1_000_000)
    assert len(str(caught.value)) < 200
