"""What annotations ask for is stored as plain JSON and given back as it was, or refused where it is enqueued."""

from __future__ import annotations

import json
import random
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest

from reinhardt_tasks import SerializationFailed, TaskId, task
from reinhardt_tasks.arguments import converter_of
from reinhardt_tasks.exceptions import OperationRefused
from reinhardt_tasks.jobs import TaskStatus
from reinhardt_tasks.operations import edit, store_of
from reinhardt_tasks.testing import CapturedTasks, captured_tasks

from . import chores
from .chores import (
    Access,
    Beside,
    Box,
    Clean,
    Colour,
    Derived,
    Doubled,
    Guarded,
    Level,
    Longer,
    Odd,
    Order,
    Pair,
    Parsed,
    Plain,
    Point,
    Price,
    Scaled,
    Strict,
    Tagged,
    got,
)

BERLIN = ZoneInfo("Europe/Berlin")
DAY = date(2026, 11, 26)
KEY = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
ORDER = Order(
    number=KEY,
    prices=[Price(Decimal("1.10")), Price(Decimal("2"), "USD")],
    due=date(2026, 11, 26),
    inside=Order(number=KEY, prices=[]),
    notes={"a": [1]},
)


class Hours(datetime):
    pass


class Zone(tzinfo):
    def utcoffset(self, moment: datetime | None) -> timedelta:
        return timedelta(hours=1)

    def dst(self, moment: datetime | None) -> None:
        return None


@pytest.fixture(autouse=True)
def tasks() -> Any:
    got.clear()
    with captured_tasks() as tasks:
        yield tasks


def run(it: Any, *args: Any, **kwargs: Any) -> Any:
    """Enqueue a task, run it, and return what it was called with."""
    with captured_tasks() as inner:
        it.enqueue(*args, **kwargs)
        inner.drain()
    return got[-1]


