"""What is typed into the search of runs, and what is made of it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from taskworks.dashboard.runs.search_text import BadSearch, as_typed, texts_of

pytestmark = pytest.mark.any_database

ID = "01a1f8df-5ec6-7cde-b965-e85c13a6d376"


@pytest.mark.parametrize(
    ("typed", "texts"),
    [
        ("", {}),
        ("state:failed state:cancelled", {"state": ["failed", "cancelled"]}),
        ("task:shop.tasks.pay queue:mail", {"task": ["shop.tasks.pay"], "queue": ["mail"]}),
        ('error~"connection reset" took>30s', {"error": ["connection reset"], "took": ["30s"]}),
        ("took<5m attempts>=2", {"took": ["<5m"], "attempts": ["2"]}),
        ('arg.order.lines.0="a b"', {"arg": ["order.lines.0=a b"]}),
        ('arg.x={"a":1}', {"arg": ['x={"a":1}']}),
        ('worker:"a \\"b\\" \\\\"', {"worker": ['a "b" \\']}),
        (ID, {"id": [ID]}),
        ("shop.tasks.pay", {"task": ["shop.tasks.pay"]}),
        ('Timeout "shop.tasks.pay"', {"error": ["Timeout", "shop.tasks.pay"]}),
        ("since:2026-11-20T12:30", {"since": ["2026-11-20T12:30"]}),
        ("enqueued-since:2h", {"enqueued-since": ["2h"]}),
    ],
)
def test_what_is_typed(typed: str, texts: dict[str, list[str]]) -> None:
    assert texts_of(typed) == texts
    assert texts_of(as_typed(texts)) == texts


@pytest.mark.parametrize("typed", ['error~"open', "x" * 2001, "a " * 51, 'a"b" "c', '""'])
def test_what_cannot_be_read(typed: str) -> None:
    with pytest.raises(BadSearch, match=r"\.$"):
        texts_of(typed)


@pytest.mark.parametrize("typed", ["state:", "state:failed error~", 'task:""', "took> attempts>2"])
def test_a_condition_without_a_value_is_refused(typed: str) -> None:
    """Without it, more runs would match than were meant, and perhaps be deleted."""
    with pytest.raises(BadSearch, match="A value is missing in '"):
        texts_of(typed)


@settings(max_examples=60)
@given(some.text(max_size=200))
def test_any_text_is_read_or_refused_in_a_sentence(typed: str) -> None:
    try:
        texts = texts_of(typed)
    except BadSearch as error:
        texts = {"said": [str(error)]}
    assert all(isinstance(text, str) for some_ in texts.values() for text in some_)


NAMES = some.sampled_from(["state", "task", "error", "queue", "id"])
VALUES = some.text(min_size=1, max_size=40)


@settings(max_examples=60)
@given(some.dictionaries(NAMES, some.lists(VALUES, min_size=1, max_size=3)))
def test_what_is_written_is_read_back(texts: dict[str, list[str]]) -> None:
    assert texts_of(as_typed(texts)) == texts
