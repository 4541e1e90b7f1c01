"""Runs as Celery's events tell of tasks (``-E``), for Flower and whoever else listens."""

from collections import deque
from collections.abc import Iterator
from typing import Any, assert_never
from weakref import WeakSet

from taskworks import real_time as time
from taskworks.celery_worker.main_thread import MainThread
from taskworks.execution import (
    Attempt,
    Cancelled,
    Committed,
    Crashed,
    Failed,
    Fenced,
    InDoubt,
    Lost,
    Parked,
    Poisoned,
    Postponed,
    Released,
    Retried,
    Snoozed,
    Succeeded,
    Suspended,
)
from taskworks.recording.events import Attempts, Subscriber

MAX_WAITING = 10_000  # events of a backend; with more, the oldest are dropped

NOT_SHOWN = "(not shown)"  # in the place of arguments, which may be secret

Event = tuple[str, dict[str, Any]]


class CeleryEvents(Subscriber):
    """
    Sends an event for what becomes of each attempt, while Celery sends any. Celery's main thread
    sends them, by its own dispatcher; while it has no broker, nothing is told.
    """

    def __init__(self, celery_worker: Any, main_thread: MainThread) -> None:
        self._celery_worker, self._main_thread = celery_worker, main_thread
        self._begun: WeakSet[Attempt] = WeakSet()  # of which it has told that they have begun
        self._waiting: deque[Event] = deque(maxlen=MAX_WAITING)
        self._is_called = False  # the main thread, which has not come to it

    def started(self, attempts: Attempts) -> None:
        if not self._are_wanted:
            return
        for attempt in attempts:
            self._waiting.extend(_beginning(attempt))
            self._begun.add(attempt)
        self._call()

    def recorded(self, attempts: Attempts) -> None:
        if not self._are_wanted:
            return
        for attempt in attempts:
            if attempt not in self._begun:
                self._waiting.extend(_beginning(attempt))
            self._waiting.extend(_end(attempt))
        self._call()

    @property
    def _are_wanted(self) -> bool:
        dispatcher = self._dispatcher
        if dispatcher is None or not dispatcher.enabled:
            return False
        tells_of_tasks = not dispatcher.groups or "task" in dispatcher.groups
        return tells_of_tasks and self._main_thread.is_connected

    @property
    def _dispatcher(self) -> Any:
        return getattr(self._celery_worker.consumer, "event_dispatcher", None)

    def _call(self) -> None:
        """Have the main thread send what waits, once: it may be held up for long."""
        if not self._is_called:
            self._is_called = True
            self._main_thread.call_soon(self._send)

    def _send(self) -> None:
        # Called in the main thread.
        self._is_called = False  # first: what is added from now on has a call of its own
        dispatcher = self._dispatcher
        for _ in range(len(self._waiting)):
            kind, fields = self._waiting.popleft()
            if dispatcher is not None:
                dispatcher.send(kind, **fields)


def _beginning(attempt: Attempt) -> Iterator[Event]:
    """Yield that the attempt was claimed, and that it has begun if it has."""
    run = attempt.run
    id_ = str(run.id)
    yield (
        "task-received",
        {
            "uuid": id_,
            "name": run.called_path,
            "args": NOT_SHOWN,
            "kwargs": NOT_SHOWN,
            "root_id": id_,
            "parent_id": None,
            "retries": max(0, run.attempts - 1),
            "eta": None,
            "expires": None,
            "timestamp": _wall_clock(attempt.claimed),
        },
    )
    if attempt.began is not None:
        yield "task-started", {"uuid": id_, "timestamp": _wall_clock(attempt.began)}


def _wall_clock(moment: float) -> float:
    """Return what the clock on the wall showed at a moment of time.monotonic()."""
    return float(time.time() - (time.monotonic() - moment))


def _end(attempt: Attempt) -> Iterator[Event]:
    """Yield what became of the attempt, in Celery's words."""
    id_ = str(attempt.run.id)
    match attempt.outcome:
        case Succeeded() | Committed():
            yield "task-succeeded", {"uuid": id_, "result": NOT_SHOWN, "runtime": attempt.duration}
        case Failed(_, entry) | Poisoned(_, entry) | Lost(_, entry):
            yield "task-failed", {"uuid": id_, **_error(entry)}
        case Retried(_, entry, _) | Crashed(_, entry):
            yield "task-retried", {"uuid": id_, **_error(entry)}
        case Cancelled():
            was_begun = attempt.began is not None
            revoked = {"terminated": was_begun, "signum": None, "expired": False}
            yield "task-revoked", {"uuid": id_, **revoked}
        case Snoozed() | Suspended() | Postponed() | Released() | Parked():
            yield "task-rejected", {"uuid": id_, "requeue": True}
        case Fenced() | InDoubt() | None:
            pass
        case unknown:
            assert_never(unknown)


def _error(entry: dict[str, str]) -> dict[str, str]:
    """Return an error as Celery shows it: in one line, and with its traceback."""
    lines = entry["traceback"].strip().splitlines() or [entry["exception_class_path"]]
    return {"exception": lines[-1], "traceback": entry["traceback"]}