GIVEN: list[tuple[Any, Any, Any]] = [
    (chores.moment, datetime(2026, 11, 26, 3, 4, 5, 678901, UTC), "2026-11-26T03:04:05.678901+00:00"),
    (chores.moment, datetime(2026, 11, 26, 3, 4), "2026-11-26T03:04:00"),
    (chores.moment, datetime(2026, 7, 1, tzinfo=BERLIN), "2026-07-01T00:00:00+02:00[Europe/Berlin]"),
    (chores.moment, datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN), "2026-10-25T02:30:00+02:00[Europe/Berlin]"),
    (chores.moment, datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1), "2026-10-25T02:30:00+01:00[Europe/Berlin]"),
    # Local times that do not exist, since the clock is put forward over them.
    (chores.moment, datetime(2026, 3, 29, 2, 30, tzinfo=BERLIN), "2026-03-29T02:30:00+01:00[Europe/Berlin]"),
    (chores.moment, datetime(2026, 3, 29, 2, 30, tzinfo=BERLIN, fold=1), "2026-03-29T02:30:00+02:00[Europe/Berlin]"),
    (
        chores.moment,
        datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=-3, minutes=-30))),
        "2026-01-01T00:00:00-03:30",
    ),
    (chores.day, date(2026, 11, 26), "2026-11-26"),
    (chores.watched_day, date(2026, 11, 26), "2026-11-26"),
    (chores.clock, time(3, 4, 5, 6), "03:04:05.000006"),
    (chores.clock, time(3, 4, tzinfo=UTC), "03:04:00+00:00"),
    (chores.span, timedelta(days=1, hours=2, microseconds=5), "P1DT02H00M00.000005S"),
    (chores.span, -timedelta(microseconds=1), "-P0DT00H00M00.000001S"),
    (chores.number, Decimal("1.10"), "1.10"),
    (chores.number, Decimal("-1E+5"), "-1E+5"),
    (chores.key, KEY, str(KEY)),
    (chores.renamed, KEY, str(KEY)),
    (chores.colour, Colour.RED, "red"),
    (chores.level, Level.HIGH, 2),
    (chores.odd, Odd.PAIR, "PAIR"),
    (chores.access, Access.READ | Access.WRITE, 3),
    (chores.triple, (1, datetime(2026, 1, 1), "a"), [1, "2026-01-01T00:00:00", "a"]),
    (chores.days, (date(2026, 1, 2), date(2026, 1, 1)), ["2026-01-02", "2026-01-01"]),
    (chores.bare, (1, ["a"]), [1, ["a"]]),
    (chores.keys, {KEY}, [str(KEY)]),
    (chores.frozen, frozenset({"b", "a"}), ["a", "b"]),
    (chores.table, {KEY: [Decimal("1.0")]}, {str(KEY): ["1.0"]}),
    (chores.counted, {7: date(2026, 1, 1)}, {"7": "2026-01-01"}),
    (chores.sequence, [date(2026, 1, 1)], ["2026-01-01"]),
    (chores.mapping, {"a": date(2026, 1, 1)}, {"a": "2026-01-01"}),
    (
        chores.order,
        ORDER,
        {
            "number": str(KEY),
            "prices": [{"amount": "1.10", "currency": "EUR"}, {"amount": "2", "currency": "USD"}],
            "due": "2026-11-26",
            "inside": {"number": str(KEY), "prices": [], "due": None, "inside": None, "notes": {}},
            "notes": {"a": [1]},
        },
    ),
    (chores.clean, Clean(" a "), {"name": "a", "due": None}),
    (chores.clean, Clean("a", datetime(2026, 1, 1)), {"name": "a", "due": "2026-01-01T00:00:00"}),
    (chores.point, Point(1, DAY), [1, "2026-11-26", None]),
    (chores.point, Point(1, DAY, Point(2, DAY)), [1, "2026-11-26", [2, "2026-11-26", None]]),
    (chores.longer, Longer(1, DAY), [1, "2026-11-26", None]),
    (chores.plain_pair, Plain(1, [2]), [1, [2]]),
    (chores.pair, Pair(1, 2), [1, 2]),
    (chores.box, Box(DAY, [DAY]), {"one": "2026-11-26", "more": ["2026-11-26"]}),
    (chores.box_of_points, Box(Point(1, DAY), None), {"one": [1, "2026-11-26", None], "more": None}),
    (chores.box_beside, Beside(DAY, Box("x", None)), {"one": "2026-11-26", "other": {"one": "x", "more": None}}),
    (chores.called, 1, 1),
    (chores.days_pair, Pair(DAY, DAY), ["2026-11-26", "2026-11-26"]),
    (chores.unknown, [1], [1]),
    (chores.maybe, None, None),
    (chores.maybe, datetime(2026, 1, 1), "2026-01-01T00:00:00"),
    (chores.implicit, None, None),
    (chores.implicit, datetime(2026, 1, 1), "2026-01-01T00:00:00"),
    (chores.either, 5, 5),
    (chores.either, None, None),
    (chores.either, KEY, str(KEY)),
    (chores.either, [date(2026, 1, 1)], ["2026-01-01"]),
    (chores.ambiguous, "text", "text"),
    (chores.ambiguous, str(KEY), str(KEY)),
    (chores.literally, 1, 1),
    (chores.literally, date(2026, 1, 1), "2026-01-01"),
]


@pytest.mark.parametrize(("it", "value", "stored"), GIVEN, ids=lambda value: getattr(value, "name", None))
def test_a_value_comes_back_as_it_was(it: Any, value: Any, stored: Any, tasks: CapturedTasks) -> None:
    result = it.enqueue(value)
    assert result.args == [stored]
    assert it.get_result(result.id).args == [stored]
    tasks.assert_enqueued(it, args=[value])
    tasks.drain()
    [back] = got
    assert back == value and type(back) is type(value)
    if isinstance(value, datetime):
        assert (back.tzinfo, back.fold, back.utcoffset()) == (value.tzinfo, value.fold, value.utcoffset())
    assert repr(back) == repr(value) or isinstance(value, frozenset)


WRITTEN: list[tuple[Any, Any, Any]] = [
    (chores.moment, "2026-11-26T03:04:00+01:00[Europe/Berlin]", datetime(2026, 11, 26, 3, 4, tzinfo=BERLIN)),
    (chores.day, "2026-11-26", DAY),
    (chores.clock, "03:04:00", time(3, 4)),
    (chores.span, "P1DT02H00M00S", timedelta(days=1, hours=2)),
    (chores.number, "1.10", Decimal("1.10")),
    (chores.key, str(KEY), KEY),
    (chores.colour, "red", Colour.RED),
    (chores.level, 2, Level.HIGH),
    (chores.odd, "PAIR", Odd.PAIR),
    (chores.access, 3, Access.READ | Access.WRITE),
    (chores.maybe, "2026-11-26T03:04:00", datetime(2026, 11, 26, 3, 4)),
    (chores.either, str(KEY), KEY),
    (chores.literally, "2026-11-26", DAY),
    (chores.days, ("2026-11-26",), (DAY,)),
    (chores.table, {str(KEY): ["1.0"]}, {KEY: [Decimal("1.0")]}),
    (chores.counted, {"5": "2026-11-26"}, {5: DAY}),
]


