"""How child processes tell a test what they have exported and sent."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from sentry_sdk.transport import Transport

SPANS, EVENTS = "TASKWORKS_TEST_SPANS", "TASKWORKS_TEST_EVENTS"  # files, in the environment
BATCHES = "TASKWORKS_TEST_BATCHES"  # whether spans are held back, as in production


class ToFile(SpanExporter):
    """Writes a line of JSON for each span."""

    def __init__(self, path: str) -> None:
        self._path = path

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        append(self._path, [json.loads(span.to_json(indent=None)) for span in spans])
        return SpanExportResult.SUCCESS


class FileTransport(Transport):
    """Writes a line of JSON for each event, transaction and check-in."""

    path = ""

    def capture_envelope(self, envelope: Any) -> None:
        append(self.path, payloads(envelope))


def payloads(envelope: Any) -> list[dict[str, Any]]:
    """Return what is in an envelope, as JSON; each with the type of its item."""
    return [
        {"item": item.headers["type"], **json.loads(item.payload.get_bytes())}
        for item in envelope.items
    ]


def append(path: str, lines: Sequence[Any]) -> None:
    with Path(path).open("a") as file:
        file.writelines(f"{json.dumps(line)}\n" for line in lines)


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [*map(json.loads, path.read_text().splitlines())] if path.exists() else []
