from django.apps import AppConfig
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
from taskworks.opentelemetry import TaskworksInstrumentor


class ShopConfig(AppConfig):
    name = "shop"

    def ready(self) -> None:
        provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
        provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter()))
        trace.set_tracer_provider(provider)
        TaskworksInstrumentor().instrument()
