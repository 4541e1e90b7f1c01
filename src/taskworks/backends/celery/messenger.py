"""Makes tickets of the runs that the store calls ready, and sends none after the process."""

import atexit
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from taskworks import real_time as time
from taskworks.backends.celery.options import has_tickets, options_of
from taskworks.backends.celery.ticket import Ticket
from taskworks.backends.celery.tickets import Tickets
from taskworks.correlation import METADATA_KEY, correlation_of
from taskworks.database import messengers
from taskworks.database.messengers import Call, ReadyRun
from taskworks.exceptions import InvalidTaskBackend
from taskworks.framework import task_backends
from taskworks.logs import steady_logger
from taskworks.reserved_metadata import OF_INSTRUMENTS, carried_in

TIME_AT_EXIT = 1.0  # seconds, for all tickets of the process

TRACING = ("traceparent", "tracestate")  # what instruments carry that brokers' tools know
ROUTING_KEY = "routing_key"  # in the metadata of the runs of an endpoint's task
MAX_ROUTING_KEY = 255  # bytes, which AMQP allows

logger = steady_logger(__name__)


class TicketMessenger:
    """Sends tickets for the runs of backends of Celery."""

    def __init__(self) -> None:
        self._of_backends: dict[str, Tickets] = {}

    def serve(self, backend: str) -> None:
        """Send tickets for the runs of this backend from now on."""
        if backend not in self._of_backends:
            self._of_backends[backend] = Tickets(backend)
        messengers.add(self)

    def serves(self, backend: str | None) -> bool:
        """Return whether runs of this backend get tickets; of any backend, for None."""
        return backend is None or backend in self._of_backends

    def tell(self, backend: str | None, queue_name: str | None, calls: Sequence[Call]) -> None:
        """Send tickets for ready runs of a queue, or to every queue."""
        try:
            for alias in [*self._of_backends] if backend is None else [backend]:
                self._tell(alias, queue_name, calls)
        except Exception:
            logger.exception("Unexpected error while sending tickets to Celery's workers.")

    def _tell(self, alias: str, queue_name: str | None, calls: Sequence[Call]) -> None:
        most = _most_tickets(alias)
        if not most:
            return
        if queue_name is None:
            self._of_backends[alias].add([min(most, sum(call.total for call in calls))])
        else:
            runs = (run for call in calls for run in call.runs[:most])
            self._of_backends[alias].add(_ticket(queue_name, run) for run in runs)

    def end(self) -> None:
        """Send what waits, for a second at most."""
        over = time.monotonic() + TIME_AT_EXIT
        ends = [tickets.end() for tickets in self._of_backends.values()]
        for end in filter(None, ends):
            end.wait(max(0.0, over - time.monotonic()))

    def begin_anew(self) -> None:
        """Leave the threads and connections to the process that has forked this one."""
        for alias, tickets in self._of_backends.items():
            tickets.abandon()
            self._of_backends[alias] = Tickets(alias)


def _most_tickets(alias: str) -> int:
    """Return for how many runs of a call there are tickets; 0 if this is another backend now."""
    try:
        backend = task_backends[alias]
    except InvalidTaskBackend:
        return 0
    return options_of(backend).tickets if has_tickets(backend) else 0


def _ticket(queue_name: str, run: ReadyRun) -> Ticket:
    return Ticket(queue_name, str(run.id), _routing_key(run.metadata), dict(_headers(run.metadata)))


def _routing_key(metadata: Mapping[str, Any]) -> str | None:
    given = metadata.get(ROUTING_KEY)
    fits = isinstance(given, str) and len(given.encode(errors="replace")) <= MAX_ROUTING_KEY
    return given if fits else None


def _headers(metadata: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what a run carries that brokers' tools know."""
    instruments = metadata.get(OF_INSTRUMENTS)
    for instrument in instruments if isinstance(instruments, Mapping) else ():
        texts = carried_in(metadata, instrument)
        yield from ((name, texts[name]) for name in TRACING if name in texts)
    if correlation := correlation_of(metadata):
        yield METADATA_KEY, correlation


messenger = TicketMessenger()

atexit.register(messenger.end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=messenger.begin_anew)
