"""How a worker hears of new runs through Redis, if ``TASKWORKS["WAKEUP"]`` names one."""

import random
from collections.abc import Callable
from contextlib import closing
from typing import Any
from uuid import uuid4

from taskworks import real_time as time
from taskworks.conf import conf
from taskworks.database.background import BackgroundThread
from taskworks.database.outage import Outage
from taskworks.database.payloads import SCHEDULE_SAVED, ready_queue
from taskworks.logs import steady_logger
from taskworks.store import Store
from taskworks.wakeup.address import client_of, without_secrets
from taskworks.wakeup.channel import channel_of
from taskworks.worker.claiming.news import News
from taskworks.worker.claiming.queues import Queues

SELF_TEST_INTERVAL = 10.0  # seconds between two tests of whether Redis answers
ANSWERS_WITHIN = 3.0  # seconds in which it answers, or never
LONGEST_WAIT = 0.2  # seconds until it is seen that the worker stops
LONGEST_PAYLOAD = 8000  # bytes, as PostgreSQL has it; what is longer is none of ours
SHORTEST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds between two tries to connect

logger = steady_logger(__name__)


class RedisListener(BackgroundThread):
    """
    Listens for wake-ups of the workers of a database, and calls ``wake_worker`` if they are about
    queues that the worker claims from; ``take`` returns None then, for any queue. It does so, too,
    whenever it may have missed some. ``wake_scheduler`` is called in this thread when a schedule
    was saved.
    """

    misses_nothing = False  # not everybody who enqueues may reach this Redis

    def __init__(
        self,
        store: Store,
        backend: str,
        queues: Queues,
        wake_worker: Callable[[], None],
        *,
        wake_scheduler: Callable[[], None] = lambda: None,
        **_of_a_listener: Any,
    ) -> None:
        super().__init__("wake-ups", store.alias, "listening for wake-ups")
        self._backend, self._queues = backend, queues
        self._news, self._wake_scheduler = News(wake_worker), wake_scheduler
        self._outage = Outage(self.activity, "Redis", SHORTEST_PAUSE, LONGEST_PAUSE)
        self.works = False

    def take(self) -> set[str | None]:
        """Return {None} if it was woken since the last call, else nothing."""
        return self._news.take()

    def step(self) -> float:
        """Listen until Redis no longer answers; return the seconds until the next try."""
        channel = channel_of(self.alias)
        address = conf().wakeup
        try:
            with closing(client_of(address)) as client, closing(client.pubsub()) as subscription:
                self._listen(subscription, channel)
        except Exception as error:  # noqa: BLE001 - of Redis, the network, or the setting
            return self._outage.note_error(without_secrets(str(error), address))
        finally:
            if self.works and not self.is_stopping:
                self.works = False
                self._news.note(None)  # or the worker would go on polling as rarely
        return 0.0

    def _listen(self, subscription: Any, channel: str) -> None:
        subscription.subscribe(channel)
        self._receive_until(subscription, "subscribe")
        while not self.is_stopping:
            if not self.works:
                self.works = True
                self._news.note(None)  # what was sent before
            self._outage.clear()
            self._receive(subscription, _jittered(SELF_TEST_INTERVAL))
            subscription.ping(uuid4().hex)
            self._receive_until(subscription, "pong")

    def _receive_until(self, subscription: Any, kind: str) -> None:
        """Receive until a message of this kind arrives; raise TimeoutError if none does."""
        if not self._receive(subscription, ANSWERS_WITHIN, kind) and not self.is_stopping:
            raise TimeoutError(f"no answer within {ANSWERS_WITHIN:g} s")

    def _receive(self, subscription: Any, seconds: float, until: str = "") -> bool:
        """Receive for ``seconds``, or until a message of this kind; return whether it arrived."""
        deadline = time.monotonic() + seconds
        while not self.is_stopping and (left := deadline - time.monotonic()) > 0:
            message = subscription.get_message(timeout=min(left, LONGEST_WAIT))
            if message is None:
                continue
            if message["type"] == "message":
                self._take_in(message["data"])
            if message["type"] == until:
                return True
        return False

    def _take_in(self, data: bytes) -> None:
        """Act on what Taskworks has sent; anybody else may send anything."""
        if len(data) > LONGEST_PAYLOAD:
            return
        payload = data.decode(errors="replace")
        if payload == SCHEDULE_SAVED:
            self._wake_scheduler()
        elif ready := ready_queue(payload):
            backend, queue_name = ready
            takes_queue = queue_name is None or self._queues.takes(queue_name)
            if backend in (None, self._backend) and takes_queue:
                # Not by its name: of a pause this may not have heard, or not before.
                self._news.note(None)


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(0.8, 1)  # noqa: S311 - jitter, no secret
