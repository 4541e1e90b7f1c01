"""
One ordered list of subscribers hears of all that this worker has written about its attempts, in the
thread that writes. A feature that needs to know the outcomes of attempts is one more subscriber.

A run can also end without an attempt of this worker: it is cancelled while it waits, or fails
because its own worker died. The signals in ``taskworks.signals`` tell of these ends, too.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from taskworks.execution import Attempt
from taskworks.logs import steady_logger

logger = steady_logger(__name__)

Attempts = Sequence[Attempt]


class Subscriber:
    """Does nothing; a subclass overrides what it wants to hear. Must not block for long."""

    def started(self, attempts: Attempts) -> None:
        """The starts of these attempts are written."""

    def progressed(self, attempts: Attempts) -> None:
        """What the tasks of these attempts have reported is written."""

    def recorded(self, attempts: Attempts) -> None:
        """The outcomes of these attempts are written."""

    def refused(self, attempt: Attempt) -> None:
        """The outcome was not written: the run is another worker's, or gone."""

    def stuck(self, attempt: Attempt) -> None:
        """The task cannot be stopped."""


class Observer(Subscriber):
    """Also told of the life of a worker. A command that prints overrides it."""

    def begins(self, label: str, taken: str) -> None:
        """The worker has registered, and takes the queues that ``taken`` describes."""

    def draining(self, running: int) -> None:
        """The worker claims nothing more, and has ``running`` runs in hand."""

    def ended(self, released: int) -> None:
        """The worker has signed off, after it gave back ``released`` runs."""


class RunEvents(Subscriber):
    """Passes everything on to its subscribers, in their order. One that raises stops no other."""

    def __init__(self, subscribers: Iterable[Subscriber]) -> None:
        subscribers = list(subscribers)
        self._started = [s.started for s in subscribers if _overrides(s, "started")]
        self._progressed = [s.progressed for s in subscribers if _overrides(s, "progressed")]
        self._recorded = [s.recorded for s in subscribers if _overrides(s, "recorded")]
        self._refused = [s.refused for s in subscribers if _overrides(s, "refused")]
        self._stuck = [s.stuck for s in subscribers if _overrides(s, "stuck")]

    def started(self, attempts: Attempts) -> None:
        _tell(self._started, attempts)

    def progressed(self, attempts: Attempts) -> None:
        _tell(self._progressed, attempts)

    def recorded(self, attempts: Attempts) -> None:
        _tell(self._recorded, attempts)

    def refused(self, attempt: Attempt) -> None:
        _tell(self._refused, attempt)

    def stuck(self, attempt: Attempt) -> None:
        _tell(self._stuck, attempt)


def _overrides(subscriber: Subscriber, event: str) -> bool:
    return getattr(type(subscriber), event) is not getattr(Subscriber, event)


def _tell(calls: Iterable[Callable[[Any], None]], what: Any) -> None:
    for call in calls:
        try:
            call(what)
        except Exception:
            logger.exception("A subscriber of run events failed.")
