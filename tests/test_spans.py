"""Spans of time as people read them."""

from __future__ import annotations

import pytest
from django.utils import translation

from reinhardt_tasks import spans


@pytest.mark.parametrize(
    ("seconds", "short", "words"),
    [
        (0.25, "250 ms", "0 seconds"),
        (1, "1.0 s", "1 second"),
        (59.6, "1 min", "59 seconds"),
        (125, "2 min 5 s", "2 minutes"),
        (3600, "1 h", "1 hour"),
        (90_000, "1 d 1 h", "1 day"),
    ],
)
def test_a_span_is_told_shortly_and_in_words(seconds: float, short: str, words: str) -> None:
    assert (spans.short(seconds), spans.in_words(seconds)) == (short, words)


def test_a_span_is_told_in_japanese() -> None:
    with translation.override("ja"):
        assert spans.in_words(720) == "12 分"
