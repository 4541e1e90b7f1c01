"""Parameters: from JSON to Python and back, and what they refuse."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any
from uuid import UUID

import pytest
from django.db import models
from django.utils import timezone

from taskworks.exceptions import InvalidInputs, InvalidOutputs, InvalidTask
from taskworks.parameters import Fields, Parameter
from taskworks.typed.params import (
    BooleanParameter,
    ChoiceParameter,
    DateParameter,
    DateTimeParameter,
    DecimalParameter,
    DictParameter,
    DurationParameter,
    EmailParameter,
    EnumParameter,
    FloatParameter,
    IntParameter,
    JSONParameter,
    ListParameter,
    NumberParameter,
    ParameterNotValidError,
    StringParameter,
    TimeParameter,
    URLParameter,
    UUIDParameter,
)


class Color(Enum):
    RED = "r"
    BLUE = "b"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Suit(models.TextChoices):
    HEARTS = "h", "Hearts"
    SPADES = "s", "Spades"


BERLIN_NOON = datetime(2026, 1, 2, 11, 0, tzinfo=UTC)
KEY = UUID("12345678-1234-5678-1234-567812345678")

GOOD: list[tuple[Parameter, Any, Any]] = [
    # parameter, JSON, Python
    (StringParameter(), "abc", "abc"),
    (StringParameter(), "", ""),
    (StringParameter(), 5, "5"),
    (StringParameter(), 5.5, "5.5"),
    (StringParameter(max_length=3, min_length=3, pattern="^[a-c]+$"), "abc", "abc"),
    (IntParameter(), "6", 6),
    (IntParameter(), 6, 6),
    (IntParameter(), 6.0, 6),
    (IntParameter(), "-6", -6),
    (IntParameter(min_value=1, max_value=3), 3, 3),
    (FloatParameter(), "5.3", 5.3),
    (FloatParameter(), 5, 5.0),
    (NumberParameter(), 5, 5),
    (NumberParameter(), 5.0, 5.0),
    (NumberParameter(), 5.3, 5.3),
    (NumberParameter(), "5", 5),
    (NumberParameter(), "5.3", 5.3),
    (NumberParameter(), 2**62 + 1, 2**62 + 1),
    (BooleanParameter(), True, True),
    (BooleanParameter(), 0, False),
    (BooleanParameter(), 1, True),
    (BooleanParameter(), "TRUE", True),
    (BooleanParameter(), "false", False),
    (ListParameter(IntParameter()), ["1", 2], [1, 2]),
    (ListParameter(StringParameter()), "abc", ["abc"]),
    (ListParameter(IntParameter()), 0, [0]),
    (ListParameter(DictParameter()), {"a": 1}, [{"a": 1}]),
    (ListParameter(ListParameter(IntParameter(null=True))), [[1, None], []], [[1, None], []]),
    (ListParameter(NumberParameter(), max_length=2), [1, "2.5"], [1, 2.5]),
    (DictParameter(), {"a": [1]}, {"a": [1]}),
    (DictParameter(), [1, {}], [1, {}]),
    (JSONParameter(), "x", "x"),
    (JSONParameter(null=True), None, None),
    (DateParameter(), "2026-01-02", date(2026, 1, 2)),
    (DateTimeParameter(), "2026-01-02T12:00:00+01:00", BERLIN_NOON),
    (DateTimeParameter(), "2026-01-02T12:00:00", BERLIN_NOON),
    (TimeParameter(), "12:30", time(12, 30)),
    (DurationParameter(), "PT1H30M", timedelta(minutes=90)),
    (DurationParameter(), 90, timedelta(seconds=90)),
    (DurationParameter(), "01:30:00", timedelta(minutes=90)),
    (DecimalParameter(), "0.10", Decimal("0.10")),
    (DecimalParameter(), 1.5, Decimal("1.5")),
    (DecimalParameter(max_digits=4, decimal_places=2), "10.25", Decimal("10.25")),
    (UUIDParameter(), str(KEY), KEY),
    (EmailParameter(), "ada@example.com", "ada@example.com"),
    (URLParameter(), "https://example.com", "https://example.com"),
    (ChoiceParameter(["a", "b"]), "b", "b"),
    (ChoiceParameter([(1, "one"), (2, "two")]), 2, 2),
    (ChoiceParameter(Suit), "h", "h"),
    (EnumParameter(Color), "r", Color.RED),
    (EnumParameter(Level), 2, Level.HIGH),
    (Parameter(), [None], [None]),
    (IntParameter(null=True), None, None),
]


@pytest.mark.parametrize(("parameter", "given", "value"), GOOD, ids=repr)
def test_a_value_is_converted_and_comes_back(parameter: Parameter, given: Any, value: Any) -> None:
    python = parameter.validated(given)
    assert (python, type(python)) == (value, type(value))
    plain = parameter.encoded(python)
    assert parameter.validated(plain) == value
    assert parameter.validated(value) == value  # as Python code gives it
    assert Fields({"x": parameter}).encoded({"x": given}) == {"x": plain}


def test_what_is_stored_is_canonical() -> None:
    stored = {
        "2026-01-02T12:00:00+01:00": DateTimeParameter(),
        "PT1H30M": DurationParameter(),
        "0.10": DecimalParameter(),
        str(KEY): UUIDParameter(),
        "2026-01-02": DateParameter(),
        "12:30:00": TimeParameter(),
    }
    for text, parameter in stored.items():
        assert parameter.encoded(parameter.validated(text)) == text
    assert EnumParameter(Level).encoded(Level.LOW) == 1


HUGE = "9" * 5000
BAD: list[tuple[Parameter, Any]] = [
    *((StringParameter(), value) for value in [None, [], {}, True]),
    (StringParameter(max_length=3), "abcd"),
    (StringParameter(min_length=1), ""),
    (StringParameter(pattern="^[a-c]+$"), "x"),
    *(
        (kind(), value)
        for kind in (IntParameter, FloatParameter, NumberParameter, DecimalParameter)
        for value in ["not a number", "", None, [], {}, True, "nan", "inf", "-Infinity"]
    ),
    *(
        (kind(), value)
        for kind in (IntParameter, FloatParameter, NumberParameter, DecimalParameter)
        for value in [float("nan"), float("inf")]
    ),
    (IntParameter(), 5.9),
    (IntParameter(), "5.9"),
    (IntParameter(), HUGE),
    (FloatParameter(), HUGE),
    (FloatParameter(), 10**400),
    (NumberParameter(), 10**400),
    (IntParameter(min_value=1), 0),
    (IntParameter(max_value=1), 2),
    (NumberParameter(min_value=1), "0.5"),
    *((BooleanParameter(), value) for value in ["maybe", 2, None, [], {}, ""]),
    (ListParameter(IntParameter()), None),
    (ListParameter(IntParameter()), "x"),
    (ListParameter(IntParameter(), min_length=1), []),
    (ListParameter(IntParameter(), max_length=1), [1, 2]),
    (ListParameter(IntParameter()), [None]),
    *((DictParameter(), value) for value in [5, "x", None, True]),
    (JSONParameter(), None),
    *((DateParameter(), value) for value in ["2026-02-30", "May", 5, "5", None, True, [], "inf"]),
    *((DateTimeParameter(), value) for value in ["2026-02-30T1:00", 5, "1e9", None, True, {}]),
    *((TimeParameter(), value) for value in ["25:00", 5, "5", None, True]),
    *(
        (DurationParameter(), value)
        for value in ["soon", None, True, "inf", float("inf"), float("nan"), 1e300]
    ),
    (DecimalParameter(max_digits=3), "1234"),
    (DecimalParameter(decimal_places=1), "0.25"),
    (DecimalParameter(min_value=1), "0.25"),
    *((UUIDParameter(), value) for value in ["x", 5, None, True, "\0"]),
    *((EmailParameter(), value) for value in ["ada", "a@b", "", None, 5]),
    (EmailParameter(max_length=5), "ada@example.com"),
    *((URLParameter(), value) for value in ["example", "javascript:alert(1)", "", None, 5]),
    *((ChoiceParameter([1, "a"]), value) for value in ["b", 2, None, [], {}, "\0", True]),
    *((EnumParameter(Color), value) for value in ["RED", "x", None, [], 1, {}]),
    (EnumParameter(Level), True),
]


@pytest.mark.parametrize(("parameter", "given"), BAD, ids=lambda value: repr(value)[:60])
def test_what_does_not_fit_is_refused_with_a_sentence(parameter: Parameter, given: Any) -> None:
    with pytest.raises(ParameterNotValidError) as caught:
        parameter.validated(given)
    assert caught.value.errors
    assert all(error.endswith(".") for error in caught.value.errors), caught.value.errors
    with pytest.raises(InvalidInputs):
        Fields({"x": parameter}).encoded({"x": given})


def test_the_place_inside_of_a_list_is_named() -> None:
    with pytest.raises(ParameterNotValidError) as caught:
        ListParameter(ListParameter(IntParameter())).validated([[1], ["x", 2, 1.5]])
    assert [error.partition(":")[0] for error in caught.value.errors] == ["[1][0]", "[1][2]"]


def test_of_many_errors_some_are_told() -> None:
    with pytest.raises(ParameterNotValidError) as caught:
        ListParameter(IntParameter()).validated(["x"] * 100_000)
    assert len(caught.value.errors) == 10
    with pytest.raises(InvalidInputs) as refused:
        Fields({"a": IntParameter()}).validate(dict.fromkeys(map(str, range(100_000))))
    assert len(refused.value.errors) == 21


def test_what_is_told_of_a_long_value_is_short() -> None:
    with pytest.raises(InvalidInputs) as caught:
        Fields({"a": EnumParameter(Color)}).validate({"a": "x" * 1_000_000, "b" * 1_000_000: 1})
    assert all(len(sentence) <= 510 for [sentence] in caught.value.errors.values())


def test_a_datetime_without_a_zone_is_in_the_current_one() -> None:
    with timezone.override("America/New_York"):
        at = DateTimeParameter().validated("2026-01-02T06:00:00")
    assert at == BERLIN_NOON


# Sets of them.


@pytest.mark.parametrize("data", [None, [], "x", 5, [("a", 1)]], ids=repr)
def test_data_that_is_no_object_is_refused(data: Any) -> None:
    with pytest.raises(InvalidInputs) as caught:
        Fields({"a": IntParameter(required=False)}).validate(data)
    assert [*caught.value.errors] == ["inputs"]
    with pytest.raises(InvalidOutputs):
        Fields({}, "outputs").validate(data)


def test_all_errors_come_at_once() -> None:
    fields = Fields({"a": IntParameter(), "b": IntParameter(), "c": IntParameter(required=False)})
    with pytest.raises(InvalidInputs) as caught:
        fields.validate({"a": "x", "d": 1})
    assert {**caught.value.errors} == {
        "a": ["Input should be a valid integer, unable to parse string as an integer."],
        "b": ["This input is required."],
        "d": ["There is no such input. Choose from: a, b, c."],
    }
    assert str(caught.value).startswith("d: There is no such input.")


def test_one_left_out_is_absent_or_its_default() -> None:
    fields = Fields(
        {
            "absent": IntParameter(required=False),
            "number": IntParameter(default="5"),
            "items": ListParameter(IntParameter(), default=[]),
            "made": ListParameter(IntParameter(), default=list),
            "nothing": IntParameter(default=None, null=True),
        }
    )
    values = fields.validate({})
    assert values == {"number": 5, "items": [], "made": [], "nothing": None}
    values["items"].append(1)
    assert fields.validate({})["items"] == []


def test_null_is_a_value_of_its_own() -> None:
    with pytest.raises(InvalidInputs):
        Fields({"a": IntParameter(required=False)}).validate({"a": None})
    assert Fields({"a": IntParameter(null=True)}).validate({"a": None}) == {"a": None}
    with pytest.raises(InvalidInputs):
        Fields({"a": IntParameter(null=True)}).validate({})


@pytest.mark.parametrize(
    "make",
    [
        lambda: IntParameter(True, default=1),
        lambda: Fields({"a": IntParameter(default="x")}),
        lambda: Fields({"a": IntParameter(default=None)}),
        lambda: Fields({"a": int}),  # type: ignore[dict-item]
        lambda: Fields({"a": IntParameter}),  # type: ignore[dict-item]
        lambda: Fields({"": IntParameter()}),
        lambda: Fields({5: IntParameter()}),  # type: ignore[dict-item]
        lambda: ListParameter(int),  # type: ignore[arg-type]
        lambda: ChoiceParameter([]),
    ],
)
def test_what_cannot_be_declared_is_refused(make: Any) -> None:
    with pytest.raises(InvalidTask):
        make()


def test_an_option_that_there_is_not_is_refused() -> None:
    with pytest.raises(TypeError):
        IntParameter(max_length=5)  # type: ignore[call-arg]


# Schemas.

SCHEMAS: list[tuple[Parameter, dict[str, Any]]] = [
    (Parameter(), {}),
    (
        StringParameter(max_length=5, pattern="^a"),
        {"type": "string", "maxLength": 5, "pattern": "^a"},
    ),
    (IntParameter(min_value=1, max_value=2), {"type": "integer", "minimum": 1, "maximum": 2}),
    (FloatParameter(min_value=0), {"type": "number", "minimum": 0}),
    (NumberParameter(max_value=3), {"type": "number", "maximum": 3}),
    (BooleanParameter(), {"type": "boolean"}),
    (
        ListParameter(IntParameter(min_value=1), max_length=3),
        {"type": "array", "items": {"type": "integer", "minimum": 1}, "maxItems": 3},
    ),
    (DictParameter(), {"type": ["object", "array"]}),
    (JSONParameter(), {"type": ["object", "array", "string", "number", "boolean"]}),
    (DictParameter(null=True), {"type": ["object", "array", "null"]}),
    (
        ListParameter(JSONParameter(null=True)),
        {
            "type": "array",
            "items": {"type": ["object", "array", "string", "number", "boolean", "null"]},
        },
    ),
    (DateParameter(), {"type": "string", "format": "date"}),
    (DateTimeParameter(), {"type": "string", "format": "date-time"}),
    (TimeParameter(), {"type": "string", "format": "time"}),
    (DurationParameter(), {"type": "string", "format": "duration"}),
    (DecimalParameter(min_value=1), {"type": "string", "format": "decimal", "minimum": 1.0}),
    (UUIDParameter(), {"type": "string", "format": "uuid"}),
    (EmailParameter(max_length=50), {"type": "string", "format": "email", "maxLength": 50}),
    (URLParameter(), {"type": "string", "format": "uri"}),
    (ChoiceParameter([1, 2]), {"type": "integer", "enum": [1, 2]}),
    (
        ChoiceParameter(Suit),
        {"type": "string", "enum": ["h", "s"], "x-labels": {"h": "Hearts", "s": "Spades"}},
    ),
    (EnumParameter(Color), {"type": "string", "enum": ["r", "b"]}),
    (IntParameter(null=True), {"type": ["integer", "null"]}),
    (EnumParameter(Level, null=True), {"type": ["integer", "null"], "enum": [1, 2, None]}),
]


@pytest.mark.parametrize("kind", ["inputs", "outputs"])
@pytest.mark.parametrize(("parameter", "schema"), SCHEMAS, ids=repr)
def test_a_schema_says_what_fits(parameter: Parameter, schema: dict[str, Any], kind: Any) -> None:
    assert Fields({"my_x": parameter}, kind).json_schema() == {
        "type": "object",
        "properties": {"my_x": {**schema, "title": "My x"}},
        "required": ["my_x"],
        "additionalProperties": False,
    }


def test_a_schema_says_what_a_person_wants_to_know() -> None:
    fields = Fields(
        {
            "count": IntParameter(default="5", label="How many", help_text="At a time"),
            "when": DateParameter(default=date(2026, 1, 2)),
            "later": DateParameter(default=date.today),
        }
    )
    assert fields.json_schema() == {
        "type": "object",
        "properties": {
            "count": {
                "type": "integer",
                "title": "How many",
                "description": "At a time",
                "default": 5,
            },
            "when": {"type": "string", "format": "date", "title": "When", "default": "2026-01-02"},
            "later": {"type": "string", "format": "date", "title": "Later"},
        },
        "additionalProperties": False,
    }