@pytest.mark.parametrize(("it", "value", "back"), WRITTEN, ids=lambda value: getattr(value, "name", None))
def test_what_would_be_stored_passes_and_arrives_as_annotated(
    it: Any, value: Any, back: Any, tasks: CapturedTasks
) -> None:
    it.enqueue(value)
    tasks.assert_enqueued(it, args=[back])
    tasks.drain()
    assert got == [back] and type(got[0]) is type(back)


REFUSED: list[tuple[Any, Any, str]] = [
    (chores.moment, "2026-01-01", r"args\[0\] is a str, where its annotation asks for datetime"),
    (chores.moment, date(2026, 1, 1), "is a date, where its annotation asks for datetime"),
    (chores.moment, None, "is None, where its annotation asks for datetime"),
    (chores.moment, Hours(2026, 1, 1), "is a Hours, where"),
    (chores.moment, datetime(2026, 1, 1, tzinfo=Zone()), r"has the time zone .* Use zoneinfo"),
    (chores.moment, datetime(2026, 1, 1, fold=1), "fold=1"),
    (chores.day, datetime(2026, 1, 1), "is a datetime, where its annotation asks for date"),
    (chores.clock, time(1, tzinfo=BERLIN), "has no offset without a date"),
    (chores.clock, time(1, fold=1), "fold=1"),
    (chores.number, 1.5, "is a float, where its annotation asks for Decimal"),
    (chores.key, TaskId(), "is a TaskId, where its annotation asks for UUID"),
    (chores.moment, "2026-01-01 00:00:00", "is a str, where its annotation asks for datetime"),
    (chores.moment, "2026-07-01T00:00:00+01:00[Europe/Berlin]", "is a str, where its annotation asks for datetime"),
    (chores.key, str(KEY).upper(), "is a str, where its annotation asks for UUID"),
    (chores.number, " 1", "is a str, where its annotation asks for Decimal"),
    (chores.number, "one", "is a str, where its annotation asks for Decimal"),
    (chores.colour, "green", "is a str, where its annotation asks for Colour"),
    (chores.colour, 1, "is an int, where its annotation asks for Colour"),
    (chores.level, True, "is a bool, where its annotation asks for Level"),
    (chores.odd, "text", "is a str, where its annotation asks for Odd"),
    (chores.triple, (1, datetime(2026, 1, 1)), "has 2 items, where its annotation asks for 3"),
    (chores.triple, (1, 2, "a"), r"args\[0\]\[1\] is an int, where its annotation asks for datetime"),
    (chores.days, [date(2026, 1, 1)], r"is a list, where its annotation asks for tuple\[date"),
    (chores.frozen, frozenset({b"a"}), r"holds what JSON does not have. Annotate its items: frozenset\[…\]"),
    (chores.table, {"a": []}, r"the key 'a' in args\[0\] is a str, where its annotation asks for UUID"),
    (chores.table, {KEY: [1]}, r"is an int, where its annotation asks for Decimal"),
    (chores.order, {"number": KEY}, "is a dict, where its annotation asks for Order"),
    (chores.order, Order(number=KEY, prices=[Price(1)]), r"args\[0\].prices\[0\].amount is an int"),  # type: ignore[arg-type]
    (chores.derived, Derived(1), r"fields that its class computes itself \(two\)"),
    (chores.scaled, Scaled(1, 2), r"cannot be made again of its fields \(.*missing .*'factor'\): pass its parts"),
    (chores.parsed, Parsed("1"), "cannot be made again of its fields .*unexpected keyword argument 'value'"),
    (chores.doubled, Doubled(Decimal(1)), "would come back with another amount, which its class changes"),
    (chores.tagged, Tagged([]), "would come back with another tags"),
    (chores.strict, Strict("1"), r"cannot be made again of its fields \(ValueError\)"),
    (chores.point, {"x": 1}, "is a dict, where its annotation asks for Point"),
    (chores.point, Longer(1, DAY), "is a Longer, where its annotation asks for Point"),
    (chores.point, (1, DAY), "has 2 items, where Point has 3"),
    (chores.point, Point(1, 2), r"args\[0\].seen is an int, where its annotation asks for date"),  # type: ignore[arg-type]
    (chores.maybe, "soon", "is a str, where its annotation asks for datetime"),
    (chores.either, "text", r"is a str, where its annotation asks for int \| UUID \| list\[date\] \| None"),
    (chores.either, {"a": 1}, "is a dict, where its annotation asks for"),
    (chores.ambiguous, KEY, r"is of the type UUID, which JSON does not tell from str: .* str \| UUID is ambiguous"),
    (chores.literally, "2026-1-1", "is a str, where"),
    (
        chores.unknown,
        DAY,
        r"args\[0\] is a date, and its annotation 'Unknown' cannot be resolved.*not under TYPE_CHECKING",
    ),
    (chores.guarded, Guarded(DAY), r"args\[0\].value is a date, and its annotation 'Unknown' cannot be resolved"),
    (chores.sequence, {DAY}, r"is a set, where its annotation asks for Sequence\[date\]"),
    (
        chores.loose_box,
        Box(DAY, []),
        r"args\[0\]\['one'\] is a date.* let the parameter's annotation name date in this place",
    ),
    (chores.untyped, [DAY], "Or let the parameter's annotation name date in this place: then it arrives as it was"),
    (chores.untyped, date(2026, 1, 1), "Or annotate the parameter with date: then it arrives as it was"),
    (chores.untyped, Price(Decimal(1)), "Or annotate the parameter with Price"),
    (chores.plain, {1}, "Or annotate the parameter with set"),
]


