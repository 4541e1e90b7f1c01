"""How a worker hears of new runs, where the database sends notifications."""

import random
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

from django.db import connections

from taskworks import real_time as time
from taskworks.database.background import BackgroundThread
from taskworks.database.listener import Listener, PipeEvent
from taskworks.database.payloads import SCHEDULE_SAVED, asked_for, own_payload, ready_queue
from taskworks.logs import steady_logger
from taskworks.store import Store
from taskworks.worker.claiming.news import News
from taskworks.worker.claiming.queues import Queues

SELF_TEST_INTERVAL = 30.0  # seconds between two tests of whether notifications arrive
ARRIVES_WITHIN = 3.0  # seconds in which a notification arrives, or never

logger = steady_logger(__name__)


class NotificationListener(BackgroundThread):
    """
    Listens for notifications about queues that the worker claims from, and calls ``wake_worker``
    then; ``take`` returns the queues. It does so, too, whenever it may have missed a notification.
    ``watch`` is called with the runs that somebody watches, and ``wake_scheduler`` when a schedule
    was saved. All are called in this thread.
    """

    misses_nothing = True

    def __init__(
        self,
        store: Store,
        backend: str,
        queues: Queues,
        wake_worker: Callable[[], None],
        *,
        watch: Callable[[list[UUID]], None] = lambda run_ids: None,
        wake_scheduler: Callable[[], None] = lambda: None,
        **_of_a_watcher: Any,
    ) -> None:
        self._interrupt = PipeEvent()
        super().__init__(
            "listener", store.alias, "listening for notifications", woken=self._interrupt
        )
        self.stop_timeout = ARRIVES_WITHIN
        self._store, self._backend, self._queues = store, backend, queues
        self._news = News(wake_worker)
        self._watch, self._wake_scheduler = watch, wake_scheduler
        token = uuid4().hex
        self._own_payload, self._own_channel = own_payload(token), f"taskworks_{token}"
        self._has_logged_that_none_arrive = False
        self.works = False

    def take(self) -> set[str | None]:
        """Return the queues it was notified of since the last call; None stands for any queue."""
        return self._news.take()

    def step(self) -> float:
        """Listen until notifications no longer arrive; return the seconds until the next try."""
        listener = self._store.listener()
        if listener is None:
            self.is_stopping = True
            return 0.0
        try:
            with listener:
                self._listen(listener)
        finally:
            if not self.is_stopping:
                self.works = False
                self._news.note(None)  # or the worker would go on polling as rarely
        return _jittered(SELF_TEST_INTERVAL)

    def _listen(self, listener: Listener) -> None:
        # First on a channel of our own: behind a pooler the session may go on to others, who would
        # then get notifications that they never read.
        listener.listen(self._own_channel)
        if not self._own_arrives(listener, self._own_channel):
            return self._note_that_none_arrive()
        listener.listen()
        self._news.note(None)  # what was sent before
        while not self.is_stopping:
            self._note_that_they_arrive()
            self._receive(listener, seconds=_jittered(SELF_TEST_INTERVAL))
            if not self._own_arrives(listener):
                return self._note_that_none_arrive()
        return None

    def _own_arrives(self, listener: Listener, channel: str | None = None) -> bool:
        """Return whether a notification arrives that is sent through another connection."""
        self._store.notify(self._own_payload, channel)
        connections[self._store.alias].close()  # so as not to keep two of them
        return self._receive(listener, seconds=ARRIVES_WITHIN, until=self._own_payload)

    def _receive(self, listener: Listener, *, seconds: float, until: str | None = None) -> bool:
        """Receive for ``seconds``, or until this payload arrives; return whether it has."""
        deadline = time.monotonic() + seconds
        while not self.is_stopping and (left := deadline - time.monotonic()) > 0:
            payloads = listener.wait(left, self._interrupt)
            for payload in payloads:
                self._take_in(payload)
            if until in payloads:
                return True
        return False

    def _take_in(self, payload: str) -> None:
        if payload == SCHEDULE_SAVED:
            self._wake_scheduler()
        elif run_ids := asked_for(payload):
            self._watch(run_ids)
        elif ready := ready_queue(payload):
            backend, queue_name = ready
            takes_queue = queue_name is None or self._queues.takes(queue_name)
            if backend in (None, self._backend) and takes_queue:
                self._news.note(queue_name)

    def _note_that_they_arrive(self) -> None:
        self.works = True
        self.outage.clear()
        if self._has_logged_that_none_arrive:
            self._has_logged_that_none_arrive = False
            logger.warning("Notifications of the database arrive again.")

    def _note_that_none_arrive(self) -> None:
        if not self.is_stopping and not self._has_logged_that_none_arrive:
            self._has_logged_that_none_arrive = True
            logger.warning(
                "Notifications of the database do not arrive; a connection pooler may be in "
                "between. The worker polls."
            )


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(0.8, 1)  # noqa: S311 - jitter, no secret
