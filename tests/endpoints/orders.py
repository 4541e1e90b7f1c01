"""Endpoints about orders; they record what happens as rows, in the request and in a worker."""

import os
import signal
from datetime import timedelta
from typing import Any

from django.http import HttpResponse
from rest_framework import generics, serializers, viewsets
from rest_framework.exceptions import APIException
from rest_framework.response import Response
from rest_framework.views import APIView

from taskworks import Debounce, Unique
from taskworks.endpoints import (
    ALWAYS,
    IF_TRUTHY,
    NEVER,
    EndpointDefinition,
    EndpointTasks,
    deferrable_task,
    task,
)
from tests.behavior.named import EVERY_NAME
from tests.endpoints.models import Event, Order, Parcel


class Conflict(APIException):
    status_code = 409


def record(order: Any, name: str) -> None:
    Event.objects.create(order=getattr(order, "number", order), name=name)


class OrderEndpoint(EndpointDefinition):
    """The base of most endpoints below."""

    http_method_names = ["get", "post", "put", "head", "options"]
    response_filter = {Order: {"number": ALWAYS, "note": IF_TRUTHY, "lines": NEVER}}

    def is_authorized(self) -> bool:
        return True

    @property
    def resource(self) -> Order:
        return Order.objects.get(number=self.kwargs["number"])


class InOrder(OrderEndpoint):
    """Records the order of the steps as events."""

    @property
    def resource(self) -> Order:
        order = Order.objects.get(number=self.kwargs["number"])
        record(order, "resource")
        return order

    @task
    def second(self) -> None:
        record(self.resource, "second")

    @task(priority=-1, depends_on="needed")
    def first(self) -> None:
        record(self.resource, "first")

    @task(priority=5)
    def needed(self) -> None:
        record(self.resource, "needed")

    @task
    def third(self) -> None:
        record(self.resource, "third")
        self.resource.note = "changed"

    def finalize(self) -> None:
        saved = Order.objects.get(number=self.resource.number).note == "changed"
        record(self.resource, f"finalize, saved: {saved}")

    @deferrable_task(always_defer=False, priority=1)
    @staticmethod
    def inline(order: Order) -> None:
        record(order, "inline")

    @deferrable_task(task_args_factory=lambda self: record(self.resource, "queued") or ([], {}))
    @staticmethod
    def queued(order: Order) -> None:
        record(order, "in the worker")

    @property
    def response(self) -> dict[str, str]:
        record(self.resource, "response")
        return {"number": self.resource.number}


class Chained(OrderEndpoint):
    """Deferrable tasks that follow each other."""

    http_status = 202

    @deferrable_task(priority=-5, depends_on="charge")
    @staticmethod
    def ship(order: Order) -> None:
        record(order, "shipped")

    @deferrable_task
    @staticmethod
    def charge(order: Order) -> None:
        if order.note == "declined":
            raise ValueError("the card was declined")
        record(order, "charged")

    @deferrable_task(depends_on=ship, delay=3600)
    @staticmethod
    def ask_how_it_was(order: Order) -> None:
        record(order, "asked")

    @property
    def response(self) -> Any:
        return self.accepted()


async def run_and_record(call: Any, endpoint: Any) -> None:
    await Event.objects.acreate(order="-", name=f"{endpoint.__name__} {call.name}")
    await call()


class Everything(OrderEndpoint):
    """Every option of a deferrable task."""

    def is_quiet(self) -> bool:
        return "quiet" in self.request.query_params

    def delay(self) -> float:
        return float(self.request.query_params.get("delay", 0))

    def always(self) -> bool:
        return "always" in self.request.query_params

    def arguments(self) -> Any:
        return [self.request.query_params.get("word", "")], {"times": 2}

    @deferrable_task(execute_unless=is_quiet, queue="mail", routing_key="mail.fast")
    @staticmethod
    def mail(order: Order) -> None:
        record(order, "mailed")

    @deferrable_task(delay=delay, always_defer=always, task_args_factory=arguments)
    @staticmethod
    def say(order: Order, word: str, times: int) -> None:
        record(order, word * times)

    @deferrable_task(routing_key="imports", delay=timedelta(minutes=1))
    @staticmethod
    def later(order: Order) -> None:
        record(order, "later")

    @deferrable_task(task_runner=run_and_record)
    @staticmethod
    async def run_by_another(order: Order) -> None:
        await Event.objects.acreate(order=order.number, name="async")


class AnyNames(OrderEndpoint):
    """Tasks with keywords of any name."""

    def names(self) -> Any:
        return [], EVERY_NAME

    @deferrable_task(task_args_factory=names)
    @staticmethod
    def later(order: Order, /, **given: Any) -> None:
        record(order, f"later {given == EVERY_NAME}")

    @deferrable_task(task_args_factory=names)
    @staticmethod
    async def later_async(order: Order, /, **given: Any) -> None:
        await Event.objects.acreate(order=order.number, name=f"async {given == EVERY_NAME}")

    @deferrable_task(task_args_factory=names, always_defer=False)
    @staticmethod
    def now(order: Order, /, **given: Any) -> None:
        record(order, f"now {given == EVERY_NAME}")


