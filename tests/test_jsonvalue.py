"""Which values are JSON to us, and in which words the others are refused."""

import json
import math
from collections import UserDict, UserList, UserString, deque
from enum import IntEnum
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from django.utils.safestring import mark_safe

from taskworks import jsonvalue
from tests.behavior import Settings


class Number(IntEnum):
    ONE = 1


class Pair(NamedTuple):
    first: int
    second: str


def decoded(value: Any) -> Any:
    return jsonvalue.decode(jsonvalue.encode(value, "value"))


def nested(levels: int) -> Any:
    value: Any = []
    for _ in range(levels - 1):
        value = {"x": value}
    return value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (1, "1"),
        (-0.0, "-0.0"),
        (1e16, "1e+16"),
        (0.1, "0.1"),
        ("a", '"a"'),
        ("ü\u2028", r'"\u00fc\u2028"'),
        ("👍", r'"\ud83d\udc4d"'),
        ([1, "a"], '[1,"a"]'),
        ({"b": 1, "a": []}, '{"b":1,"a":[]}'),
    ],
)
def test_the_text_is_short_and_ascii(value: Any, text: str) -> None:
    assert jsonvalue.encode(value, "value") == text
    assert json.loads(text) == value


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ((1, 2), [1, 2]),
        (Pair(1, "a"), [1, "a"]),
        (range(2), [0, 1]),
        (deque([1]), [1]),
        (UserList([1]), [1]),
        (UserDict(a=1), {"a": 1}),
        (MappingProxyType({"a": (1,)}), {"a": [1]}),
        (Number.ONE, 1),
        (mark_safe("a"), "a"),
        ({mark_safe("a"): 1}, {"a": 1}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_like_json_becomes_json(value: Any, plain: Any) -> None:
    assert decoded(value) == plain
    assert type(decoded(value)) is type(plain)


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63), 1.7976931348623157e308, 5e-324])
def test_the_largest_and_smallest_numbers_pass(value: Any) -> None:
    assert decoded(value) == value


@pytest.mark.parametrize(
    "value", [2**63, -(2**63) - 1, 10**5000], ids=["2**63", "-2**63-1", "10**5000"]
)
def test_numbers_beyond_64_bits_do_not(value: int) -> None:
    with pytest.raises(ValueError, match=r"^An integer of more than 64 bits at value\. "):
        jsonvalue.encode(value, "value")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_does_not(value: float) -> None:
    with pytest.raises(ValueError, match=rf"^The number {value}, which JSON does not have, at x"):
        jsonvalue.encode(value, "x")


def test_a_hundred_levels_pass_and_more_do_not() -> None:
    assert decoded(nested(100)) == nested(100)
    with pytest.raises(ValueError, match=r"^A value more than 100 levels deep at value\['x'\]"):
        jsonvalue.encode(nested(101), "value")


@pytest.mark.parametrize("value", [b"", bytearray(), memoryview(b""), set(), frozenset(), iter([])])
def test_another_type_is_named(value: Any) -> None:
    with pytest.raises(TypeError, match=rf"^Unsupported type: {type(value)} at value\. "):
        jsonvalue.encode(value, "value")


def test_a_text_that_is_a_sequence_of_texts_does_not_go_on_for_ever() -> None:
    with pytest.raises(ValueError, match="more than 100 levels deep"):
        jsonvalue.encode(UserString("a"), "value")


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (object(), "args"),
        ([1, object()], "args[1]"),
        ({"a": object()}, "args['a']"),
        ({"a": [0, {"it's": object()}]}, """args['a'][1]["it's"]"""),
        ({"a": {1: 2}}, "args['a']"),
        (["\0"], "args[0]"),
        ([["\udc80"]], "args[0][0]"),
        ([{"a": math.nan}], "args[0]['a']"),
        ([2**64], "args[0]"),
    ],
)
def test_the_place_is_told(value: Any, place: str) -> None:
    with pytest.raises((TypeError, ValueError)) as error:
        jsonvalue.encode(value, "args")
    assert f" at {place}. Arguments and return values must be JSON" in str(error.value)
    assert error.value.__suppress_context__


class TestSize:
    def test_up_to_the_limit_passes(self, settings: Settings) -> None:
        settings.TASKWORKS = {"MAX_JSON_SIZE": 5}
        assert jsonvalue.round_trip("123", "value") == "123"

    def test_above_it_is_refused_with_a_remedy(self, settings: Settings) -> None:
        settings.TASKWORKS = {"MAX_JSON_SIZE": 1234}
        with pytest.raises(
            ValueError,
            match=r"^value takes 1,235 bytes as JSON, but TASKWORKS\['MAX_JSON_SIZE'\] allows "
            r"1,234\. Store the data elsewhere, and pass its key\.$",
        ):
            jsonvalue.round_trip("x" * 1233, "value")

    def test_counts_what_is_stored(self, settings: Settings) -> None:
        settings.TASKWORKS = {"MAX_JSON_SIZE": 8}
        assert jsonvalue.round_trip("ü", "value") == "ü"
        with pytest.raises(ValueError, match="value takes 14 bytes"):
            jsonvalue.round_trip("üü", "value")


def test_lists_that_share_others_are_refused_before_they_fill_the_memory(
    settings: Settings,
) -> None:
    settings.TASKWORKS = {"MAX_JSON_SIZE": 100_000}
    value: list[Any] = []
    for _ in range(60):
        value = [value, value]
    with pytest.raises(ValueError, match=r"More values than .* bytes at args"):
        jsonvalue.round_trip(value, "args")


@pytest.mark.parametrize(("text", "value"), [(" [1] ", [1]), ("\n{}", {}), ("1", 1), ('"a"', "a")])
def test_what_others_have_written_is_read_with_the_space_around_it(text: str, value: Any) -> None:
    assert jsonvalue.decode(text) == value


@pytest.mark.parametrize("text", ["", " ", "[1] 2", "[1],[2]", "[1", "NaN", "[Infinity]", "'a'"])
def test_what_is_not_one_json_value_is_not_read(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whichever the decoder raises
        jsonvalue.decode(text)
