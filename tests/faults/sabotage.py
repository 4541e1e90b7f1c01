"""What is done to a database while workers use it."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django.db import Error as DatabaseError
from django.db import connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from taskworks.models import TaskRun
from tests.connections import begin_elsewhere


def others() -> int:
    """Sessions in this database, but for our own."""
    return len(other_sessions())


def other_sessions() -> list[int]:
    statement = {
        "postgresql": "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid()",
        "mysql": "SELECT id FROM information_schema.processlist WHERE db = database() "
        "AND id <> connection_id()",
    }[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return [session for (session,) in cursor.fetchall()]


def own_session() -> int:
    statement = {
        "postgresql": "SELECT pg_backend_pid()",
        "mysql": "SELECT connection_id()",
    }[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(statement)
        [(session,)] = cursor.fetchall()
        return int(session)


def terminate_others(but: int | None = None) -> int:
    """All sessions but our own, and one more; how many there were."""
    sessions = [session for session in other_sessions() if session != but]
    for session in sessions:
        with connection.cursor() as cursor, suppress(DatabaseError):  # it may have gone already
            if connection.vendor == "postgresql":
                cursor.execute("SELECT pg_terminate_backend(%s)", [session])
            else:
                cursor.execute("KILL %s", [session])
    return len(sessions)


@contextmanager
def every_connection() -> Iterator[None]:
    """While this lasts, whatever connection the server can still give is taken at once."""
    taken: list[BaseDatabaseWrapper] = []
    over, all_taken = threading.Event(), threading.Event()

    def take() -> None:
        while not over.wait(0.001):
            another = connection.copy()
            try:
                another.ensure_connection()
            except DatabaseError:  # too many clients
                all_taken.set()
            else:
                taken.append(another)

    taking = begin_elsewhere(take)
    all_taken.wait(30)
    try:
        yield
    finally:
        over.set()
        taking.result(timeout=30)
        for another in taken:
            another.inc_thread_sharing()
            another.close()


@contextmanager
def only_reading() -> Iterator[None]:
    """As a replica is, and as a primary that is about to become one."""
    on, off = {
        "postgresql": (
            "ALTER SYSTEM SET default_transaction_read_only = on",
            "ALTER SYSTEM RESET default_transaction_read_only",
        ),
        "mysql": ("SET GLOBAL read_only = 1", "SET GLOBAL read_only = 0"),
    }[connection.vendor]
    _set_globally(on)
    try:
        yield
    finally:
        _set_globally(off)
        connection.close()


def _set_globally(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        if connection.vendor == "postgresql":
            cursor.execute("SELECT pg_reload_conf()")


def let_workers_be_no_superusers() -> dict[str, str]:
    """For whom MariaDB's read_only does not hold; the environment of a worker."""
    name = connection.settings_dict["NAME"]
    with connection.cursor() as cursor:
        for host in ("localhost", "127.0.0.1"):
            cursor.execute(f"CREATE USER worker@'{host}'")
            cursor.execute(f"GRANT ALL ON {connection.ops.quote_name(name)}.* TO worker@'{host}'")
    return {"MARIADB_USER": "worker"}


def look_at_the_runs() -> None:
    """As a report does, or a backup: what it sees may not be cleaned up before it ends."""
    with connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    TaskRun.objects.count()


def lock_in_any_order(over: threading.Event) -> int:
    """Lock rows of others two by two, until it is over; how often that ended in a deadlock."""
    deadlocks = 0
    while not over.is_set():
        ids = list(TaskRun.objects.order_by("-id").values_list("id", flat=True)[:30])
        if len(ids) < 2:
            continue
        try:
            with transaction.atomic():
                for id_ in random.sample(ids, 2):
                    list(TaskRun.objects.filter(id=id_).select_for_update())
        except DatabaseError:
            deadlocks += 1
    return deadlocks
