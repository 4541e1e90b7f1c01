"""What one browser is sent of one run."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from time import monotonic
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import connections
from django.http import StreamingHttpResponse

from taskworks.conf import conf
from taskworks.options.owner import ANYBODY
from taskworks.rest.events.hub import Ear, hub
from taskworks.rest.serializers import FINAL_STATUSES

RECONNECT_AFTER = 2000  # milliseconds
SIGN_OF_LIFE_EVERY = 15.0  # seconds, so that a connection that nobody reads is noticed
LONGEST = 600.0  # seconds; who comes again is authenticated anew
END = "end-"
HEADERS = {
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",
    # Or Django's GZipMiddleware would compress each event by itself, of which Chromium reads one.
    "Content-Encoding": "identity",
}

# What is told of by itself; a change of anything else is told by the whole run.
PROGRESS = ("progress", "target", "percent")
MESSAGES = ("messages", "message_details")
Run = Mapping[str, Any]


def is_too_much(viewer: str) -> bool:
    """Whether this process has as many streams open as it may, or as many for this user."""
    if len(hub) >= conf().api_max_streams:
        return True
    return viewer != ANYBODY and hub.open_for(viewer) >= conf().api_max_user_streams


def is_the_end(run: Run, last_event_id: str) -> bool:
    """Whether a client that has seen this event knows all there is."""
    return run["status"] in FINAL_STATUSES and last_event_id == _end_of(run)


class EventStream:
    """A run's events until it ends, or for ten minutes, or until nobody reads them."""

    def __init__(self, run_id: UUID, known: Run, viewer: str) -> None:
        self._run_id, self._known, self._viewer = run_id, known, viewer
        self._number = 0

    def response(self) -> StreamingHttpResponse:
        """The answer that streams them."""
        return StreamingHttpResponse(
            self._chunks(),
            content_type="text/event-stream",
            headers=HEADERS,
        )

    async def _chunks(self) -> AsyncIterator[bytes]:
        # Those of the view, which the request would keep open until the stream ends.
        await sync_to_async(_let_go_of_connections)()
        beginning = f"retry: {RECONNECT_AFTER}\n\n".encode() + self._whole(self._known)
        if is_too_much(self._viewer):  # with those who have come at the same moment
            yield beginning
            return
        with hub.listening(self._run_id, self._viewer) as ear:
            yield beginning
            async for chunk in self._news(ear):
                yield chunk

    async def _news(self, ear: Ear) -> AsyncIterator[bytes]:
        ends = monotonic() + LONGEST
        while self._known["status"] not in FINAL_STATUSES and monotonic() < ends:
            try:
                # Not wait_for, by which a cancellation may get lost before Python 3.12.
                async with asyncio.timeout(SIGN_OF_LIFE_EVERY):
                    latest = await ear.next()
            except TimeoutError:
                yield b":\n\n"
                continue
            if latest is None:
                yield self._event("gone", {**self._of(), "detail": "The run has been deleted."})
                return
            for chunk in self._changes(latest):
                yield chunk

    def _changes(self, latest: Run) -> Iterator[bytes]:
        before, self._known = self._known, latest
        details = {*PROGRESS, *MESSAGES}
        if any(latest[name] != before[name] for name in latest.keys() - details):
            yield self._whole(latest)
            return
        if any(latest[name] != before[name] for name in PROGRESS):
            yield self._event("progress", self._of(*PROGRESS))
        for text, more in _added(before, latest):
            yield self._event("message", {**self._of(), "message": text, "details": more})

    def _whole(self, run: Run) -> bytes:
        return self._event("status", run, _end_of(run) if run["status"] in FINAL_STATUSES else None)

    def _of(self, *names: str) -> dict[str, Any]:
        return {name: self._known[name] for name in ("id", *names)}

    def _event(self, name: str, data: Run, event_id: str | None = None) -> bytes:
        self._number += 1
        written = json.dumps(data, separators=(",", ":"))  # ASCII, without line breaks
        return f"id: {event_id or self._number}\nevent: {name}\ndata: {written}\n\n".encode()


def _end_of(run: Run) -> str:
    return f"{END}{run['attempts']}-{run['status']}"


def _added(before: Run, latest: Run) -> Iterator[tuple[str, Any]]:
    """The messages that are new; of a list that is full the oldest have gone."""
    old, new = (
        list(zip(*(run[name] for name in MESSAGES), strict=True)) for run in (before, latest)
    )
    kept = next((n for n in range(min(len(old), len(new)), 0, -1) if old[-n:] == new[:n]), 0)
    yield from new[kept:]


def _let_go_of_connections() -> None:
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:  # as a test's own is
            connection.close()
