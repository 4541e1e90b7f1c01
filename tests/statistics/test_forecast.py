"""When a queue will be empty."""

from datetime import timedelta

import pytest

from taskworks.statistics.forecast import Flow, forecast

pytestmark = pytest.mark.any_database


def flow(**known: float) -> Flow:
    usual = {"depth": 100, "depth_before": 100.0, "minutes": 10.0, "finished": 200}
    return Flow(**{**usual, "run_seconds": 3.0, "slots": 2, **known})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({"depth": 220, "depth_before": 320.0}, "empty in 22 min 0 s"),
        ({}, "steady"),
        ({"depth": 500, "depth_before": 100.0}, "grows by 40 a minute: 1 more slot would hold it"),
        ({"depth": 500, "slots": 1}, "grows by 40 a minute: 2 more slots would hold it"),
        ({"depth": 500, "slots": 50}, "grows by 40 a minute"),
        ({"depth": 9, "depth_before": 0.0, "finished": 0}, "grows by 0.9 a minute"),
        ({"depth": 0}, ""),
        ({"depth_before": None}, ""),
        ({"depth": 10**9, "depth_before": 10.0**9 + 100}, "empty in 30 d 0 h"),
    ],
)
def test_in_words(known: dict[str, float], words: str) -> None:
    if known.get("finished") == 0:
        known = {**known, "run_seconds": 0.0}
    assert forecast(flow(**known)).in_words == words


def test_the_numbers() -> None:
    expected = forecast(flow(depth=220, depth_before=320.0))
    assert expected.finished_per_minute == 20
    assert expected.enqueued_per_minute == 10
    assert expected.empty_in == timedelta(minutes=22)
    assert expected.more_slots == 0


def test_runs_that_are_put_back_make_no_negative_rate() -> None:
    expected = forecast(flow(depth=0, depth_before=900.0, finished=10))
    assert (expected.enqueued_per_minute, expected.empty_in) == (0.0, timedelta())
