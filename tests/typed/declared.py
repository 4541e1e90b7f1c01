"""The typed tasks of these tests."""

from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, computed_field
from pydantic.alias_generators import to_camel

from taskworks import TaskContext, task
from taskworks.typed import TypedTask, api_task
from taskworks.typed.params import (
    DateTimeParameter,
    DecimalParameter,
    DictParameter,
    FloatParameter,
    IntParameter,
    ListParameter,
    ModelParameter,
    NumberParameter,
    Parameter,
    StringParameter,
)
from tests.endpoints.models import Order, Parcel


class Sum(TypedTask):
    """Add numbers."""

    name = "sum"
    inputs = {
        "numbers": ListParameter(FloatParameter(), max_length=10),
        "start": IntParameter(default=0, min_value=0, label="Begin at", help_text="0 or more"),
    }
    outputs = {"sum": FloatParameter()}

    def run(self, numbers: list[float], start: int) -> float:
        self.set_target(len(numbers))
        for number in numbers:
            self.inc_progress()
            self.add_message(f"added {number}", level="debug")
        self.add_message({"count": len(numbers)})
        return start + sum(numbers)


class Divide(TypedTask):
    """Has an optional input, several outputs, and options of tasks."""

    queue_name = "mail"
    priority = 7
    max_attempts = 2
    timeout = 30
    inputs = {"a": IntParameter(), "b": IntParameter(), "unit": StringParameter(required=False)}
    outputs = {"quotient": IntParameter(), "rest": IntParameter(required=False)}

    def run(self, a: int, b: int, unit: str = "none") -> dict[str, Any]:
        assert unit in ("none", "m")
        return {"quotient": a // b, "rest": a % b}


class Wrong(TypedTask):
    """Returns its input, whether that fits its outputs or not."""

    inputs = {"what": Parameter(null=True)}
    outputs = {"n": IntParameter(), "also": StringParameter(required=False)}

    def run(self, what: Any) -> Any:
        return what


class Bare(TypedTask):
    """Its one output is an object."""

    inputs = {"what": DictParameter()}
    outputs = {"what": DictParameter()}

    def run(self, what: Any) -> Any:
        return what


class Nothing(TypedTask):
    def run(self) -> None:
        pass


class Endless(TypedTask):
    timeout = 0.2
    transactional = True

    def run(self) -> None:
        while True:
            self.inc_progress()


class Note(TypedTask):
    inputs = {
        "order": ModelParameter(Order.objects.exclude(note="secret")),
        "parcel": ModelParameter("endpoints.Parcel", required=False, null=True),
        "at": DateTimeParameter(),
    }
    outputs = {"order": ModelParameter(Order), "note": StringParameter()}

    def run(self, order: Order, at: datetime, parcel: Parcel | None = None) -> dict[str, Any]:
        order.note = f"{at:%Y-%m-%d} {parcel and parcel.weight}"
        order.save()
        return {"order": order, "note": order.note}


class ANote(TypedTask):
    inputs = {"order": ModelParameter(Order)}
    outputs = {"number": StringParameter()}

    async def run(self, order: Order) -> str:
        self.set_progress(3)
        return order.number


class Money(Parameter):
    """A project's own parameter, as in django-task-api."""

    def to_python(self, value: Any) -> Any:
        return Decimal(value) if isinstance(value, str) else _reject_amount(value)

    def to_json(self, value: Any) -> Any:
        return f"{value:.2f}"


def _reject_amount(value: Any) -> Any:
    raise ValueError(f"{value!r} is not money")


class Pay(TypedTask):
    inputs = {"amounts": ListParameter(Money()), "tip": Money(required=False)}
    outputs = {"total": Money()}

    def run(self, amounts: list[Decimal], tip: Decimal = Decimal(0)) -> Decimal:
        return sum(amounts, tip)


class Size(Enum):
    SMALL = "s"
    LARGE = "l"


class Shipment(BaseModel):
    model_config = ConfigDict(strict=True, alias_generator=to_camel, extra="forbid")
    sent_at: datetime
    paid: Decimal = Decimal(0)
    token: SecretStr = SecretStr("")

    @computed_field
    def is_paid(self) -> bool:
        return self.paid > 0


class Address(BaseModel):
    street: str
    number: int = Field(ge=1)


@task(typed=True)
def describe(
    name: str,
    count: int = 1,
    *,
    when: date | None = None,
    size: Size = Size.SMALL,
    kind: Literal["a", "b"] = "a",
    share: Annotated[Decimal, DecimalParameter(max_value=1)] = Decimal("0.5"),
    address: Address | None = None,
    numbers: list[int] = [1, 2],  # noqa: B006 - defaults are copied
) -> str:
    """Describe the inputs."""
    street = address.street if address else None
    return f"{name} {count + 0} {when} {size.name} {kind} {share} {street} {sum(numbers)}"


@api_task(name="ordered", throttle_scope="slow")
@task(typed=True, takes_context=True, queue_name="mail")
async def ordered(context: TaskContext, order: Order) -> list[int]:
    context.set_progress(1)
    return [order.pk]


@task(typed=True)
def ship(shipment: Shipment) -> Shipment:
    assert isinstance(shipment.paid, Decimal)
    return shipment


@task(typed=True)
def untyped_result(n: float):  # type: ignore[no-untyped-def]
    return {"n": n}


@task(typed=True)
def wrong(n: int) -> int:
    return "many"  # type: ignore[return-value]


class Whatever(TypedTask):
    """Accepts all its inputs as keyword arguments."""

    name = "any"
    inputs = {"n": NumberParameter(), "the-rest": Parameter(required=False)}
    outputs = {"got": DictParameter()}

    def run(self, **inputs: Any) -> dict[str, Any]:
        return {"got": inputs}
