"""``Backoff``, and what a task raises to be run again."""

import pickle
from datetime import timedelta
from typing import Any

import pytest

from taskworks import Backoff, Retry, Snooze
from taskworks.durations import MAX_DELAY
from taskworks.exceptions import TaskException
from tests.test_durations import NO_TIMES


def steady(**options: Any) -> Backoff:
    return Backoff(**{"jitter": 0, **options})


class TestDelay:
    def test_grows_from_the_initial_by_the_factor(self) -> None:
        waits = [steady(initial=10, factor=2).delay(failures) for failures in (1, 2, 3, 4)]
        assert waits == [10, 20, 40, 80]

    def test_does_not_grow_with_a_factor_of_one(self) -> None:
        assert {steady(initial=3, factor=1).delay(failures) for failures in range(1, 50)} == {3}

    def test_stops_at_the_maximum(self) -> None:
        backoff = steady(initial=10, factor=3, maximum=25)
        assert [backoff.delay(failures) for failures in (1, 2, 3)] == [10, 25, 25]

    def test_is_the_maximum_if_the_initial_is_larger(self) -> None:
        assert steady(initial=100, maximum=7).delay(1) == 7

    @pytest.mark.parametrize("factor", [2, 2.0, 1e8, 10**8])
    @pytest.mark.parametrize("initial", [0.1, 10, 10**8])
    def test_is_the_maximum_after_more_failures_than_a_float_can_count(
        self, initial: float, factor: float
    ) -> None:
        assert steady(initial=initial, factor=factor).delay(2**31 - 1) == 3600

    @pytest.mark.parametrize("failures", [1, 2, 5000])
    def test_may_be_nothing(self, failures: int) -> None:
        assert steady(initial=0).delay(failures) == 0
        assert steady(maximum=0).delay(failures) == 0

    def test_is_by_default_ten_seconds_to_an_hour(self) -> None:
        assert Backoff() == Backoff(initial=10, factor=2, maximum=3600, jitter=0.1)

    @pytest.mark.parametrize("jitter", [0.1, 0.5, 1])
    def test_is_spread_by_the_jitter(self, jitter: float) -> None:
        waits = {Backoff(initial=100, jitter=jitter).delay(1) for _ in range(500)}
        assert all(100 * (1 - jitter) <= wait <= 100 * (1 + jitter) for wait in waits)
        assert len(waits) > 100
        assert max(waits) - min(waits) > 100 * jitter

    @pytest.mark.parametrize("jitter", [0, 1])
    def test_at_its_longest_is_a_timedelta(self, jitter: float) -> None:
        longest = Backoff(initial=MAX_DELAY, maximum=MAX_DELAY, jitter=jitter)
        assert timedelta(seconds=longest.delay(10**9)) <= timedelta(seconds=2 * MAX_DELAY)


class TestABackoff:
    @pytest.mark.parametrize("name", ["initial", "factor", "maximum", "jitter"])
    @pytest.mark.parametrize(
        "number", [-1, float("nan"), float("inf"), 10**400, MAX_DELAY + 1, True, "1", None]
    )
    def test_refuses_what_makes_no_wait(self, name: str, number: Any) -> None:
        with pytest.raises(ValueError, match=f"^Backoff's {name} must be "):
            Backoff(**{name: number})

    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            ({"factor": 0.5}, r"^Backoff's factor must be from 1 to 316224000, not 0\.5\.$"),
            ({"jitter": 1.5}, r"^Backoff's jitter must be from 0 to 1, not 1\.5\.$"),
            ({"initial": "a"}, r"^Backoff's initial must be a number, not 'a'\.$"),
        ],
    )
    def test_says_what_it_takes(self, options: dict[str, Any], sentence: str) -> None:
        with pytest.raises(ValueError, match=sentence):
            Backoff(**options)

    def test_is_a_value(self) -> None:
        assert {Backoff(1), Backoff(initial=1.0), Backoff()} == {Backoff(1), Backoff()}
        assert pickle.loads(pickle.dumps(Backoff(1, 2, 3, 0.4))) == Backoff(1, 2, 3, 0.4)
        with pytest.raises(AttributeError):
            Backoff().initial = 5  # type: ignore[misc]


class TestRetryAndSnooze:
    def test_tell_why_and_when(self) -> None:
        retry, snooze = Retry("busy", after=timedelta(minutes=2)), Snooze("early", after=5)
        assert (str(retry), retry.after) == ("busy", 120.0)
        assert (str(snooze), snooze.after) == ("early", 5.0)
        assert isinstance(retry, TaskException)
        assert isinstance(snooze, TaskException)

    def test_retry_needs_no_time_and_snooze_does(self) -> None:
        assert Retry().after is None
        with pytest.raises(TypeError):
            Snooze("early")  # type: ignore[call-arg]

    @pytest.mark.parametrize("after", [after for after in NO_TIMES if after is not None])
    @pytest.mark.parametrize("kind", [Retry, Snooze])
    def test_refuse_what_is_no_time_to_wait(self, kind: Any, after: Any) -> None:
        with pytest.raises(ValueError, match=rf"^{kind.__name__}\(after=\.\.\.\) must be seconds"):
            kind(after=after)
