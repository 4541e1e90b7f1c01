"""A run gets the value that was accepted, or it is refused by name; outputs are what they say."""

import re
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasGenerator,
    BaseModel,
    ConfigDict,
    Field,
    Json,
    PlainSerializer,
    PrivateAttr,
    RootModel,
    Secret,
    SecretBytes,
    SecretStr,
    computed_field,
    field_serializer,
    field_validator,
)
from pydantic.alias_generators import to_camel
from typing_extensions import TypedDict

from taskworks import jsonvalue
from taskworks.exceptions import InvalidInputs, InvalidOutputs
from taskworks.parameters import Fields, Parameter
from taskworks.parameters.annotations import parameter_of
from taskworks.typed.params import IntParameter, ListParameter, StringParameter

pytestmark = pytest.mark.any_database


class Color(Enum):
    RED = "r"
    PAIR = (1, 2)


class Level(IntEnum):
    LOW = 1


class Aliased(BaseModel):
    number: int = Field(1, alias="theNumber")
    other: str = Field("", alias="number")


class Camel(BaseModel):
    model_config = ConfigDict(alias_generator=AliasGenerator(alias=to_camel), extra="forbid")
    first_name: str = ""
    last_name: str | None = None


class ByEitherName(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    number: int = Field(1, validation_alias="n")


class OtherAliases(BaseModel):
    number: int = Field(1, validation_alias=AliasChoices("n", "num"))


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    at: datetime
    key: UUID
    price: Decimal
    day: date
    clock: time
    long: timedelta
    names: tuple[str, ...] = ()
    kinds: set[Literal["a", "b"]] = set()
    by_number: dict[int, str] = {}
    raw: bytes = b""


class Area(BaseModel):
    model_config = ConfigDict(extra="forbid")
    side: int

    @computed_field
    def area(self) -> int:
        return self.side**2


class InJson(BaseModel):
    numbers: Json[list[int]]


class Hidden(BaseModel):
    shown: int
    hidden: int = Field(7, exclude=True)


class Rounded(BaseModel):
    share: float

    @field_serializer("share")
    def _rounded(self, share: float):  # type: ignore[no-untyped-def]
        return f"{share:.1f}"


class Shouting(BaseModel):
    text: str

    @field_validator("text")
    @classmethod
    def _louder(cls, text: str) -> str:
        return f"{text}!"


class Account(BaseModel):
    name: str
    tokens: list[SecretStr] = []
    key: SecretBytes = SecretBytes(b"")
    code: Secret[int] | None = None


class WithPrivate(BaseModel):
    name: str
    _seen: object = PrivateAttr(default_factory=object)


class WithNumbers(BaseModel):
    """Its own config writes NaN as null."""

    share: float | None = None


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    n: int


class Base(BaseModel):
    n: int


class Derived(Base):
    more: str


class Numbers(RootModel[list[int]]):
    pass


class Bag(TypedDict, total=False):
    at: datetime
    n: int


class Point(NamedTuple):
    x: int
    y: Decimal


@dataclass
class Box:
    width: Decimal
    inside: list["Box"] = field(default_factory=list)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=3),
    lambda items: st.lists(items, max_size=2) | st.dictionaries(st.text(max_size=2), items),
    max_leaves=4,
)
ZONES = st.sampled_from([UTC, ZoneInfo("Europe/Berlin"), None])
# Not in an hour that comes twice: such a moment equals none of another zone (PEP 495).
MOMENTS = st.datetimes(timezones=ZONES, allow_imaginary=False).filter(
    lambda moment: moment.utcoffset() == moment.replace(fold=1 - moment.fold).utcoffset()
)
NUMBERS = st.decimals(allow_nan=False, allow_infinity=False)
TEXTS = st.text()
FLOATS = st.floats()
INTS = st.integers(-(2**65), 2**65)
BOXES = st.builds(Box, NUMBERS, st.lists(st.builds(Box, NUMBERS), max_size=2))
STRICT = st.builds(
    Strict,
    at=MOMENTS,
    key=st.uuids(),
    price=NUMBERS,
    day=st.dates(),
    clock=st.times(),
    long=st.timedeltas(),
    names=st.lists(TEXTS, max_size=2).map(tuple),
    kinds=st.sets(st.sampled_from(["a", "b"])),
    by_number=st.dictionaries(INTS, TEXTS, max_size=2),
    raw=st.binary(max_size=3),
)

