"""Do something in another connection of the database: another thread has one of its own."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import TypeVar

from django.db import connection, connections, transaction

from tests.waiting import wait_for

T = TypeVar("T")


def elsewhere(do: Callable[[], T]) -> T:
    """What ``do`` returns in another connection."""
    return begin_elsewhere(do).result(timeout=60)


def begin_elsewhere(do: Callable[[], T]) -> "Future[T]":
    """Begin ``do`` in another connection, and go on."""
    executor = ThreadPoolExecutor(max_workers=1)
    future = executor.submit(_and_close, do)
    executor.shutdown(wait=False)
    return future


def _and_close(do: Callable[[], T]) -> T:
    try:
        return do()
    finally:
        connections.close_all()


def can_end_transactions() -> bool:
    """Whether the database ends the transaction of a session that has been silent for too long."""
    return connection.vendor == "postgresql" or getattr(connection, "mysql_is_mariadb", False)


@contextmanager
def held_elsewhere(do: Callable[[], T]) -> Iterator[T]:
    """While this lasts, another connection is in a transaction that has done ``do``."""
    done, release = Event(), Event()
    results: list[T] = []

    def hold() -> None:
        try:
            with transaction.atomic():
                results.append(do())
                done.set()
                release.wait(timeout=60)
        finally:
            done.set()

    future = begin_elsewhere(hold)
    done.wait(timeout=60)
    if not results:
        future.result(timeout=60)
    try:
        yield results[0]
    finally:
        release.set()
        future.result(timeout=60)


AT_WORK = {
    "postgresql": "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() "
    "AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND state <> 'idle'",
    "mysql": "SELECT COUNT(*) FROM information_schema.processlist WHERE db = database() "
    "AND id <> connection_id() AND command <> 'Sleep'",
}


def wait_until_the_dead_are_gone() -> None:
    """
    Wait until the server has ended what the sessions of killed processes were at: till then, these
    hold their locks.
    """
    if connection.vendor != "sqlite":
        wait_for(lambda: elsewhere(_others_at_work) == 0, "no other session is at work")


def _others_at_work() -> int:
    with connection.cursor() as cursor:
        cursor.execute(AT_WORK[connection.vendor])
        [(count,)] = cursor.fetchall()
    return int(count)


BLOCKED = {
    "postgresql": "SELECT COUNT(*) FROM pg_stat_activity "
    "WHERE datname = current_database() AND wait_event_type = 'Lock'",
    "mysql": "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'",
}


def wait_until_blocked(count: int = 1) -> None:
    """Wait until so many connections wait for locks. SQLite does not tell."""
    if connection.vendor != "sqlite":
        # In another connection: within a transaction, PostgreSQL gives the same answer again.
        wait_for(lambda: are_blocked(count), f"{count} connections wait for locks")


def are_blocked(count: int = 1) -> bool:
    """Whether so many connections wait for locks. SQLite does not tell."""
    return connection.vendor != "sqlite" and elsewhere(_blocked) >= count


def _blocked() -> int:
    if connection.vendor == "mysql":
        time.sleep(0.15)  # who asks more often than ten times a second gets the same answer again
    with connection.cursor() as cursor:
        cursor.execute(BLOCKED[connection.vendor])
        [blocked] = cursor.fetchone()
    return int(blocked)
