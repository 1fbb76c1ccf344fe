"""What tasks logged, as stores keep it."""

from __future__ import annotations

from datetime import UTC, datetime

from reinhardt_tasks import LogLine
from reinhardt_tasks.log_lines import LOG_LETTERS, AttemptLog, decode_log, encode_log, joined_log

AT = datetime(2026, 11, 26, 9, 30, 0, 123456, UTC)


def log(attempt: int, *messages: str, dropped: int = 0) -> AttemptLog:
    return AttemptLog(attempt, tuple(LogLine(AT, "INFO", "shop", message, attempt) for message in messages), dropped)


def test_lines_come_back_as_they_were() -> None:
    one, two = log(1, "a\nb", "\N{PILE OF POO}\u2028\x85\x00", dropped=7), log(2, "c")
    text = joined_log(encode_log(one), encode_log(two))
    assert text is not None and text.isascii()
    assert decode_log(text) == (one, two)


def test_nothing_is_nothing() -> None:
    assert joined_log(None, None) is None
    assert joined_log("before", None) == "before"
    assert decode_log(None) == decode_log("") == ()


def test_damage_spoils_only_itself() -> None:
    good = encode_log(log(3, "good"))
    for damaged in ("{", "[1]", '["a",0,[]]', "[" * 100_000, "null", good[5:-1]):
        assert decode_log(f"{damaged}\n{good}") == (log(3, "good"),)
    lines = '[[1,"INFO","shop","good"],[-1,"INFO","shop","x"],[1e30,"a","b","c"],[1,2,3,4],[],null,"x"]'
    (found,) = decode_log(f"[1,0,{lines}]\n")
    assert [line.message for line in found.lines] == ["good"]
    assert decode_log(f'[1,0,[[{10**40},"a","b","c"]]]') == (AttemptLog(1, ()),)


def test_the_oldest_give_way() -> None:
    text: str | None = None
    for number in range(1, 10):
        text = joined_log(text, encode_log(log(number, "x" * (LOG_LETTERS // 4))))
    assert text is not None and len(text) < 1.5 * LOG_LETTERS
    assert [attempt.attempt for attempt in decode_log(text)] == [6, 7, 8, 9]
