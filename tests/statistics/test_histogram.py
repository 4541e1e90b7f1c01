"""Histograms: quantiles of whatever values, and that nothing is lost when they are merged."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskworks.statistics.histogram import HIGHEST, LOWEST, Histogram, bound, bucket_of
from tests.effort import examples

pytestmark = pytest.mark.any_database

SECONDS = st.floats(min_value=0.0002, max_value=900_000, allow_nan=False)
MANY = st.lists(SECONDS, min_size=1, max_size=200)


@settings(max_examples=examples(500))
@given(SECONDS)
def test_a_value_is_in_the_bucket_whose_bounds_it_is_between(value: float) -> None:
    bucket = bucket_of(value)
    assert bound(bucket - 1) <= value * (1 + 1e-12)
    assert value <= bound(bucket) * (1 + 1e-12)


@settings(max_examples=examples(500))
@given(MANY, st.sampled_from([0.0, 0.5, 0.9, 0.95, 0.99, 1.0]))
def test_a_quantile_is_in_the_bucket_of_the_true_one(values: list[float], share: float) -> None:
    true = sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
    told = Histogram.of(values).quantile(share)
    assert told is not None
    assert true / 2**0.2501 <= told <= true * 2**0.2501


@settings(max_examples=examples(300))
@given(MANY, st.sampled_from([0.5, 0.95, 1.0]))
def test_a_quantile_is_never_above_the_largest_value(values: list[float], share: float) -> None:
    true = sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
    told = Histogram.of(values).quantile(share, max(values))
    assert told is not None
    assert true / 2**0.2501 <= told <= max(values)


@settings(max_examples=examples(300))
@given(MANY, MANY)
def test_merged_is_as_counted_together(one: list[float], other: list[float]) -> None:
    merged = Histogram.of(one)
    merged.merge(Histogram.of(other))
    assert merged == Histogram.of([*one, *other])
    assert merged.total == len(one) + len(other)


@settings(max_examples=examples(300))
@given(st.lists(st.floats(allow_nan=False), max_size=50))
def test_it_is_read_as_it_was_written(values: list[float]) -> None:
    histogram = Histogram.of(values)
    assert Histogram.parse(str(histogram)) == histogram
    assert {*histogram.counts} <= {*range(LOWEST, HIGHEST + 1)}


@settings(max_examples=examples(300))
@given(st.text(alphabet="0123456789:,-x. ", max_size=60))
def test_nonsense_is_left_out(text: str) -> None:
    histogram = Histogram.parse(text)
    assert all(count > 0 for count in histogram.counts.values())


def test_what_is_malformed_is_left_out_and_the_rest_is_not() -> None:
    assert Histogram.parse("-12:4,x:1,3,5:-2,999:1,,7:2").counts == {-12: 4, 7: 2}
    assert Histogram.parse(None).counts == {}  # type: ignore[arg-type]


def test_of_nothing() -> None:
    assert Histogram().quantile(0.5) is None
    assert Histogram().share_within(1.0) is None
    assert str(Histogram()) == ""


def test_what_is_within_a_bound_is_exact() -> None:
    histogram = Histogram.of([0.5, 1.0, 1.1, 2.0, 3.0])
    assert histogram.share_within(1.0) == 2 / 5
    assert histogram.share_within(2.0) == 4 / 5
    assert histogram.share_within(0) == 0


@pytest.mark.parametrize("kind", ["lognormal", "two peaks", "3 ms", "5 min"])
def test_percentiles_of_known_durations_are_within_9_percent(kind: str) -> None:
    chance = random.Random(7)
    draw = {
        "lognormal": lambda: chance.lognormvariate(-2, 1.5),
        "two peaks": lambda: chance.gauss(*chance.choice([(0.02, 0.002), (4.0, 0.5)])),
        "3 ms": lambda: chance.gauss(0.003, 0.0003),
        "5 min": lambda: chance.gauss(300, 40),
    }[kind]
    values = [max(0.001, draw()) for _ in range(100_000)]
    histogram, ordered = Histogram.of(values), sorted(values)
    for share in (0.5, 0.95, 0.99):
        if kind == "two peaks" and share == 0.5:
            continue  # it is anywhere between the two
        true = ordered[int(share * len(ordered))]
        assert histogram.quantile(share) == pytest.approx(true, rel=0.09), share
