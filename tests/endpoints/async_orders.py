"""Async views about orders, of adrf."""

import asyncio
import threading
from typing import Any

from adrf import generics, viewsets
from adrf.serializers import ModelSerializer
from adrf.views import APIView
from rest_framework import generics as sync_generics
from rest_framework.response import Response

from taskworks.endpoints import deferrable_task, task
from tests.endpoints.models import Order
from tests.endpoints.orders import OrderSerializer, Tasks, record

client_is_gone = threading.Event()


async def outlast_the_client() -> None:
    while not client_is_gone.is_set():
        await asyncio.sleep(0.01)
    for _ in range(100):  # for whatever the server does then
        await asyncio.sleep(0)


class AsyncOrderSerializer(ModelSerializer):
    class Meta:
        model = Order
        fields = ("number", "note", "total")


class AsyncCreateOrder(Tasks, generics.CreateAPIView):
    queryset = Order.objects.all()
    serializer_class = AsyncOrderSerializer


class AsyncCreateByItself(AsyncCreateOrder):
    async def perform_acreate(self, serializer: Any) -> None:
        await serializer.asave(total=7)
        await self.arun_tasks(serializer.instance)


class AsyncCreateSlowly(AsyncCreateOrder):
    async def perform_acreate(self, serializer: Any) -> None:
        await serializer.asave()
        await outlast_the_client()


class AsyncOrderViewSet(Tasks, viewsets.ModelViewSet):
    queryset = Order.objects.all()
    serializer_class = AsyncOrderSerializer
    lookup_field = "number"


class AsyncSignOrder(Tasks, APIView):
    async def post(self, request: Any, number: str) -> Response:
        order = await Order.objects.aget(number=number)
        if "blocking" in request.query_params:
            self.run_tasks(order)
        else:
            await self.arun_tasks(order)
        return self.accepted()


class AsyncFails(AsyncSignOrder):
    @task(priority=9)
    def fail(self) -> None:
        raise ValueError(self.resource.note)


class CreateSlowly(Tasks, sync_generics.CreateAPIView):
    """A sync view with a coroutine function that is executed in the request."""

    serializer_class = OrderSerializer

    @deferrable_task(always_defer=False, priority=-1)
    @staticmethod
    async def check(order: Order) -> None:
        await outlast_the_client()
        await asyncio.to_thread(record, order.number, "checked")
