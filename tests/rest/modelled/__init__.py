"""Offered tasks that share models, and what all a schema may say."""

from enum import Enum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, computed_field

from taskworks import task
from taskworks.typed import TypedTask, params
from tests.rest.modelled import elsewhere


class Item(BaseModel):
    """What is ordered; a model inside another."""

    number: int = Field(gt=0, lt=1000)
    note: str | None = None


class Order(BaseModel):
    items: list[Item]
    status: Literal["new", "paid"] = "new"


class Priced(BaseModel):
    """Is more as an output than as an input."""

    items: list[Item]

    @computed_field
    def total(self) -> int:
        return sum(item.number for item in self.items)


class Folder(BaseModel):
    """Refers to itself."""

    name: str = Field(examples=["src", "docs"])
    folders: list["Folder"] = []
    parent: "Folder | None" = None


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]
    age: Annotated[int, Field(ge=0)] | Annotated[str, Field(min_length=1)] | None = None


class Size(Enum):
    SMALL = "s"
    LARGE = "l"


class Run(BaseModel):
    """Is called as something of the API is."""

    km: float


@task(typed=True)
def take(order: Order, label: dict[str, int] | None = None) -> Order:
    return order


@task(typed=True)
def check(order: Order, label: dict[str, int] | None = None) -> list[Order]:
    return [order]


@task(typed=True)
def price(priced: Priced, item: Item | None = None) -> Priced:
    return priced


@task(typed=True)
def order_elsewhere(order: elsewhere.Order, run: Run) -> None:
    pass


@task(typed=True)
def everything(
    *,
    folder: Folder,
    pet: Annotated[Cat | Dog, Field(discriminator="kind")],
    place: tuple[float, float, str],
    size: Size,
    only: Literal["this"] = "this",
    names: dict[Annotated[str, Field(pattern="^[a-z]+$")], int] | None = None,
    optional_size: Size | None = None,
    anything: Any = None,
    raw: bytes = b"",
) -> Literal["yes", "no"] | None:
    return "yes"


@task(typed=True)
def tidy(folder: Folder) -> Folder:
    return folder


class Status(TypedTask):
    """Has inputs that are called as properties of the API and of projects are."""

    name = "status"
    inputs = {
        "status": params.ChoiceParameter([("a", "First"), ("b", "Second")]),
        "level": params.ChoiceParameter([1, 2], null=True, required=False),
        "level_list": params.ListParameter(params.ChoiceParameter(["high", "low"])),
        "more": params.DictParameter(required=False),
        "at": params.DateTimeParameter(required=False, help_text="When."),
        "amount": params.DecimalParameter(required=False, max_value=7),
    }
    outputs = {"status": params.ChoiceParameter(["done"]), "label": params.DictParameter()}

    def run(self, **inputs: Any) -> dict[str, Any]:
        return {"status": "done", "label": {}}


PATHS = [
    f"{__name__}.{name}"
    for name in ("take", "check", "price", "order_elsewhere", "everything", "tidy", "Status")
]
