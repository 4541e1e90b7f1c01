"""How far ahead a worker claims."""

import pytest

from taskworks.worker.pools.pool import AHEAD_WITHIN, MAX_AHEAD, ClaimAhead


def after(*durations: float) -> ClaimAhead:
    claim_ahead = ClaimAhead()
    for duration in durations:
        claim_ahead.note([duration])
    return claim_ahead


def test_nothing_is_claimed_ahead_before_an_attempt_has_ended() -> None:
    assert ClaimAhead().ahead(100) == 0


def test_nothing_is_claimed_ahead_of_long_tasks() -> None:
    assert after(1.0).ahead(4) == 0


@pytest.mark.parametrize("slots", [1, 4])
def test_what_starts_within_the_horizon_is_claimed_ahead(slots: int) -> None:
    assert after(0.002).ahead(slots) == int(slots * AHEAD_WITHIN / 0.002)


@pytest.mark.parametrize("duration", [0.0, 1e-9, 1e-5])
def test_there_is_a_bound_however_short_tasks_are(duration: float) -> None:
    assert after(duration).ahead(100) == MAX_AHEAD


def test_a_long_task_among_short_ones_slows_it_at_once() -> None:
    assert after(*[0.0001] * 100).ahead(4) == MAX_AHEAD
    assert after(*[0.0001] * 100, 10.0).ahead(4) == 0


def test_after_it_was_too_fast_nothing_is_claimed_ahead_before_the_next_has_ended() -> None:
    claim_ahead = after(*[0.0001] * 100)
    claim_ahead.pause()
    assert (claim_ahead.ahead(4), claim_ahead.is_brief) == (0, True)
    claim_ahead.note([0.01])
    assert claim_ahead.ahead(4) == 12


def test_most_attempts_decide_whether_tasks_are_brief() -> None:
    assert not ClaimAhead().is_brief
    assert after(*[0.00001] * 10).is_brief
    assert after(0.5, *[0.00001] * 300).is_brief  # the first may have imported half the project
    assert after(*[0.00001, 0.00001, 10.0] * 100).is_brief
    assert not after(*[0.00001, 10.0, 10.0] * 100).is_brief
    assert not after(*[0.001] * 10).is_brief
