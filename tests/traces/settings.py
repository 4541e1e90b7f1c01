"""Of child processes that trace and report."""

import os

from taskworks.opentelemetry import TaskworksInstrumentor
from tests.settings import *  # noqa: F403
from tests.settings import TASKWORKS as USUAL
from tests.traces.to_file import EVENTS, SPANS, FileTransport

TASKWORKS = {**USUAL, "INTERRUPT_GRACE": 0.2}

if SPANS in os.environ:
    from tests.traces.provider import provider

    TaskworksInstrumentor().instrument(tracer_provider=provider)
if EVENTS in os.environ:
    import sentry_sdk

    from taskworks.sentry import TaskworksIntegration

    FileTransport.path = os.environ[EVENTS]
    sentry_sdk.init(
        dsn="https://key@sentry.invalid/1",
        transport=FileTransport,
        traces_sample_rate=1.0,
        auto_enabling_integrations=False,
        integrations=[TaskworksIntegration()],
    )
