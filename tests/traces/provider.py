"""The provider of the tests' spans, which settings may import: no task is imported for it."""

import os

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from tests.traces.to_file import SPANS, ToFile

provider = TracerProvider(shutdown_on_exit=False)
if SPANS in os.environ:
    provider.add_span_processor(SimpleSpanProcessor(ToFile(os.environ[SPANS])))
