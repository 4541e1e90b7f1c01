"""A filter is read from texts, and nonsense is refused in sentences."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from taskworks.filtering import FilterError, parse
from taskworks.filtering.arguments import Argument
from taskworks.filtering.parsing import NAMES, as_texts
from taskworks.models import RunState

pytestmark = pytest.mark.any_database

ID = "01a1f8df-5ec6-7cde-b965-e85c13a6d376"
ALL = {
    "id": [ID],
    "state": ["failed", "cancelled"],
    "task": ["tests.tasks.noop"],
    "queue": ["mail", "default"],
    "backend": ["default"],
    "worker": ["web-1"],
    "schedule": ["every night"],
    "owner": ["7"],
    "workflow": [ID],
    "group": ["0123456789abcdef"],
    "error": ["KeyError", "'sku'"],
    "since": ["2h"],
    "until": ["90s"],
    "enqueued-since": ["2026-01-31T12:00:00+00:00"],
    "enqueued-until": ["1w"],
    "took": ["1.5s", "<5m"],
    "attempts": ["2", "<4"],
    "arg": ["order.country=CH", "amount=3"],
}
NONSENSE = {
    "id": ["x", "1", ID + "0"],
    "state": ["faild", "Failed", "ready,failed"],
    "queue": [" ", "a\nb", "x" * 200, "\0"],
    "workflow": ["x"],
    "group": ["x", "0123456789ABCDEF", "0" * 15],
    "since": ["yesterday", "2", "2x", "-2h", "2h ago", "2026-13-01", "999999999999d", "1h1", "٢h"],
    "until": ["soon", "0001-01-01", "9999-12-31", "2026-02-30T00:00"],
    "enqueued-since": ["2h, 3h"],
    "took": ["long", "<", ">5s", "<-1s"],
    "attempts": ["two", "-1", "<", "1.5", "9" * 20, "٣"],
    "arg": ["amount", "=3", ".=3", "a..b=1"],
    "error": ["x" * 1000, "\0", "\ud800"],
    "task": ["", "x" * 600, "a\tb"],
}
CASES = [(name, text) for name, texts in NONSENSE.items() for text in texts if text]


def test_every_condition_is_read_and_written_again() -> None:
    read = parse(ALL)
    assert {*ALL} == {*NAMES}
    assert as_texts(read) == ALL
    assert parse(as_texts(read)) == read
    assert read.states == (RunState.FAILED, RunState.CANCELLED)
    assert read.ids == (UUID(ID),)
    assert read.since == timedelta(hours=2)
    assert read.enqueued_since == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert (read.took_at_least, read.took_less_than) == (
        timedelta(seconds=1.5),
        timedelta(minutes=5),
    )
    assert (read.attempts_at_least, read.attempts_less_than) == (2, 4)
    assert read.arguments == (Argument("order.country", "CH"), Argument("amount", "3"))


def test_what_is_not_given_is_no_condition() -> None:
    assert parse({}).is_empty
    assert parse({"state": [], "queue": "", "since": [""]}).is_empty
    assert not parse({"state": "failed"}).is_empty
    assert str(parse({})) == "runs"


@pytest.mark.parametrize(("name", "text"), CASES, ids=[f"{n}={t[:20]!r}" for n, t in CASES])
def test_nonsense_is_refused_in_a_sentence(name: str, text: str) -> None:
    with pytest.raises(FilterError) as error:
        parse({"state": ["failed"], name: [text]})
    assert {*error.value.errors} == {name}
    sentence = error.value.errors[name]
    assert sentence.startswith(name)
    assert sentence.endswith((".", "?")) or "Choose from" in sentence
    assert len(sentence) < 400


def test_all_that_is_nonsense_is_named() -> None:
    with pytest.raises(FilterError) as error:
        parse({"state": ["faild"], "since": ["nonsense"], "colour": ["red"], "queue": ["mail"]})
    assert {*error.value.errors} == {"state", "since", "colour"}
    assert "Did you mean 'failed'?" in error.value.errors["state"]
    assert error.value.errors["since"] == (
        "since must be how long ago, such as 90s, 15m, 2h, 3d or 2w, or a date and time, such as "
        "2026-11-20T12:30, not 'nonsense'."
    )
    assert "no filter 'colour'" in error.value.errors["colour"]


@pytest.mark.parametrize(
    "texts",
    [
        {"since": "1h", "until": "2h"},
        {"since": "2026-01-02", "until": "2026-01-01"},
        {"enqueued-since": "1h", "enqueued-until": "2026-01-01"},
    ],
)
def test_times_that_nothing_is_between_are_refused(texts: dict[str, str]) -> None:
    with pytest.raises(FilterError, match="Nothing is both"):
        parse(texts)


def test_what_can_be_given_once_is_refused_twice_and_too_much_as_well() -> None:
    with pytest.raises(FilterError, match="since can be given once, not 2 times"):
        parse({"since": ["1h", "2h"]})
    with pytest.raises(FilterError, match="queue can be given at most 100 times"):
        parse({"queue": [f"q{number}" for number in range(101)]})


def test_a_date_is_the_begin_of_the_day_here() -> None:
    moment = parse({"since": "2026-07-01"}).since
    assert isinstance(moment, datetime)
    assert timezone.localtime(moment).isoformat()[:19] == "2026-07-01T00:00:00"


def test_words_say_what_is_meant() -> None:
    words = str(parse({name: ALL[name] for name in ("state", "task", "error", "since", "arg")}))
    assert words == (
        "failed or cancelled runs of tests.tasks.noop with KeyError and 'sku' in the error since "
        "2 h 0 min ago with the argument order.country=CH and amount=3"
    )


@effort(deadline=None, max_examples=50)
@given(
    st.dictionaries(st.sampled_from([*NAMES, "else"]), st.lists(st.text(max_size=30), max_size=3))
)
def test_any_text_is_read_or_refused(texts: dict[str, Any]) -> None:
    try:
        read = parse(texts)
    except FilterError as error:
        said = error.errors
    else:
        said = {"read": str(read)}
        assert parse(as_texts(read)) == read
    assert said
    assert all(said.values())
