"""
Telling workers that runs have become ready, and hearing it; where the database can do that.

On a channel of its own workers tell how runs get on, of those that somebody watches, and has asked
for on theirs: so that a run which nobody watches tells nobody.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from django.db import Error as DatabaseError
from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from taskworks.database.connections import copy_of
from taskworks.logs import steady_logger

CHANNEL = "taskworks"
WATCHERS_CHANNEL = "taskworks_watched"
MAX_RUNS_PER_NOTIFICATION = 150  # ids in one notice, which has room for 8,000 bytes
NOTIFY_INTERVAL = 0.02  # seconds between two notices of a queue by a process
MOST = 1000  # queues of which this process remembers when it has told of them
# What is due so soon is told like what is ready; idle workers see by themselves what is due later.
SOON = timedelta(seconds=10)

logger = steady_logger(__name__)

_told: dict["Notification", float] = {}


OF_SCHEDULES = json.dumps({"schedules": True})  # that one was saved


@dataclass(frozen=True, slots=True)
class Notification:
    """That runs of a queue have become ready, or will be soon; of any, if none is named."""

    alias: str
    backend: str | None
    queue_name: str | None
    send: Callable[[str], None] = field(compare=False)

    def __call__(self) -> None:
        """Tell, unless this process just has: who was told looks again when the window is over."""
        now = time.monotonic()
        if now - _told.get(self, float("-inf")) < NOTIFY_INTERVAL:
            return
        if len(_told) >= MOST:
            _told.clear()
        _told[self] = now
        try:
            self.send(json.dumps([self.backend, self.queue_name]))
        except DatabaseError as error:  # the run is there, and will be found
            _told.pop(self, None)
            logger.warning("Workers could not be told of a run: %s", error)


def tell(notice: Notification, connection: BaseDatabaseWrapper) -> None:
    """When what it tells of is committed: a transaction with a notice in it holds up all others."""
    if not connection.in_atomic_block:
        notice()
    elif not _is_of_a_test(connection) and not _is_latest(notice, connection):
        transaction.on_commit(notice, using=connection.alias, robust=True)


def _is_of_a_test(connection: BaseDatabaseWrapper) -> bool:
    """Whether it ends with a rollback: nobody will see what is told of."""
    return any(getattr(block, "_from_testcase", False) for block in connection.atomic_blocks)


def _is_latest(notice: Notification, connection: BaseDatabaseWrapper) -> bool:
    """Whether the last thing that awaits this commit is to tell the same."""
    if not connection.run_on_commit:
        return False
    savepoints, call, *_ = connection.run_on_commit[-1]
    return call == notice and savepoints <= {*connection.savepoint_ids}


def payload_of_test(token: str) -> str:
    """What a worker sends to itself, to see whether it arrives."""
    return json.dumps({"test": token})


def read(payload: str) -> tuple[str | None, str | None] | None:
    """The backend and the queue that a notice names; None if it tells of no run."""
    match json.loads(payload):
        case [backend, queue_name]:
            return backend, queue_name
        case _:
            return None


def asking_for(run_ids: Sequence[UUID]) -> str:
    """What a worker is sent that is to tell of these runs for a while."""
    return json.dumps({"watch": [run_id.hex for run_id in run_ids]})


def asked_for(payload: str) -> list[UUID]:
    """The runs that a notice asks to be told of."""
    match json.loads(payload):
        case {"watch": [*run_ids]}:
            return [UUID(run_id) for run_id in run_ids]
        case _:
            return []


def news_of(run_ids: Sequence[UUID]) -> str:
    """What those who watch are sent: that there is something new of these runs."""
    return json.dumps([run_id.hex for run_id in run_ids])


def with_news(payload: str) -> list[UUID]:
    """The runs that there is something new of."""
    return [UUID(run_id) for run_id in json.loads(payload)]


class Listener:
    """
    A connection that hears notices: one more, outside of Django's and of any pool. Whatever goes
    wrong with it raises Django's database errors.
    """

    def __init__(self, like: BaseDatabaseWrapper) -> None:
        self._connection = copy_of(like)
        self._channels: set[str] = set()

    def __enter__(self) -> Self:
        try:
            self._connection.ensure_connection()
            self._connection.set_autocommit(True)
        except BaseException:
            self._connection.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._connection.close()

    @property
    def is_pooled(self) -> bool:
        """Whether it reaches a session of the server that a pooler may give to others."""
        said = self._connection.connection.info.backend_pid
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            return bool(cursor.fetchone() != (said,))

    def listen(self, channel: str = CHANNEL) -> None:
        """Hear what is sent there from now on."""
        with self._connection.cursor() as cursor:
            cursor.execute(f"LISTEN {channel}")
        self._channels.add(channel)

    def wait(self, seconds: float, hush: Connection) -> list[str]:
        """The payloads that have come, as soon as there are some, or time or patience is over."""
        raw = self._connection.connection
        wait([raw.fileno(), hush], seconds)
        with self._connection.wrap_database_errors:
            return [payload for channel, payload in _arrived(raw) if channel in self._channels]


def _arrived(raw: Any) -> list[tuple[str, str]]:
    """The channels and payloads of what has come."""
    if hasattr(raw, "pgconn"):  # psycopg 3
        raw.pgconn.consume_input()
        arrived = iter(raw.pgconn.notifies, None)
        return [(notice.relname.decode(), notice.extra.decode()) for notice in arrived]
    raw.poll()  # psycopg2
    arrived, raw.notifies = raw.notifies, []
    return [(notice.channel, notice.payload) for notice in arrived]
