"""Stop attempts: on a timeout, a cancellation, a shutdown, or if the worker was given up."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from django.db import Error as DatabaseError

from taskworks import real_time as time
from taskworks.conf import conf
from taskworks.execution import Attempt, Outcome, Reason, Retried, judge_stuck
from taskworks.recording.events import RunEvents
from taskworks.recording.ledger import Ledger
from taskworks.store import Store
from taskworks.worker.shutdown import Shutdown

DEADLINE_INTERVAL = 0.05  # seconds between checks of deadlines
CANCEL_INTERVAL = 0.4  # seconds between queries for requested cancellations
CANCEL_NOTICE = 0.25  # seconds that a task has to notice cancel_requested before an interrupt
KILL_AFTER = 1.0  # seconds between interrupting a child process and killing it
RETRY_STUCK_AFTER = timedelta(seconds=1)  # by then this process, and the stuck attempt, has gone


@dataclass(slots=True)
class Stop:
    """Why and from when an attempt is to stop, and how often it was interrupted."""

    reason: Reason
    since: float  # monotonic; may be in the future
    interrupts: int = 0


class Stopper:
    """
    Stops attempts step by step. A task whose cancellation was requested first sees that in its
    context. Then the task is interrupted, and again. Then its process is killed; if it has none of
    its own, it is abandoned, and the worker is to start again. ``receive`` is called with what then
    became of the attempt, unless that is to be written when this process leaves.
    """

    def __init__(
        self,
        store: Store,
        worker: Callable[[], UUID],
        *,
        ledger: Ledger,
        events: RunEvents,
        shutdown: Shutdown,
        receive: Callable[[Attempt, Outcome], None],
    ) -> None:
        self._store, self._worker = store, worker
        self._ledger, self._events, self._shutdown = ledger, events, shutdown
        self._receive = receive
        self._stops: dict[Attempt, Stop] = {}
        self._next_cancel_query = self._next_look = 0.0

    def look(self, attempts: list[Attempt], *, is_asking: bool) -> None:
        """
        Take the next step with each of these attempts that is to stop: with all of them if the
        worker is asking its tasks to stop.
        """
        now = time.monotonic()
        self._next_look = now + DEADLINE_INTERVAL
        self._forget_others(attempts)
        self._stop_cancelled(attempts, now)
        worker = self._worker()
        for attempt in attempts:
            if attempt.run.claimed_by != worker:  # the worker was given up
                self._stop(attempt, Reason.GIVEN_UP, now)
            if is_asking:
                self._stop(attempt, Reason.SHUTDOWN, now)
            if now >= attempt.deadline:
                self._stop(attempt, Reason.TIMEOUT, now)
            if stop := self._stops.get(attempt):
                if attempt.began:
                    self._take_step(attempt, stop, now)
                elif stop.reason is Reason.GIVEN_UP:
                    attempt.guard.interrupt(stop.reason)

    @property
    def seconds(self) -> float:
        """Seconds until it is time to look again."""
        return max(0.0, self._next_look - time.monotonic())

    def _stop_cancelled(self, attempts: list[Attempt], now: float) -> None:
        if now < self._next_cancel_query or not _old_enough(attempts, now):
            return
        self._next_cancel_query = now + CANCEL_INTERVAL
        try:
            wanted = self._store.to_cancel(self._worker())
        except DatabaseError:  # an outage, which others handle: deadlines still apply
            return
        for attempt in attempts:
            if attempt.run.id in wanted and not attempt.is_cancelled:
                attempt.channel.cancel_requested = True
                attempt.guard.request_cancel()
                self._stop(attempt, Reason.CANCEL, now + CANCEL_NOTICE)

    def _stop(self, attempt: Attempt, reason: Reason, since: float) -> None:
        self._stops.setdefault(attempt, Stop(reason, since))

    def _take_step(self, attempt: Attempt, stop: Stop, now: float) -> None:
        """Take the next step, if it is due."""
        elapsed, grace = now - stop.since, conf().interrupt_grace
        if elapsed >= KILL_AFTER and attempt.guard.kill(stop.reason):
            return
        # A shutdown has a deadline of its own.
        if elapsed >= grace and stop.reason is not Reason.SHUTDOWN:
            self._abandon(attempt, stop.reason)
        elif elapsed >= stop.interrupts * grace / 2:
            stop.interrupts += 1
            attempt.guard.interrupt(stop.reason)

    def _abandon(self, attempt: Attempt, reason: Reason) -> None:
        """
        Settle the attempt of a task that does not stop, without waiting for it. A retry has to
        wait until this process, and the task with it, has gone.
        """
        where = attempt.guard.stack()
        outcome = judge_stuck(attempt, reason.exception().with_traceback(where))
        self._events.stuck(attempt)
        self._shutdown.restart()
        if isinstance(outcome, Retried):
            delay = max(outcome.delay, RETRY_STUCK_AFTER)
            self._ledger.settle_after_exit(attempt, replace(outcome, delay=delay))
        else:
            self._receive(attempt, outcome)

    def _forget_others(self, attempts: list[Attempt]) -> None:
        if self._stops:
            in_hand = set(attempts)
            self._stops = {a: stop for a, stop in self._stops.items() if a in in_hand}


def _old_enough(attempts: list[Attempt], now: float) -> bool:
    """Return whether any attempt has taken long enough to be worth a query."""
    return any(now - attempt.claimed >= CANCEL_INTERVAL for attempt in attempts)
