"""Alternating pairs: their order, the interval of their ratios, and what it says of a bar."""

import pytest

from benchmarks.pairs.ratios import (
    Cost,
    Interval,
    in_a_word,
    in_a_word_at_most,
    in_pairs,
    interval,
    verdict,
)

pytestmark = pytest.mark.any_database


def test_each_side_is_first_in_every_second_pair() -> None:
    order: list[str] = []

    def side(name: str, wall: float) -> Cost:
        order.append(name)
        return Cost(wall=wall, backend=2 * wall)

    pairs = in_pairs(lambda: side("usual", 1), lambda: side("measured", 4), 3)
    assert order == ["usual", "measured", "measured", "usual", "usual", "measured"]
    assert [pair.ratio("wall") for pair in pairs] == [0.25] * 3
    assert pairs[0].ratio("workers") == 1  # where it is not known


@pytest.mark.parametrize(
    ("number", "bounds"),
    # Of coins thrown so often, fewer heads than the first come up once in 40 times at most.
    [(3, (1, 3)), (6, (1, 6)), (15, (4, 12)), (20, (6, 15)), (25, (8, 18))],
)
def test_the_interval_holds_the_median_with_95_percent(
    number: int, bounds: tuple[int, int]
) -> None:
    ratios = [float(one) for one in range(number, 0, -1)]
    found = interval(ratios)
    assert (found.low, found.high) == bounds
    assert found.middle == (number + 1) / 2


@pytest.mark.parametrize(
    ("found", "word"),
    [
        (Interval(low=0.9, middle=1.0, high=1.1), "KEPT"),
        (Interval(low=0.8, middle=1.0, high=1.1), "KEPT by the median"),
        (Interval(low=0.7, middle=0.8, high=0.9), "UNDECIDED: the interval reaches it"),
        (Interval(low=0.7, middle=0.8, high=0.89), "MISSED"),
    ],
)
def test_what_an_interval_says(found: Interval, word: str) -> None:
    assert in_a_word(found, 0.9) == word


@pytest.mark.parametrize(
    ("found", "word"),
    [
        (Interval(low=1, middle=2, high=3), "KEPT"),
        (Interval(low=1, middle=3, high=4), "KEPT by the median"),
        (Interval(low=3, middle=4, high=5), "UNDECIDED: the interval reaches it"),
        (Interval(low=3.1, middle=4, high=5), "MISSED"),
    ],
)
def test_what_an_interval_says_of_a_bar_that_lies_above(found: Interval, word: str) -> None:
    assert in_a_word_at_most(found, 3) == word


def test_a_bar_is_missed_if_the_whole_interval_lies_below(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pairs = in_pairs(lambda: Cost(wall=8, backend=9), lambda: Cost(wall=10, backend=9), 15)
    assert verdict(pairs, 0.8)
    assert not verdict(pairs, 0.81)
    assert verdict(pairs, 1.0, of=["backend"])
    said = capsys.readouterr().out
    assert said.count("wall 0.800, backend 1.000") == 15
    assert "wall: 0.800 (0.800 to 0.800); the bar is 0.8: KEPT" in said
    assert "wall: 0.800 (0.800 to 0.800); the bar is 0.81: MISSED" in said
