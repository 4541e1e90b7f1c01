"""The events of one run, or of one workflow, for one browser."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from asgiref.sync import SyncToAsync, sync_to_async
from django.db import connections
from django.http import StreamingHttpResponse

from taskworks.real_time import monotonic
from taskworks.rest.events.hub import Subscription, hub
from taskworks.rest.events.places import Holder
from taskworks.rest.serializers import FINAL_STATUSES

RECONNECT_AFTER = 2000  # milliseconds
KEEPALIVE_INTERVAL = 15.0  # seconds; writing reveals that nobody reads a connection any more
MAX_SEND_TIME = 30.0  # seconds that a client may keep the server from sending more
MAX_STREAM_DURATION = 600.0  # seconds; a client that reconnects is authenticated again
FINAL_EVENT_PREFIX = "end-"  # of the id of a run's last event
HEADERS = {
    "X-Accel-Buffering": "no",
    # Otherwise Django's GZipMiddleware compresses each event, and Chromium reads only the first.
    "Content-Encoding": "identity",
}

# Keys with events of their own; if another key changes, the event is the whole run.
PROGRESS_KEYS = ("progress", "target", "percent")
WORKFLOW_PROGRESS_KEYS = (*PROGRESS_KEYS, "counts")
MESSAGE_KEYS = ("messages", "message_details")
Run = Mapping[str, Any]


def is_the_end(run: Run, last_event_id: str) -> bool:
    """Return whether this event is the last one of the run."""
    return run["status"] in FINAL_STATUSES and last_event_id == _end_of(run)


class EventStream:
    """A run's events until it ends, for at most ten minutes, or until nobody reads them."""

    is_workflow = False
    noun = "run"
    progress_keys: tuple[str, ...] = PROGRESS_KEYS

    def __init__(self, run_id: UUID, known: Run, holder: Holder) -> None:
        self._run_id, self._known, self._holder = run_id, known, holder
        self._subscription: Subscription | None = None
        self._number = 0

    def response(self) -> StreamingHttpResponse:
        """Return the answer that streams them."""
        return StreamingHttpResponse(self, content_type="text/event-stream", headers=HEADERS)

    def close(self) -> None:
        """Give the place back; Django calls this at the end of the response, in any thread."""
        if self._subscription:
            hub.unsubscribe(self._subscription)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        # Those of the view, which would stay open until the stream ends.
        await sync_to_async(_close_connections)()
        _release_thread()
        try:
            async for chunk in self._chunks():
                with self._limited_in_time():
                    yield chunk
        finally:
            self.close()

    @contextmanager
    def _limited_in_time(self) -> Iterator[None]:
        """Stop this task, which sends what is yielded here, if the client does not read it."""
        task: Any = asyncio.current_task()
        timer = asyncio.get_running_loop().call_later(MAX_SEND_TIME, self._stop, task)
        try:
            yield
        finally:
            timer.cancel()

    def _stop(self, task: "asyncio.Task[None]") -> None:
        # Django 6.1 does not close a response if its task is cancelled, and this iterator would
        # not end before the garbage is collected.
        self.close()
        task.cancel()

    async def _chunks(self) -> AsyncIterator[bytes]:
        if not self._has_ended:
            # There may be no place left, if many streams were opened at the same moment.
            self._subscription = hub.subscribe(
                self._run_id, self._holder, is_workflow=self.is_workflow
            )
        yield f"retry: {RECONNECT_AFTER}\n\n".encode() + self._whole(self._known)
        if self._subscription:
            async for chunk in self._updates(self._subscription):
                if self._has_ended:
                    self.close()  # now, however long the client takes to read the end
                yield chunk

    async def _updates(self, subscription: Subscription) -> AsyncIterator[bytes]:
        ends = monotonic() + MAX_STREAM_DURATION
        while not self._has_ended and monotonic() < ends and not hub.is_ending:
            try:
                # Not wait_for, which may lose a cancellation before Python 3.12.
                async with asyncio.timeout(KEEPALIVE_INTERVAL):
                    latest = await subscription.next()
            except TimeoutError:
                yield b":\n\n"
                continue
            if hub.is_ending:
                return
            if latest is None:
                text = f"The {self.noun} has been deleted."
                yield self._event("gone", {**self._of(), "detail": text})
                return
            for chunk in self._changes(latest):
                yield chunk

    @property
    def _has_ended(self) -> bool:
        return self._known["status"] in FINAL_STATUSES

    def _changes(self, latest: Run) -> Iterator[bytes]:
        before, self._known = self._known, latest
        details = {*self.progress_keys, *MESSAGE_KEYS}
        if any(latest[name] != before[name] for name in latest.keys() - details):
            yield self._whole(latest)
            return
        if any(latest[name] != before[name] for name in self.progress_keys):
            yield self._event("progress", self._of(*self.progress_keys))
        for text, more in [] if self.is_workflow else _added(before, latest):
            yield self._event("message", {**self._of(), "message": text, "details": more})

    def _whole(self, run: Run) -> bytes:
        return self._event("status", run, _end_of(run) if run["status"] in FINAL_STATUSES else None)

    def _of(self, *names: str) -> dict[str, Any]:
        return {name: self._known[name] for name in ("id", *names)}

    def _event(self, name: str, data: Run, event_id: str | None = None) -> bytes:
        self._number += 1
        written = json.dumps(data, separators=(",", ":"))  # ASCII, without line breaks
        return f"id: {event_id or self._number}\nevent: {name}\ndata: {written}\n\n".encode()


class WorkflowEventStream(EventStream):
    """The same of a workflow, which has no messages."""

    is_workflow = True
    noun = "workflow"
    progress_keys = WORKFLOW_PROGRESS_KEYS


def _end_of(run: Run) -> str:
    # A retry changes it: a run that ends again has had another attempt.
    ended = run["attempts"] if "attempts" in run else run["finished"]
    return f"{FINAL_EVENT_PREFIX}{ended}-{run['status']}"


def _added(before: Run, latest: Run) -> Iterator[tuple[str, Any]]:
    """Yield the new messages with their details; a full list has lost its oldest ones."""
    old, new = (
        list(zip(*(run[name] for name in MESSAGE_KEYS), strict=True)) for run in (before, latest)
    )
    kept = next((n for n in range(min(len(old), len(new)), 0, -1) if old[-n:] == new[:n]), 0)
    yield from new[kept:]


def _close_connections() -> None:
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:  # as in tests
            connection.close()


def _release_thread() -> None:
    """Let the thread end that executed the view, which would be kept until the stream ends."""
    # asgiref does not document these names. Without them each stream keeps an idle thread.
    context_of_request = getattr(SyncToAsync, "thread_sensitive_context", None)
    executors: Any = getattr(SyncToAsync, "context_to_thread_executor", None)
    context = context_of_request.get(None) if context_of_request and executors else None
    if context is None or getattr(context, "_executor", None):  # somebody's own
        return
    if executor := executors.pop(context, None):
        executor.shutdown(wait=False)
