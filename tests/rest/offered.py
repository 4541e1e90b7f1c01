"""The tasks that the API of these tests offers."""

from queue import Queue
from typing import Any

from rest_framework.permissions import IsAdminUser

from taskworks import Unique, task
from taskworks.typed import TypedTask, params

# What the task Told does next: a callable that gets the task, or None for the end.
orders: "Queue[Any]" = Queue()


class Add(TypedTask):
    """Add two numbers."""

    name = "add"
    inputs = {"a": params.NumberParameter(), "b": params.NumberParameter(required=False)}
    outputs = {"sum": params.FloatParameter()}

    def run(self, a: float, b: float = 0) -> float:
        return a + b


class Various(TypedTask):
    name = "various"
    inputs = {
        "n": params.IntParameter(required=False),
        "text": params.StringParameter(required=False),
        "texts": params.ListParameter(params.StringParameter(), required=False),
        "more": params.DictParameter(required=False),
        "flag": params.BooleanParameter(required=False),
    }

    def run(self, **inputs: Any) -> None:
        pass


class NoInputs(TypedTask):
    name = "no inputs"
    queue_name = "mail"

    def run(self) -> None:
        pass


class Tells(TypedTask):
    name = "tells"

    def run(self) -> None:
        self.set_target(4)
        self.set_progress(3)
        self.add_message("three")
        self.add_message({"four": 4}, level="warning")


class Told(TypedTask):
    """Does as it is told, step by step."""

    name = "told"
    outputs = {"done": params.BooleanParameter()}

    def run(self) -> bool:
        while step := orders.get(timeout=60):
            step(self)
        return True


class Fails(TypedTask):
    name = "fails"

    def run(self) -> None:
        raise ValueError("no such order:\nA7")


class FailsAndSaysSo(Fails):
    name = "fails and says so"
    failure_message = "Your order could not be found."


class ForStaff(TypedTask):
    name = "for staff"
    permission_classes = [IsAdminUser]

    def run(self) -> None:
        pass


class Scarce(TypedTask):
    name = "scarce"
    throttle_scope = "scarce"

    def run(self) -> None:
        pass


@task
def plain(value: str) -> str:
    """Not offered."""
    return value


class Synced(TypedTask):
    name = "sync"
    inputs = {"customer": params.IntParameter(), "reason": params.StringParameter(required=False)}
    unique = Unique("customer")

    def run(self, customer: int, reason: str = "") -> None:
        pass


@task(typed=True, unique=Unique("customer", on_conflict="supersede"))
def supersede(customer: int) -> None: ...


PATHS = [
    f"{__name__}.{offered.__name__}"
    for offered in (Add, Various, NoInputs, Tells, Told, Fails, FailsAndSaysSo, ForStaff, Scarce)
]
