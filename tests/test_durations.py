"""Durations as people read them."""

from datetime import timedelta

import pytest

from taskworks.durations import in_words


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
    assert in_words(duration) == words


def test_the_decimals_of_less_than_a_minute() -> None:
    assert in_words(timedelta(milliseconds=12), decimals=3) == "0.012 s"
    assert in_words(timedelta(minutes=2), decimals=3) == "2 min 0 s"
