"""The examples of django-declarative-apis' page on tasks, with other imports and base classes."""

from types import SimpleNamespace
from typing import Any

from taskworks.endpoints import ALWAYS, deferrable_task, task
from tests.endpoints.models import Order
from tests.endpoints.orders import OrderEndpoint, record

filters = SimpleNamespace(SampleFilters={Order: {"total": ALWAYS}})


def condition(self: Any) -> bool:
    return "unless" in self.request.query_params


class SampleFunction(OrderEndpoint):
    # code
    @task()
    def sample_function(self):
        # your code goes here
        record(self.resource, "sample_function")


class SampleEndpointDefinition(OrderEndpoint):
    def is_authorized(self):
        return True

    @task
    def set_response_filter(self):
        self.response._api_filter = filters.SampleFilters


class SampleClass(OrderEndpoint):
    # code
    @deferrable_task
    @staticmethod
    def sample_method(arg):
        # your code goes here
        record(arg, "sample_method")


class ConditionalSampleClass(OrderEndpoint):
    # code
    @deferrable_task(execute_unless=condition)
    @staticmethod
    def sample_method(arg):
        # your code goes here
        record(arg, "sample_method")


ENDPOINTS = [SampleFunction, SampleEndpointDefinition, SampleClass, ConditionalSampleClass]