# Annotations, and the values that Python code may give.
ZOO: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "aliases": (Aliased, st.builds(lambda n, o: Aliased(theNumber=n, number=o), INTS, TEXTS)),
    "camel": (list[Camel], st.lists(st.builds(lambda n: Camel(firstName=n), TEXTS), max_size=2)),
    "either name": (ByEitherName, st.builds(ByEitherName, number=INTS)),
    "other aliases": (OtherAliases, st.builds(lambda n: OtherAliases(num=n), INTS)),
    "strict": (Strict, STRICT),
    "strict or none": (list[Strict | None], st.lists(st.none() | STRICT, max_size=2)),
    "computed": (Area, st.builds(Area, side=INTS)),
    "json": (InJson, st.lists(INTS).map(lambda n: InJson(numbers=str(n)))),
    "hidden": (Hidden, st.builds(Hidden, shown=INTS, hidden=st.integers(6, 8))),
    "rounded": (Rounded, st.builds(Rounded, share=FLOATS)),
    "shouting": (Shouting, st.builds(Shouting, text=TEXTS)),
    "secrets": (Account, st.builds(Account, name=TEXTS, tokens=st.lists(TEXTS.map(SecretStr)))),
    "nan": (WithNumbers, st.builds(WithNumbers, share=FLOATS)),
    "extra": (Open, st.builds(lambda n, x: Open(n=n, x=x), INTS, ANY_JSON | MOMENTS)),
    "derived": (Base, st.builds(Derived, n=INTS, more=TEXTS) | st.builds(Base, n=INTS)),
    "root": (Numbers, st.lists(INTS).map(Numbers)),
    "typed dict": (Bag, st.fixed_dictionaries({}, optional={"at": MOMENTS, "n": INTS})),
    "named tuple": (Point, st.builds(Point, INTS, NUMBERS)),
    "dataclass": (Box, BOXES),
    "bytes": (bytes, st.binary(max_size=3)),
    "tuple keys": (
        dict[tuple[int, int], int],
        st.dictionaries(st.tuples(INTS, INTS), INTS, max_size=2),
    ),
    "date keys": (dict[date, int], st.dictionaries(st.dates(), INTS, max_size=2)),
    "any": (dict[str, Any], st.dictionaries(TEXTS, ANY_JSON | MOMENTS | BOXES, max_size=2)),
    "union": (
        UUID | datetime | int | str | list[int],
        st.uuids() | MOMENTS | INTS | TEXTS | st.lists(INTS, max_size=2),
    ),
    "enum": (Color | str, st.sampled_from([*Color, "r", "x"])),
    "sets": (set[Decimal], st.sets(NUMBERS, max_size=3)),
    "frozen": (frozenset[tuple[int, str]], st.frozensets(st.tuples(INTS, TEXTS), max_size=2)),
    "paths": (deque[Path], st.lists(TEXTS.map(Path), max_size=2).map(deque)),
    "durations": (tuple[timedelta, ...], st.lists(st.timedeltas(), max_size=2).map(tuple)),
    "moments": (datetime, MOMENTS),
    "times": (time, st.times()),
    "decimals": (Decimal, NUMBERS),
    "floats": (float, FLOATS),
    "address": (IPv4Address, st.ip_addresses(v=4)),
    "numbers": (int | float, INTS | FLOATS),
}


def fields(annotation: Any, kind: Any = "inputs") -> Fields:
    parameter = annotation if isinstance(annotation, Parameter) else parameter_of(annotation)
    return Fields({"x": parameter}, kind)


def passed_on(annotation: Any, value: Any) -> Any:
    """Return what a run gets that is enqueued with this value."""
    inputs = fields(annotation)
    stored = jsonvalue.decode(jsonvalue.encode(inputs.encoded({"x": value}), "inputs"))
    return inputs.validate(stored)["x"]


def refusal(annotation: Any, value: Any) -> str:
    with pytest.raises(InvalidInputs) as caught:
        fields(annotation).encoded({"x": value})
    [sentence] = caught.value.errors["x"]
    return str(sentence)


@pytest.mark.parametrize("name", ZOO)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_a_run_gets_what_was_accepted_or_it_is_refused_by_name(name: str, data: Any) -> None:
    annotation, values = ZOO[name]
    value = data.draw(values)
    try:
        accepted = fields(annotation).validate({"x": value})["x"]
        got = passed_on(annotation, value)
    except InvalidInputs as error:
        names = [*error.errors]
    else:
        if isinstance(accepted, datetime) and accepted.tzinfo:  # its hour may come twice
            accepted, got = accepted.astimezone(UTC), got.astimezone(UTC)
        assert got == accepted
        return
    assert names == ["x"]


