"""Durations as options give them, and as people read them."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import translation

from taskworks.durations import MAX_DELAY, in_words, localized, seconds

NO_TIMES = [-1, -0.001, float("nan"), float("inf"), float("-inf"), True, "5", None, [], 10**400]
NO_TIMES += [Decimal(5), timedelta(seconds=-1), timedelta(days=4000), MAX_DELAY + 1]


@pytest.mark.parametrize(
    ("given", "number"),
    [(0, 0.0), (5, 5.0), (0.5, 0.5), (timedelta(minutes=1), 60.0), (MAX_DELAY,) * 2],
)
def test_seconds_are_a_float(given: Any, number: float) -> None:
    assert seconds(given, "it") == number
    assert type(seconds(given, "it")) is float


@pytest.mark.parametrize("given", NO_TIMES, ids=lambda given: repr(given)[:20])
def test_what_is_not_a_delay_is_refused_in_a_sentence(given: Any) -> None:
    with pytest.raises(ValueError, match=r"^it must be seconds or a timedelta, from 0 to ten "):
        seconds(given, "it")


@pytest.mark.parametrize(
    ("duration", "words"),
    [
        (timedelta(), "0.0 s"),
        (timedelta(seconds=41.46), "41.5 s"),
        (timedelta(seconds=59.94), "59.9 s"),
        (timedelta(seconds=59.96), "60.0 s"),
        (timedelta(seconds=60), "1 min 0 s"),
        (timedelta(seconds=76.9), "1 min 16 s"),
        (timedelta(hours=1), "1 h 0 min"),
        (timedelta(hours=23, minutes=59, seconds=59), "23 h 59 min"),
        (timedelta(days=3, hours=4), "3 d 4 h"),
        (timedelta(days=999_999_999), "999999999 d 0 h"),
    ],
)
def test_the_two_largest_units_count(duration: timedelta, words: str) -> None:
    assert in_words(duration) == localized(duration) == words


def test_the_decimals_of_less_than_a_minute() -> None:
    assert in_words(timedelta(milliseconds=12), decimals=3) == "0.012 s"
    assert localized(timedelta(milliseconds=12), decimals=3) == "0.012 s"
    assert in_words(timedelta(minutes=2), decimals=3) == "2 min 0 s"


def test_pages_have_the_decimal_sign_of_their_language() -> None:
    with translation.override("de"):
        assert localized(timedelta(seconds=41.46)) == "41,5 s"
        assert localized(timedelta(seconds=2.5), decimals=3) == "2,500 s"
        assert localized(timedelta(microseconds=1999), decimals=3) == "0,002 s"
        assert localized(timedelta(minutes=2)) == "2 min 0 s"
        assert in_words(timedelta(seconds=41.46)) == "41.5 s"
