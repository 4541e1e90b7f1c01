"""
Notifications to workers that runs have become ready, sent after the commit, where the database can
send them (PostgreSQL).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from django.db import Error as DatabaseError
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from taskworks import real_time as time
from taskworks.database.foreign_errors import foreign_errors_as_database_errors
from taskworks.database.payloads import runs_ready_in
from taskworks.database.transactions import is_inside_test_case
from taskworks.logs import steady_logger

LATEST_CALLS = 2  # that an enqueue leaves for a commit: a notification, and a message by a broker
NOTIFY_INTERVAL = 0.02  # seconds between two notifications of a queue by one process
MAX_QUEUES_REMEMBERED = 1000  # of which this process knows when it last sent a notification
# Runs due sooner than this are notified like ready ones; idle workers find later ones on their own.
NOTIFY_IF_DUE_WITHIN = timedelta(seconds=10)

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
                self.send(runs_ready_in(self.backend, self.queue_name))
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
