"""A turn over more queues than a worker looks at at once."""

import pytest

from taskworks.worker.claiming.turn import Turn

THREADS, BOTH = {"thread"}, {"thread", "async"}


@pytest.fixture
def turn() -> Turn:
    """At the second of two parts; the first one was empty."""
    turn = Turn()
    turn.go_on("m")
    turn.note_claim(BOTH, BOTH)
    turn.go_on(None)
    return turn


def test_a_part_may_be_the_whole() -> None:
    turn = Turn()
    turn.go_on(None)
    assert turn.is_whole
    assert not turn.may_have_more(BOTH)  # whatever it has, the next claim looks at it again


def test_each_part_begins_where_the_last_one_ended() -> None:
    turn = Turn()
    places = []
    for then_after in ("f", "m", None, "f", None):
        turn.go_on(then_after)
        places.append((turn.began_after, turn.goes_on_after))
        assert not turn.is_whole
    assert places == [(None, "f"), ("f", "m"), ("m", None), (None, "f"), ("f", None)]
    turn.go_on("f")
    turn.start_over()
    turn.go_on("f")
    assert turn.began_after is None


def test_there_may_be_more_until_every_part_was_found_empty(turn: Turn) -> None:
    assert turn.may_have_more(THREADS)  # in this one
    turn.note_claim(BOTH, THREADS)
    assert not turn.may_have_more(THREADS)
    assert turn.may_have_more(BOTH)
    assert not turn.may_have_more(set())  # without room


def test_a_part_has_more_if_the_last_claim_from_it_was_filled() -> None:
    turn = Turn()
    turn.go_on("m")
    turn.note_claim(THREADS, set())
    turn.note_claim(THREADS, THREADS)
    assert turn.may_have_more(THREADS)  # after m
    turn.note_claim({"async"}, set())  # says nothing of threads
    turn.go_on(None)
    turn.note_claim(BOTH, BOTH)
    assert not turn.may_have_more(THREADS)
    assert turn.may_have_more({"async"})


def test_who_was_not_asked_for_was_not_found(turn: Turn) -> None:
    turn.note_claim(BOTH, BOTH)
    assert turn.may_have_more({"process"})


def test_news_may_be_of_any_part(turn: Turn) -> None:
    turn.note_claim(BOTH, BOTH)
    turn.note_news()
    assert turn.may_have_more(THREADS)


def test_what_was_left_in_the_last_turn_is_looked_for_in_the_next(turn: Turn) -> None:
    turn.go_on("m")
    turn.note_claim(BOTH, set())
    turn.go_on(None)
    turn.note_claim(BOTH, BOTH)
    assert turn.may_have_more(BOTH)
    for then_after in ("m", None):
        turn.go_on(then_after)
        turn.note_claim(BOTH, BOTH)
    assert not turn.may_have_more(BOTH)
