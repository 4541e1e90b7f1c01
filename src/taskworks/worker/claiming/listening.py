"""A worker's ear for notices of new runs, where the database sends them."""

import multiprocessing
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from uuid import UUID, uuid4

from django.db import Error as DatabaseError
from django.db import connections

from taskworks.database.notifications import (
    OF_SCHEDULES,
    Listener,
    asked_for,
    payload_of_test,
    read,
)
from taskworks.database.outage import Outage
from taskworks.logs import steady_logger
from taskworks.store import Store
from taskworks.worker.claiming.queues import Queues

TEST_EVERY = 30.0  # seconds between two tests of whether notices arrive
ARRIVES_WITHIN = 3.0  # seconds in which they do
MOST_NEWS = 100  # queues by name; then any is meant

logger = steady_logger(__name__)


class NotificationListener(threading.Thread):
    """
    Listens for notices about queues that the worker takes, and calls ``wake``, in this thread;
    ``take`` says then what was told. It calls, too, whenever it may have missed something;
    ``watch`` with the runs that somebody asks to be told of; and ``wake_scheduler`` when a schedule
    was saved.
    """

    def __init__(
        self,
        store: Store,
        backend: str,
        queues: Queues,
        wake: Callable[[], None],
        *,
        watch: Callable[[list[UUID]], None] = lambda run_ids: None,
        wake_scheduler: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(name="taskworks-wakeup", daemon=True)
        self._store, self._backend, self._queues, self._wake = store, backend, queues, wake
        self._watch, self._wake_scheduler = watch, wake_scheduler
        token = uuid4().hex
        self._test, self._channel_of_test = payload_of_test(token), f"taskworks_{token}"
        self._hush, self._hushing = multiprocessing.Pipe(duplex=False)
        self._is_stopped = False
        self._news: deque[str | None] = deque(maxlen=MOST_NEWS)
        self._says_that_it_is_deaf = False
        self._outage = Outage(
            "The worker cannot listen for notifications, and polls",
            "The worker listens for notifications again.",
        )
        self.works = False

    def take(self) -> set[str | None]:
        """The queues that were told of since this was asked last; None is any."""
        taken: set[str | None] = {None} if len(self._news) == MOST_NEWS else set()
        with suppress(IndexError):
            while True:
                taken.add(self._news.popleft())
        return taken

    def run(self) -> None:
        while not self._is_stopped and (listener := self._store.listener()):
            pause = self._listen_as_long_as_possible(listener)
            connections.close_all()
            if not self._is_stopped:
                self.works = False
                self._note(None)  # or the worker would go on looking as rarely
                self._hush.poll(pause)

    def stop(self) -> None:
        """Listen no more; waits until the connection is closed."""
        self._is_stopped = True
        self._hushing.send_bytes(b"hush")
        if self.is_alive():
            self.join(ARRIVES_WITHIN)

    def _listen_as_long_as_possible(self, listener: Listener) -> float:
        """Seconds to wait before the next try."""
        try:
            with listener:
                self._listen(listener)
        except DatabaseError as error:
            return self._outage.note_error(error)
        except Exception:
            logger.exception("Listening for notifications failed.")
        return _about(TEST_EVERY)

    def _listen(self, listener: Listener) -> None:
        """Until nothing arrives any more."""
        # At first where nobody else sends: a pooler may have others go on in the session, who
        # would be told what they never read.
        listener.listen(self._channel_of_test)
        if not self._arrives(listener, self._channel_of_test):
            return self._note_deafness()
        listener.listen()
        self._note(None)  # what came before
        while not self._is_stopped:
            self._note_hearing()
            self._hears(listener, for_test=False, seconds=_about(TEST_EVERY))
            if not self._arrives(listener):
                return self._note_deafness()
        return None

    def _arrives(self, listener: Listener, channel: str | None = None) -> bool:
        """Whether a notice does, that is sent through an ordinary connection."""
        self._store.notify(self._test, channel)
        connections[self._store.alias].close()  # so as not to hold two of them
        return self._hears(listener, for_test=True, seconds=ARRIVES_WITHIN)

    def _hears(self, listener: Listener, *, for_test: bool, seconds: float) -> bool:
        """Hear for so long, or until our own test arrives; say whether it has."""
        deadline = time.monotonic() + seconds
        while not self._is_stopped and (left := deadline - time.monotonic()) > 0:
            payloads = listener.wait(left, self._hush)
            for payload in payloads:
                self._hear(payload)
            if for_test and self._test in payloads:
                return True
        return False

    def _hear(self, payload: str) -> None:
        if payload == OF_SCHEDULES:
            self._wake_scheduler()
        elif run_ids := asked_for(payload):
            self._watch(run_ids)
        elif meant := read(payload):
            backend, queue_name = meant
            takes_queue = queue_name is None or self._queues.takes(queue_name)
            if backend in (None, self._backend) and takes_queue:
                self._note(queue_name)

    def _note(self, queue_name: str | None) -> None:
        self._news.append(queue_name)
        if len(self._news) <= 1:  # others have woken the worker, who has not come yet
            self._wake()

    def _note_hearing(self) -> None:
        self.works = True
        self._outage.clear()
        if self._says_that_it_is_deaf:
            self._says_that_it_is_deaf = False
            logger.warning("Notifications of the database arrive again.")

    def _note_deafness(self) -> None:
        if not self._is_stopped and not self._says_that_it_is_deaf:
            self._says_that_it_is_deaf = True
            logger.warning(
                "Notifications of the database do not arrive; a connection pooler may be in "
                "between. The worker polls."
            )


def _about(seconds: float) -> float:
    return seconds * random.uniform(0.8, 1)  # noqa: S311 - jitter, no secret