ALWAYS_ACCEPTED: list[tuple[Any, Any]] = [
    (Aliased, Aliased(theNumber=5, number="x")),
    (list[Camel], [Camel(firstName="Ada")]),
    (ByEitherName, ByEitherName(n=3)),
    (
        Strict,
        Strict(
            at=datetime(2026, 1, 2, tzinfo=UTC),
            key=UUID(int=5),
            price=Decimal("0.10"),
            day=date(2026, 1, 2),
            clock=time(1, 2),
            long=timedelta(hours=1),
            names=("a",),
            kinds={"a"},
            by_number={1: "a"},
            raw=b"a",
        ),
    ),
    (Area, Area(side=3)),
    (InJson, InJson(numbers="[1, 2]")),
    (Hidden, Hidden(shown=1)),
    (Rounded, Rounded(share=0.5)),
    (Account, Account(name="a")),
    (WithPrivate, WithPrivate(name="a")),
    (Box, Box(Decimal(1), [Box(Decimal("0.1"))])),
    (dict[date, int], {date(2026, 1, 2): 1}),
    (dict[str, Any], OrderedDict({"a": 1, "level": Level.LOW})),
    (set[Decimal], {Decimal(1)}),
    (Color, Color.RED),
    (datetime, datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin"))),
    (ListParameter(StringParameter()), ["a"]),
]


@pytest.mark.parametrize(("annotation", "value"), ALWAYS_ACCEPTED)
def test_what_can_be_read_back_is_accepted(annotation: Any, value: Any) -> None:
    got = passed_on(annotation, value)
    if not isinstance(value, datetime | WithPrivate):
        assert got == value


def test_in_untyped_data_a_tuple_becomes_a_list_as_in_every_task() -> None:
    for annotation in (dict[str, Any], dict, list[Any], Any):
        value = [(1,)] if annotation == list[Any] else {"a": (1,)}
        assert passed_on(annotation, value) == ([[1]] if annotation == list[Any] else {"a": [1]})


def test_a_generator_is_passed_on() -> None:
    assert [*passed_on(Iterable[int], (n for n in (1, 2)))] == [1, 2]


REFUSED: list[tuple[Any, Any, str]] = [
    (SecretStr, "hunter2", "A secret is not stored with a run. Store it elsewhere, and pass a ref"),
    (Account, {"name": "a", "tokens": ["b"]}, "['tokens'][0]: A secret is not stored"),
    (Account, Account(name="a", code=Secret(5)), "['code']: A secret is not stored"),
    (
        Annotated[SecretStr, Field(max_length=7)],
        "hunter2",
        "A secret is not stored",
    ),
    (OtherAliases, {"num": 5}, "['number']: The run would get 1 instead of this value. Change its"),
    (Hidden, {"shown": 1, "hidden": 2}, "['hidden']: The run would get 7 instead"),
    (Rounded, {"share": 0.25}, "['share']: The run would get 0.2 instead"),
    (Shouting, {"text": "a"}, "['text']: The run would get 'a!!' instead"),
    (Base, Derived(n=1, more="a"), "The run would get Base(n=1) instead"),
    (bytes, b"\xff", "invalid utf-8"),
    (dict[tuple[int, int], int], {(1, 2): 3}, "The run could not read this value back"),
    (dict[str, Any], {"at": date(2026, 1, 2)}, "['at']: The run would get '2026-01-02' instead"),
    (dict[str, Any], {"all": {1}}, "['all']: The run would get [1] instead"),
    (Annotated[int, AfterValidator(lambda n: n + 1)], 1, "The run would get 3 instead"),
    (Annotated[int, PlainSerializer(lambda n: "many")], 1, "The run could not read this value"),
    (UUID | str, UUID(int=1), "The run would get '00000000-0000-0000-0000-000000000001' instead"),
    (Color, Color.PAIR, "The run could not read this value back"),
    (WithNumbers, {"share": float("nan")}, "nan"),
]


@pytest.mark.parametrize(("annotation", "value", "reason"), REFUSED)
def test_what_cannot_be_read_back_is_refused(annotation: Any, value: Any, reason: str) -> None:
    sentence = refusal(annotation, value)
    assert reason in sentence
    assert "hunter2" not in sentence


def test_a_value_that_was_changed_after_its_validation_is_refused() -> None:
    changed = Base(n=1)
    changed.n = "many"  # type: ignore[assignment]
    assert "['n']" in refusal(Base, changed)


class Cents(Parameter):
    """A project's own, which loses what is less than a cent."""

    def to_python(self, value: Any) -> Any:
        return Decimal(value)

    def to_json(self, value: Any) -> Any:
        return f"{value:.2f}"


class Plain:
    """Equal to nothing but itself."""

    def __init__(self, text: str) -> None:
        self.text = text


class Plains(Parameter):
    def to_python(self, value: Any) -> Any:
        return value if isinstance(value, Plain) else Plain(value)

    def to_json(self, value: Any) -> Any:
        return value.text[:3]


@pytest.mark.parametrize(
    ("own", "kept", "lost"), [(Cents(), "1.50", "1.555"), (Plains(), "a", "abcd")]
)
def test_a_parameter_of_a_project_is_held_to_it(own: Parameter, kept: Any, lost: Any) -> None:
    passed_on(own, kept)
    passed_on(ListParameter(own), [kept])
    assert "The run would get" in refusal(own, lost)
    assert "[0]" in refusal(ListParameter(own), [lost])


def test_a_strict_model_is_given_as_json_too() -> None:
    class Event(BaseModel):
        model_config = ConfigDict(strict=True)
        at: datetime
        key: UUID
        n: int = 0

    given = {"at": "2026-01-02T00:00:00Z", "key": str(UUID(int=5))}
    event = Event(at=datetime(2026, 1, 2, tzinfo=UTC), key=UUID(int=5))
    assert passed_on(Event, given) == event
    assert passed_on(list[Event], [given]) == passed_on(list[Event], [event]) == [event]
    assert refusal(Event, {**given, "n": "5"}) == "['n']: Input should be a valid integer."


def test_a_default_is_held_to_it() -> None:
    token = parameter_of(SecretStr)
    token.required, token.default = False, SecretStr("hunter2")
    with pytest.raises(InvalidInputs, match="token: A secret is not stored"):
        Fields({"token": token}).encoded({})


def test_a_row_is_not_read_twice_to_be_enqueued() -> None:
    reads = []

    class Row(IntParameter):
        reads_database = True

        def to_python(self, value: Any) -> Any:
            reads.append(value)
            return value

    Fields({"row": Row()}).encoded({"row": 5})
    assert reads == [5]


# Outputs.


class Result(BaseModel):
    number: int = Field(alias="theNumber")
    kind: Level = Level.LOW
    text: str = ""

    @computed_field
    def double(self) -> int:
        return self.number * 2


class Written(BaseModel):
    number: int
    total: Decimal = Decimal(1)

    @field_serializer("number")
    def _in_words(self, number: int):  # type: ignore[no-untyped-def]
        return f"{number} pieces"

    @field_serializer("total")
    def _as_float(self, total: Decimal) -> float:
        return float(total)


OUTPUTS: list[tuple[Any, Any, Any]] = [
    (Result, Result(theNumber=1), {"theNumber": 1, "kind": 1, "text": "", "double": 2}),
    (list[Result], [{"theNumber": 1}], [{"theNumber": 1, "kind": 1, "text": "", "double": 2}]),
    (Written, Written(number=3), {"number": "3 pieces", "total": 1.0}),
    (Hidden, Hidden(shown=1), {"shown": 1}),
    (InJson, InJson(numbers="[1]"), {"numbers": [1]}),
    (Camel, Camel(firstName="Ada"), {"firstName": "Ada", "lastName": None}),
    (Account, Account(name="a", tokens=["b"]), None),  # type: ignore[list-item]
    (Base, Derived(n=1, more="a"), {"n": 1}),
    (Sequence[int], (1, 2), [1, 2]),
    (Path, Path("a"), "a"),
    (IPv4Address, IPv4Address("1.2.3.4"), "1.2.3.4"),
    (bytes, b"a", "a"),
]


@pytest.mark.parametrize(("annotation", "value", "answer"), OUTPUTS)
def test_an_output_is_what_its_schema_says(annotation: Any, value: Any, answer: Any) -> None:
    outputs = fields(annotation, "outputs")
    shown = outputs.encoded({"x": value})
    assert answer is None or shown == {"x": answer}
    jsonschema.Draft202012Validator(outputs.json_schema()).validate(shown)


@pytest.mark.parametrize("name", ZOO)
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_any_output_is_what_its_schema_says(name: str, data: Any) -> None:
    annotation, values = ZOO[name]
    outputs = fields(annotation, "outputs")
    try:
        shown = outputs.encoded({"x": data.draw(values)})
    except InvalidOutputs:
        return
    jsonschema.Draft202012Validator(outputs.json_schema()).validate(shown)


def test_an_output_that_is_not_what_it_says_is_refused() -> None:
    result = Result(theNumber=1)
    result.text = 5  # type: ignore[assignment]
    with pytest.raises(InvalidOutputs, match=re.escape("x: ")):
        fields(Result, "outputs").encoded({"x": result})


def test_a_schema_still_knows_what_pydantic_writes() -> None:
    schemas = {
        Sequence[int]: {"type": "array", "items": {"type": "integer"}},
        Path: {"type": "string", "format": "path"},
        IPv4Address: {"type": "string", "format": "ipv4"},
    }
    for annotation, expected in schemas.items():
        schema = fields(annotation, "outputs").json_schema()["properties"]["x"]
        assert {**schema, **expected} == schema
