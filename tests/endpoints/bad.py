"""Endpoints whose mistakes show only in a request."""

from typing import Any

from taskworks.endpoints import deferrable_task, task
from tests.endpoints.models import Order
from tests.endpoints.orders import OrderEndpoint, record


class NoModel(OrderEndpoint):
    resource = property(lambda self: {"number": 1})

    @deferrable_task
    @staticmethod
    def mail(order: Any) -> None: ...


class Unsaved(OrderEndpoint):
    resource = property(lambda self: Order(number=self.kwargs["number"]))

    @deferrable_task
    @staticmethod
    def mail(order: Order) -> None: ...


class UnsavedAndChanged(OrderEndpoint):
    resource = property(lambda self: Order(number=self.kwargs["number"]))

    @task
    def change(self) -> None:
        self.resource.note = "lost?"


class NoJSON(OrderEndpoint):
    @deferrable_task
    @staticmethod
    def fine(order: Order) -> None: ...

    @deferrable_task(task_args_factory=lambda self: ([], {"when": object()}))
    @staticmethod
    def mail(order: Order, when: Any) -> None: ...


class NoArguments(OrderEndpoint):
    @deferrable_task(task_args_factory=lambda self: "args")
    @staticmethod
    def mail(order: Order) -> None: ...


class NoDelay(OrderEndpoint):
    @deferrable_task(delay=lambda self: "soon")
    @staticmethod
    def mail(order: Order) -> None: ...


class NewKey(OrderEndpoint):
    @task
    def change(self) -> None:
        self.resource.pk = 12345


class LeftUnsaved(OrderEndpoint):
    @task
    def choose(self) -> None:
        self.resource = Order(number="new")


class Vanished(OrderEndpoint):
    """The resource's row is deleted before its changes are saved."""

    @task
    def change(self) -> None:
        Order.objects.filter(pk=self.resource.pk).delete()
        self.resource.note = "changed"


class Deleted(OrderEndpoint):
    @task
    def delete_it(self) -> None:
        self.resource.delete()

    @deferrable_task
    @staticmethod
    def mail(order: Order) -> None: ...


class Raises(OrderEndpoint):
    @task(priority=-1)
    def change(self) -> None:
        self.resource.note = "changed"

    @task
    def fail(self) -> None:
        raise RuntimeError("of a task")

    @task(priority=1)
    def after(self) -> None:
        record(self.resource, "after")

    @deferrable_task
    @staticmethod
    def mail(order: Order) -> None: ...


class InlineRaises(OrderEndpoint):
    @deferrable_task
    @staticmethod
    def mail(order: Order) -> None: ...

    @deferrable_task(always_defer=False)
    @staticmethod
    def fail(order: Order) -> None:
        raise RuntimeError("of a task")


ENDPOINTS = [
    NoModel,
    Unsaved,
    UnsavedAndChanged,
    NoJSON,
    NoArguments,
    NoDelay,
    NewKey,
    LeftUnsaved,
    Vanished,
    Deleted,
    Raises,
    InlineRaises,
]
