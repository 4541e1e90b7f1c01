from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sentry_sdk
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sentry_sdk.transport import Transport

from taskworks import instruments
from taskworks.opentelemetry import TaskworksInstrumentor
from taskworks.sentry import TaskworksIntegration
from tests.traces.provider import provider
from tests.traces.to_file import EVENTS, SPANS, payloads

exporter = InMemorySpanExporter()
provider.add_span_processor(SimpleSpanProcessor(exporter))

Instrument = Callable[..., None]


@pytest.fixture(autouse=True)
def _database(transactional_db: None) -> None:
    """Threads and child processes see what a test has committed."""


@pytest.fixture(autouse=True)
def _without_instruments() -> Iterator[None]:
    yield
    instruments.in_use = ()


class Spans:
    """What was exported, by name."""

    def __getitem__(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.all() if span.name == name]

    def all(self) -> list[ReadableSpan]:
        return [*exporter.get_finished_spans()]

    def names(self) -> list[str]:
        """In the order in which they ended."""
        return [span.name for span in self.all()]

    def only(self, name: str) -> ReadableSpan:
        [span] = self[name]
        return span


@pytest.fixture
def spans() -> Spans:
    exporter.clear()
    TaskworksInstrumentor().instrument(tracer_provider=provider)
    return Spans()


@pytest.fixture
def in_children(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Child processes trace and report, to the files spans and events of this folder."""
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.traces.settings")
    monkeypatch.setenv(SPANS, str(tmp_path / "spans"))
    monkeypatch.setenv(EVENTS, str(tmp_path / "events"))
    return tmp_path


class Sent:
    """What was sent to Sentry."""

    def __init__(self) -> None:
        self.all: list[dict[str, Any]] = []

    def of(self, item: str) -> list[dict[str, Any]]:
        return [one for one in self.all if one["item"] == item]

    @property
    def errors(self) -> list[dict[str, Any]]:
        return self.of("event")

    @property
    def processed(self) -> list[dict[str, Any]]:
        """The transactions of attempts."""
        return [one for one in self.of("transaction") if _op(one) == "queue.process"]

    @property
    def check_ins(self) -> list[dict[str, Any]]:
        return self.of("check_in")

    def spans_of(self, name: str) -> list[dict[str, Any]]:
        """The spans in the transaction with this name."""
        [found] = [one for one in self.of("transaction") if one["transaction"] == name]
        return found["spans"]


def _op(transaction: dict[str, Any]) -> str:
    return transaction["contexts"]["trace"]["op"]


Begin = Callable[..., Sent]


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Initialize Sentry's SDK in this process, with options of the integration."""
    sent = Sent()

    class Stub(Transport):
        def capture_envelope(self, envelope: Any) -> None:
            sent.all += payloads(envelope)

    def init(options: dict[str, Any] | None = None, **more: Any) -> Sent:
        sentry_sdk.init(
            dsn="https://key@sentry.invalid/1",
            transport=Stub,
            auto_enabling_integrations=False,
            integrations=[TaskworksIntegration(**more)],
            **{"traces_sample_rate": 1.0, **(options or {})},
        )
        # The SDK does so once in a process, but each test begins without instruments.
        TaskworksIntegration.setup_once()
        return sent

    yield init
    sentry_sdk.get_global_scope().set_client(None)


@pytest.fixture
def sent(begin: Begin) -> Sent:
    return begin()