@pytest.mark.parametrize(("it", "value", "words"), REFUSED, ids=lambda value: getattr(value, "name", None))
def test_what_would_not_come_back_is_refused(it: Any, value: Any, words: str, tasks: CapturedTasks) -> None:
    with pytest.raises(SerializationFailed, match=words):
        it.enqueue(value)
    tasks.assert_nothing_enqueued()


def test_a_list_or_a_tuple_of_its_fields_arrives_as_the_named_tuple(tasks: CapturedTasks) -> None:
    for value in ([1, DAY, None], (1, DAY, None)):
        assert run(chores.point, value) == Point(1, DAY) and type(got[-1]) is Point


def test_a_named_tuple_that_was_stored_when_it_had_less_has_the_defaults(tasks: CapturedTasks) -> None:
    convert = converter_of(chores.point)
    assert convert is not None
    assert convert.restored([[1, "2026-11-26"]], {}) == ([Point(1, DAY)], {})
    for stored in ([1], [1, "2026-11-26", None, 4], {"x": 1}):
        with pytest.raises(SerializationFailed, match="is no Point"):
            convert.restored([stored], {})


def test_what_a_class_changes_when_it_is_made_again_is_not_what_was_passed(tasks: CapturedTasks) -> None:
    value = Tagged([])
    with pytest.raises(SerializationFailed):
        chores.tagged.enqueue(value)
    assert value.tags == ["made"]


def test_what_contains_itself_is_refused(tasks: CapturedTasks) -> None:
    value = Order(number=KEY, prices=[])
    object.__setattr__(value, "inside", value)
    with pytest.raises(SerializationFailed, match=r"chores.order are nested too deeply, or contain themselves"):
        chores.order.enqueue(value)


def test_arguments_of_every_kind_are_converted(tasks: CapturedTasks) -> None:
    first, rest, hour = date(2026, 1, 1), (Decimal(1), Decimal(2)), timedelta(hours=1)
    assert run(chores.everything, first, KEY, *rest, third=Colour.BLUE, other=hour) == (
        1,
        first,
        KEY,
        rest,
        Colour.BLUE,
        {"other": hour},
    )
    with pytest.raises(SerializationFailed, match=r"arguments of tests.arguments.chores.everything .* other is an int"):
        chores.everything.enqueue(first, second=KEY, third=Colour.RED, other=1)


def test_an_annotation_that_cannot_be_resolved_is_none_and_leaves_the_others(tasks: CapturedTasks) -> None:
    assert run(chores.unresolvable, [1], date(2026, 1, 1)) == ([1], date(2026, 1, 1))


