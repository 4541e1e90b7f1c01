"""How far ahead a worker claims."""

import pytest

from taskworks.worker.pools.claim_ahead import HORIZON, MOST_AHEAD, ClaimAhead


def paced(*durations: float) -> ClaimAhead:
    pace = ClaimAhead()
    for duration in durations:
        pace.note(duration)
    return pace


def test_nothing_is_claimed_ahead_before_an_attempt_has_ended() -> None:
    assert ClaimAhead().ahead(100) == 0


def test_nothing_is_claimed_ahead_of_long_tasks() -> None:
    assert paced(1.0).ahead(4) == 0


@pytest.mark.parametrize("slots", [1, 4])
def test_what_starts_within_the_horizon_is_claimed_ahead(slots: int) -> None:
    assert paced(0.002).ahead(slots) == int(slots * HORIZON / 0.002)


@pytest.mark.parametrize("duration", [0.0, 1e-9, 1e-5])
def test_there_is_a_bound_however_short_tasks_are(duration: float) -> None:
    assert paced(duration).ahead(100) == MOST_AHEAD


def test_a_long_task_among_short_ones_slows_it_at_once() -> None:
    assert paced(*[0.0001] * 100).ahead(4) == MOST_AHEAD
    assert paced(*[0.0001] * 100, 10.0).ahead(4) == 0


def test_after_it_was_too_fast_nothing_is_claimed_ahead_before_the_next_has_ended() -> None:
    pace = paced(*[0.0001] * 100)
    pace.slacken()
    assert (pace.ahead(4), pace.is_brief) == (0, True)
    pace.note(0.01)
    assert pace.ahead(4) == 12


def test_most_attempts_decide_whether_tasks_are_brief() -> None:
    assert not ClaimAhead().is_brief
    assert paced(*[0.00001] * 10).is_brief
    assert paced(0.5, *[0.00001] * 300).is_brief  # the first may have imported half the project
    assert paced(*[0.00001, 0.00001, 10.0] * 100).is_brief
    assert not paced(*[0.00001, 10.0, 10.0] * 100).is_brief
    assert not paced(*[0.001] * 10).is_brief
