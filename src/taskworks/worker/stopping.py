"""Stops attempts: timeouts, cancellations, shutdown."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from django.db import Error as DatabaseError

from taskworks.conf import conf
from taskworks.execution import Attempt, Reason
from taskworks.store import Store

DEADLINE_INTERVAL = 0.05  # seconds between two looks at deadlines
CANCEL_INTERVAL = 0.4  # seconds between two looks for requested cancellations
NOTICE_WITHIN = 0.25  # seconds in which a task may notice cancel_requested on its own
KILL_AFTER = 1.0  # seconds between interrupting a child process and killing it


@dataclass(slots=True)
class Stop:
    """Why an attempt is to stop, since when, and how often it was interrupted."""

    reason: Reason
    since: float
    interrupts: int = 0


class Stopper:
    """
    Stops attempts step by step: the context says so, then the task is interrupted, and again; then
    its process is killed, or, for a thread, ``give_up`` is called once.
    """

    def __init__(
        self, store: Store, worker: Callable[[], UUID], give_up: Callable[[Attempt, Reason], None]
    ) -> None:
        self._store, self._worker, self._give_up = store, worker, give_up
        self._stops: dict[Attempt, Stop] = {}
        self._next_question = self._next_look = 0.0

    def look(self, attempts: list[Attempt], *, is_asking: bool) -> None:
        """Stop those of these attempts that are to stop; all of them if ``is_asking``."""
        now = time.monotonic()
        self._next_look = now + DEADLINE_INTERVAL
        self._forget_others(attempts)
        self._ask_for_cancellations(attempts, now)
        worker = self._worker()
        for attempt in attempts:
            if attempt.run.claimed_by != worker:  # it was given up
                self._stop(attempt, Reason.GIVEN_UP, now)
            if is_asking:
                self._stop(attempt, Reason.SHUTDOWN, now)
            if now >= attempt.deadline:
                self._stop(attempt, Reason.TIMEOUT, now)
            if stop := self._stops.get(attempt):
                if attempt.began:
                    self._press(attempt, stop, now)
                elif stop.reason is Reason.GIVEN_UP:
                    attempt.guard.interrupt(stop.reason)

    @property
    def seconds(self) -> float:
        """Seconds until it is time to look again."""
        return max(0.0, self._next_look - time.monotonic())

    def _ask_for_cancellations(self, attempts: list[Attempt], now: float) -> None:
        if now < self._next_question or not _old_enough(attempts):
            return
        self._next_question = now + CANCEL_INTERVAL
        try:
            wanted = self._store.to_cancel(self._worker())
        except DatabaseError:  # deadlines hold during an outage too, which others handle
            return
        for attempt in attempts:
            if attempt.run.id in wanted and not attempt.is_cancelled:
                attempt.channel.cancel_requested = True
                attempt.guard.request_cancel()
                self._stop(attempt, Reason.CANCEL, now + NOTICE_WITHIN)

    def _stop(self, attempt: Attempt, reason: Reason, since: float) -> None:
        self._stops.setdefault(attempt, Stop(reason, since))

    def _press(self, attempt: Attempt, stop: Stop, now: float) -> None:
        """Take the next step, if it is time for it."""
        pressed, grace = now - stop.since, conf().interrupt_grace
        if pressed >= KILL_AFTER and attempt.guard.kill(stop.reason):
            return
        if (
            pressed >= grace and stop.reason is not Reason.SHUTDOWN
        ):  # which has a deadline of its own
            self._give_up(attempt, stop.reason)
        elif pressed >= stop.interrupts * grace / 2:
            stop.interrupts += 1
            attempt.guard.interrupt(stop.reason)

    def _forget_others(self, attempts: list[Attempt]) -> None:
        if self._stops:
            in_hand = set(attempts)
            self._stops = {a: stop for a, stop in self._stops.items() if a in in_hand}


def _old_enough(attempts: list[Attempt]) -> bool:
    """Return whether an attempt has taken long enough to be worth a query."""
    return any(attempt.age >= CANCEL_INTERVAL for attempt in attempts)