def record_and_run(call: Any, endpoint: Any) -> None:
    record(endpoint.resource, call.name)
    call()


class RunByAnother(OrderEndpoint):
    """Tasks with a ``task_runner``, which gets the endpoint."""

    @task(task_runner=record_and_run)
    def one(self) -> None:
        record(self.resource, "called")

    @deferrable_task(task_runner=record_and_run, always_defer=False)
    @staticmethod
    def two(order: Order) -> None:
        record(order, "called")


class Stubborn(OrderEndpoint):
    """Fails, and is retried."""

    @deferrable_task(retries=2, retry_exception_filter=(LookupError,))
    @staticmethod
    def fetch(order: Order) -> None:
        record(order, "tried")
        raise KeyError(order.number) if order.note != "odd" else ValueError(order.number)


class Watched(OrderEndpoint):
    """Two tasks; the first can be made to kill its worker."""

    @deferrable_task
    @staticmethod
    def first(order: Order) -> None:
        record(order, "first")
        if order.note == "deadly" and Event.objects.filter(name="first").count() == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    @deferrable_task(depends_on="first")
    @staticmethod
    def second(order: Order) -> None:
        record(order, "second")


class Shared(OrderEndpoint):
    """State of a request, which other requests must not see."""

    @task(depends_on="b")
    def a(self) -> None:
        self._note("a")

    @task(depends_on="c")
    def b(self) -> None:
        self._note("b")

    @task(priority=9)
    def c(self) -> None:
        self._note("c")

    @task(priority=10)
    def count(self) -> None:
        self.resource.total += 1

    @deferrable_task(task_args_factory=lambda self: ([self.kwargs["number"]], {}))
    @staticmethod
    def compare(order: Order, number: str) -> None:
        record(order, f"the same: {order.number == number}")

    def _note(self, name: str) -> None:
        self.__dict__.setdefault("order", []).append(name)

    @property
    def response(self) -> Any:
        self.http_status_seen = self.http_status
        return {"number": self.resource.number, "order": self.order, "runs": len(self.deferred)}


class Fails(OrderEndpoint):
    """Raises an exception after everything was enqueued."""

    @task
    def change(self) -> None:
        self.resource.note = "changed"

    @deferrable_task
    @staticmethod
    def mail(order: Order) -> None:
        record(order, "mailed")

    @property
    def response(self) -> Any:
        assert len(self.deferred) == 1
        if "conflict" in self.request.query_params:
            raise Conflict
        raise RuntimeError("the response cannot be computed")


class Parcels(EndpointDefinition):
    """An endpoint of another model."""

    http_method_names = ["put"]

    def is_authorized(self) -> bool:
        return True

    def resource(self) -> Parcel:
        return Parcel.objects.get(pk=self.kwargs["pk"])

    @task
    def weigh(self) -> None:
        self.resource.weight = self.request.data["weight"]

    @deferrable_task
    @staticmethod
    def send(parcel: Parcel) -> None:
        record(parcel.pk, f"sent {parcel.label}")

    response_filter = {Parcel: {"label": ALWAYS}}


class OrderSerializer(serializers.ModelSerializer):
    class Meta:
        model = Order
        fields = ("number", "note", "total")


class Tasks(EndpointTasks):
    """A mixin for views of all kinds."""

    @task
    def sign(self) -> None:
        self.resource.note += "!"

    @deferrable_task
    @staticmethod
    def mail(order: Order) -> None:
        record(order, f"mailed {order.note}")


class CreateOrder(Tasks, generics.CreateAPIView):
    queryset = Order.objects.all()
    serializer_class = OrderSerializer

    def perform_create(self, serializer: Any) -> None:  # without super(), as many do
        serializer.save(total=7)


class OrderViewSet(Tasks, viewsets.ModelViewSet):
    queryset = Order.objects.all()
    serializer_class = OrderSerializer
    lookup_field = "number"


class SignOrder(Tasks, APIView):
    def post(self, request: Any, number: str) -> Any:
        self.run_tasks(Order.objects.get(number=number))
        if "plain" in request.query_params:
            return HttpResponse(status=204)
        return Response({"runs": [result.id for result in self.deferred]}, status=201)


class Unified(OrderEndpoint):
    """Deferrable tasks of which only one run of an order is to stand."""

    http_status = 202

    def arguments(self) -> Any:
        return [self.request.query_params.get("word", "hi")], {}

    @deferrable_task(unique=Unique("order"), task_args_factory=arguments)
    @staticmethod
    def index(order: Order, word: str, times: int = 1) -> None:
        record(order, word * times)

    @deferrable_task(unique=Unique(), task_args_factory=arguments, depends_on="index")
    @staticmethod
    async def tell(order: Order, word: str) -> None: ...

    @deferrable_task(unique=Debounce("order", wait=60, longest=600), task_args_factory=arguments)
    @staticmethod
    def mail(order: Order, word: str) -> None: ...

    @property
    def response(self) -> Response:
        return self.accepted()