def test_a_tuple_is_a_sequence_and_arrives_as_a_list(tasks: CapturedTasks) -> None:
    assert run(chores.sequence, (DAY,)) == [DAY]


def test_plain_tasks_have_no_converter_and_show_what_they_were_given(tasks: CapturedTasks) -> None:
    assert converter_of(chores.plain) is None and converter_of(chores.untyped) is None
    assert chores.plain.enqueue(1, None, [1]).args == [1, None, [1]]
    assert converter_of(chores.day) is converter_of(chores.day.using(priority=3))


def test_arguments_that_do_not_fit_are_refused_as_elsewhere(tasks: CapturedTasks) -> None:
    for args in [(), (date(2026, 1, 1), 2)]:
        with pytest.raises(TypeError, match="cannot be called"):
            chores.day.enqueue(*args)


def test_defaults_stay_the_functions(tasks: CapturedTasks) -> None:
    assert run(chores.maybe) is None
    assert chores.maybe.enqueue().args == []


def test_many_are_enqueued_or_none(tasks: CapturedTasks) -> None:
    with pytest.raises(SerializationFailed):
        chores.day.enqueue_many([((date(2026, 1, 1),), {}), ((1,), {})])
    tasks.assert_nothing_enqueued()
    chores.day.enqueue_many([((date(2026, 1, 1),), {}), ((), {"value": date(2026, 1, 2)})])
    tasks.drain()
    assert got == [date(2026, 1, 1), date(2026, 1, 2)]


def test_what_was_stored_for_other_annotations_fails_clearly(tasks: CapturedTasks) -> None:
    result = chores.colour.enqueue(Colour.RED)
    [broker] = tasks._brokers.values()
    assert broker.rewrite(result.id, json.dumps([["green"], {}]))
    [ran] = tasks.drain(raise_failures=False)
    assert ran.state is TaskStatus.FAILURE
    assert "args[0] of tests.arguments.chores.colour is no Colour: ValueError: 'green'" in ran.errors[-1].traceback


@pytest.mark.parametrize("alias", ["immediate", "dummy"])
def test_other_backends_show_what_is_stored_too(alias: str) -> None:
    result = chores.day.using(backend=alias).enqueue(date(2026, 1, 1))
    assert result.args == ["2026-01-01"]
    assert got == ([date(2026, 1, 1)] if alias == "immediate" else [])


def test_any_moment_and_any_span_come_back(tasks: CapturedTasks, rng: random.Random) -> None:
    zones = [None, UTC, BERLIN, ZoneInfo("America/St_Johns"), timezone(timedelta(minutes=rng.randrange(-700, 700)))]
    moments = [
        datetime(2000, 1, 1, tzinfo=rng.choice(zones)) + timedelta(microseconds=rng.randrange(10**15))
        for _ in range(200)
    ]
    spans = [timedelta(microseconds=rng.randrange(-(10**16), 10**16)) for _ in range(200)]
    chores.moment.enqueue_many([((moment,), {}) for moment in moments])
    chores.span.enqueue_many([((span,), {}) for span in spans])
    tasks.drain()
    assert [(one, getattr(one, "tzinfo", None)) for one in got] == [
        (one, getattr(one, "tzinfo", None)) for one in [*moments, *spans]
    ]


def test_a_bad_choice_for_what_is_missing_is_refused() -> None:
    from reinhardt_tasks._compat import InvalidTask

    with pytest.raises(InvalidTask, match="on_missing must be 'fail' or 'skip'"):
        task(on_missing="ignore")(chores.plain.func)  # type: ignore[call-overload]


def test_uuid_keys_come_back_in_a_set_of_any_order(tasks: CapturedTasks) -> None:
    some = {uuid4() for _ in range(5)}
    assert chores.keys.enqueue(some).args == [sorted(map(str, some))]
    assert run(chores.keys, some) == some


def test_people_edit_what_is_stored_and_it_is_checked(tasks: CapturedTasks) -> None:
    store = store_of("default")
    id_ = chores.day.enqueue(date(2026, 1, 1)).id
    with pytest.raises(OperationRefused, match=r"args\[0\] of tests.arguments.chores.day is no date: ValueError"):
        edit(store, id_, ["soon"], {})
    edit(store, id_, ["2026-02-02"], {})
    tasks.drain()
    assert got == [date(2026, 2, 2)]
