"""A worker's ledger, and attempts in it, without the worker."""

from collections.abc import Iterable

from taskworks.backends.database import DatabaseBackend
from taskworks.execution import Attempt
from taskworks.recording.events import RunEvents, Subscriber
from taskworks.recording.ledger import Ledger
from taskworks.recording.subscribers import RunLog, RunSignals
from taskworks.store import store


def new_ledger(*subscribers: Subscriber) -> Ledger:
    """A ledger that logs and sends signals as a worker's does."""
    events = RunEvents([RunLog(), RunSignals(DatabaseBackend), *subscribers])
    return Ledger(store(), events, wake=lambda: None)


def submit(ledger: Ledger, attempts: Iterable[Attempt]) -> None:
    """Take attempts in hand as if a pool had them."""
    for attempt in attempts:
        ledger.in_hand.take([attempt])
        ledger.in_hand.submitted([attempt])
