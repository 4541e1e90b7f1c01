"""
Notifications between processes, where the database can send them (PostgreSQL).

On one channel workers hear that runs have become ready, that a schedule was saved, and which runs
somebody watches. On another one they answer that a watched run has changed; a run that nobody
watches costs no notification.
"""

import json
import multiprocessing
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing.connection import wait
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID

from django.db import Error as DatabaseError
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from taskworks import real_time as time
from taskworks.database.connections import copy_of
from taskworks.database.foreign_errors import foreign_errors_as_database_errors
from taskworks.database.transactions import is_inside_test_case
from taskworks.logs import steady_logger

CHANNEL = "taskworks"
WATCHERS_CHANNEL = "taskworks_watched"
MAX_RUNS_PER_NOTIFICATION = 150  # ids; a payload has room for 8,000 bytes
LATEST_CALLS = 2  # that an enqueue leaves for a commit: a notification, and a message by a broker
NOTIFY_INTERVAL = 0.02  # seconds between two notifications of a queue by one process
LONGEST_NAME = 128  # characters, of a queue or a backend
SURROGATES = re.compile("[\ud800-\udfff]")  # which cannot be encoded
MAX_QUEUES_REMEMBERED = 1000  # of which this process knows when it last sent a notification
# Runs due sooner than this are notified like ready ones; idle workers find later ones on their own.
NOTIFY_IF_DUE_WITHIN = timedelta(seconds=10)

SCHEDULE_SAVED = json.dumps({"schedules": True})
# To workers this says that runs of any queue may be ready: they look at what is paused as well.
PAUSES_CHANGED = json.dumps([None, None])

Call = TypeVar("Call", bound=Callable[[], Any])

logger = steady_logger(__name__)

_sent_at: dict["Notification", float] = {}


@dataclass(frozen=True, slots=True)
class Notification:
    """Says that runs of a queue have become ready, or soon will; of any queue if none is named."""

    alias: str
    backend: str | None
    queue_name: str | None
    send: Callable[[str], None] = field(compare=False)

    def __call__(self) -> None:
        """Send it, unless this process just has: its receivers look again after the interval."""
        now = time.monotonic()
        if now - _sent_at.get(self, float("-inf")) < NOTIFY_INTERVAL:
            return
        if len(_sent_at) >= MAX_QUEUES_REMEMBERED:
            _sent_at.clear()
        _sent_at[self] = now
        try:
            with foreign_errors_as_database_errors(connections[self.alias]):
                self.send(json.dumps([self.backend, self.queue_name]))
        except DatabaseError as error:  # the run is there, and will be found
            _sent_at.pop(self, None)
            logger.warning("Workers could not be notified of a run: %s", error)


def notify_on_commit(notification: Notification, connection: BaseDatabaseWrapper) -> None:
    """
    Send the notification when the current transaction, if there is one, is committed. Not inside
    it: PostgreSQL commits transactions that notify one after the other.
    """
    if not connection.in_atomic_block:
        notification()
    elif not is_inside_test_case(connection) and not awaiting_commit(notification, connection):
        transaction.on_commit(notification, using=connection.alias, robust=True)


def awaiting_commit(call: Call, connection: BaseDatabaseWrapper) -> Call | None:
    """Return an equal call among the last ones that await this commit."""
    for savepoints, waiting, *_ in connection.run_on_commit[-LATEST_CALLS:]:
        if waiting == call and savepoints <= {*connection.savepoint_ids}:
            return waiting
    return None


# Payloads. Any role of the database may send any text, which is ignored if it is not one of these.


def own_payload(token: str) -> str:
    """Return what a worker sends to itself to see whether notifications arrive."""
    return json.dumps({"test": token})


def ready_queue(payload: str) -> tuple[str | None, str | None] | None:
    """Return the backend and the queue of a notification of ready runs; None for any other."""
    match _parsed(payload):
        case [backend, queue_name] if _may_be_name(backend) and _may_be_name(queue_name):
            return backend, queue_name
        case _:
            return None


def _may_be_name(name: Any) -> bool:
    """Return whether it names nothing, or something that a database can be asked for."""
    if not isinstance(name, str):
        return name is None
    return len(name) <= LONGEST_NAME and "\0" not in name and not SURROGATES.search(name)


def asking_for(run_ids: Sequence[UUID]) -> str:
    """Return what asks workers to report changes of these runs for a while."""
    return json.dumps({"watch": [run_id.hex for run_id in run_ids]})


def asked_for(payload: str) -> list[UUID]:
    """Return the runs whose changes a notification asks for."""
    match _parsed(payload):
        case {"watch": [*run_ids]}:
            return _ids(run_ids)
        case _:
            return []


def news_of(run_ids: Sequence[UUID]) -> str:
    """Return what says to watchers that these runs have changed."""
    return json.dumps([run_id.hex for run_id in run_ids])


def with_news(payload: str) -> list[UUID]:
    """Return the runs that have changed, by a notification to watchers."""
    run_ids = _parsed(payload)
    return _ids(run_ids) if isinstance(run_ids, list) else []


def _parsed(payload: str) -> Any:
    """Return the value of a payload; None if it is not JSON."""
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        return None


def _ids(given: Iterable[Any]) -> list[UUID]:
    """Return those of these that are ids."""
    return [UUID(run_id) for run_id in given if isinstance(run_id, str) and _is_id(run_id)]


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


# Listening.


class PipeEvent:
    """An event like ``threading.Event``, for which one can wait together with sockets."""

    def __init__(self) -> None:
        self._reader, self._writer = multiprocessing.Pipe(duplex=False)
        self._lock = threading.Lock()
        self._is_set = False

    def set(self) -> None:
        with self._lock:
            if not self._is_set:
                self._is_set = True
                self._writer.send_bytes(b"set")

    def clear(self) -> None:
        with self._lock:
            if self._is_set:
                self._is_set = False
                self._reader.recv_bytes()

    def wait(self, timeout: float | None = None) -> bool:
        return self._reader.poll(timeout)

    def fileno(self) -> int:
        """Return the descriptor that can be read while the event is set."""
        return self._reader.fileno()


class Listener:
    """
    A connection of its own, outside of Django's and of any pool, that receives notifications.
    Whatever goes wrong with it raises Django's database errors.
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
        """True if it goes through a pooler, which may give its server session to others."""
        own_pid = self._connection.connection.info.backend_pid
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            return bool(cursor.fetchone() != (own_pid,))

    def listen(self, channel: str = CHANNEL) -> None:
        """Receive what is sent on this channel from now on."""
        with self._connection.cursor() as cursor:
            cursor.execute(f"LISTEN {channel}")
        self._channels.add(channel)

    def wait(self, seconds: float, interrupt: PipeEvent) -> list[str]:
        """Return the payloads that have come, after ``seconds`` or the interrupt at the latest."""
        raw = self._connection.connection
        wait([raw.fileno(), interrupt.fileno()], seconds)
        with self._connection.wrap_database_errors:
            return [payload for channel, payload in _arrived(raw) if channel in self._channels]


def _arrived(raw: Any) -> list[tuple[str, str]]:
    """Return the channels and payloads of what the driver has received."""
    if hasattr(raw, "pgconn"):  # psycopg 3
        raw.pgconn.consume_input()
        arrived = iter(raw.pgconn.notifies, None)
        return [
            (notice.relname.decode(), notice.extra.decode(errors="replace")) for notice in arrived
        ]
    raw.poll()  # psycopg2
    arrived, raw.notifies = raw.notifies, []
    return [(notice.channel, notice.payload) for notice in arrived]
