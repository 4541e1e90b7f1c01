"""Telling workers that runs have become ready, and hearing it; where the database can do that."""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, Self

from django.db import Error as DatabaseError
from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from taskworks.store.reserved import copy_of

CHANNEL = "taskworks"
WINDOW = 0.05  # seconds between two notices of a queue by a process
MOST = 1000  # queues of which this process remembers when it has told of them
# What is due so soon is told like what is ready; idle workers see by themselves what is due later.
SOON = timedelta(seconds=10)

logger = logging.getLogger(__name__)

_told: dict["Notice", float] = {}


@dataclass(frozen=True, slots=True)
class Notice:
    """That runs of a queue have become ready, or will be soon; of any, if none is named."""

    alias: str
    backend: str | None
    queue_name: str | None
    send: Callable[[str], None] = field(compare=False)

    def __call__(self) -> None:
        """Tell, unless this process just has: who was told looks again when the window is over."""
        now = time.monotonic()
        if now - _told.get(self, float("-inf")) < WINDOW:
            return
        if len(_told) >= MOST:
            _told.clear()
        _told[self] = now
        try:
            self.send(json.dumps([self.backend, self.queue_name]))
        except DatabaseError as error:  # the run is there, and will be found
            _told.pop(self, None)
            logger.warning("Workers could not be told of a run: %s", error)


def tell(notice: Notice, connection: BaseDatabaseWrapper) -> None:
    """When what it tells of is committed: a transaction with a notice in it holds up all others."""
    if not connection.in_atomic_block:
        notice()
    elif not _is_of_a_test(connection) and not _is_latest(notice, connection):
        transaction.on_commit(notice, using=connection.alias, robust=True)


def _is_of_a_test(connection: BaseDatabaseWrapper) -> bool:
    """Whether it ends with a rollback: nobody will see what is told of."""
    return any(getattr(block, "_from_testcase", False) for block in connection.atomic_blocks)


def _is_latest(notice: Notice, connection: BaseDatabaseWrapper) -> bool:
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


class Listener:
    """
    A connection that hears notices: one more, outside of Django's and of any pool. Whatever goes
    wrong with it raises Django's database errors.
    """

    def __init__(self, like: BaseDatabaseWrapper) -> None:
        self._connection = copy_of(like)

    def __enter__(self) -> Self:
        try:
            self._connection.ensure_connection()
            self._connection.set_autocommit(True)
            with self._connection.cursor() as cursor:
                cursor.execute(f"LISTEN {CHANNEL}")
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

    def wait(self, seconds: float, hush: Connection) -> list[str]:
        """The payloads that have come, as soon as there are some, or time or patience is over."""
        raw = self._connection.connection
        wait([raw.fileno(), hush], seconds)
        with self._connection.wrap_database_errors:
            return _arrived(raw)


def _arrived(raw: Any) -> list[str]:
    if hasattr(raw, "pgconn"):  # psycopg 3
        raw.pgconn.consume_input()
        arrived = iter(raw.pgconn.notifies, None)
        return [notice.extra.decode() for notice in arrived if notice.relname == CHANNEL.encode()]
    raw.poll()  # psycopg2
    arrived, raw.notifies = raw.notifies, []
    return [notice.payload for notice in arrived if notice.channel == CHANNEL]
