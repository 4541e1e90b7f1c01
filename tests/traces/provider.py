"""The provider of the tests' spans, which settings may import: no task is imported for it."""

import os

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

from tests.traces.to_file import BATCHES, SPANS, ToFile

# It is not shut down at the exit of a test.
provider = TracerProvider(shutdown_on_exit=SPANS in os.environ)
if SPANS in os.environ:
    process = BatchSpanProcessor if BATCHES in os.environ else SimpleSpanProcessor
    provider.add_span_processor(process(ToFile(os.environ[SPANS])))
