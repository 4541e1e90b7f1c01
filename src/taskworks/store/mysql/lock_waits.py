"""How long a statement may wait for another session, and what follows a deadlock."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import timedelta
from typing import Any, TypeVar

from django.db import Error as DatabaseError
from django.db import OperationalError

from taskworks.store.base import MAX_LOCK_WAIT
from taskworks.store.enqueueing import MAX_TRIES
from taskworks.store.verbs import Store

LOCK_WAIT_TIMEOUT, DEADLOCK = 1205, 1213

T = TypeVar("T")

# How long a statement of the current transaction may wait for a lock, where that is limited.
longest_wait: ContextVar[timedelta | None] = ContextVar("longest_wait", default=None)


class LockWaits(Store):
    """What MySQL and MariaDB limit for a session or a statement."""

    def _limit_transaction(self, silence: timedelta, wait: timedelta | None) -> None:
        longest_wait.set(wait)
        # MariaDB has the first limit for sessions only, MySQL not at all.
        limits = {"idle_transaction_timeout": silence} if self._is_mariadb else {}
        if wait is not None:  # the second is for locks of tables
            limits["innodb_lock_wait_timeout"] = limits["lock_wait_timeout"] = wait
        if limits:
            self._set_limits(limits)

    def _lift_limits(self, wait: timedelta | None) -> None:
        longest_wait.set(None)
        names = ["idle_transaction_timeout"] if self._is_mariadb else []
        if wait is not None:
            names += ["innodb_lock_wait_timeout", "lock_wait_timeout"]
        if names:
            self._restore(*names)

    @property
    def _is_mariadb(self) -> bool:
        connection: Any = self.connection
        return bool(connection.mysql_is_mariadb)

    @contextmanager
    def _limited_lock_wait(self) -> Iterator[str]:
        """
        Limit the wait for locks in this block, unless the transaction is the caller's. Give what to
        put before each of its statements.
        """
        name, is_outermost = "innodb_lock_wait_timeout", self.connection.get_autocommit()
        if self._is_mariadb or not is_outermost:
            limit = f"{name} = {int(MAX_LOCK_WAIT.total_seconds())}"
            yield f"SET STATEMENT {limit} FOR" if is_outermost else ""
            return
        self._set_limits({name: MAX_LOCK_WAIT})
        try:
            yield ""
        finally:
            self._restore(name)

    def _set_limits(self, longest: Mapping[str, timedelta]) -> None:
        """Set variables of the session, and keep their old values for ``_restore``."""
        kept = [f"@taskworks_{name} = @@SESSION.{name}" for name in longest]
        limits = [f"SESSION {name} = {int(longest[name].total_seconds())}" for name in longest]
        self._set(", ".join([*kept, *limits]))

    def _restore(self, *names: str) -> None:
        # If the connection was closed, the session and its limits are gone.
        if self.connection.connection:
            with suppress(DatabaseError):  # the statements of the block are committed
                self._set(", ".join(f"SESSION {name} = @taskworks_{name}" for name in names))

    def _set(self, variables: str) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(f"SET {variables}")

    def is_lock_timeout(self, error: DatabaseError) -> bool:
        return error.args[:1] == (LOCK_WAIT_TIMEOUT,)

    def _despite_deadlocks(self, write: Callable[[], T]) -> T:
        """
        Write a row that others may be writing, in a transaction of its own, as often as it takes:
        inserts and deletions of one key may deadlock. In the caller's transaction, which a deadlock
        ends, only once.
        """
        for _ in range(MAX_TRIES):
            try:
                return write()
            except OperationalError as error:
                if error.args[0] != DEADLOCK or self.connection.in_atomic_block:
                    raise
        return write()
