"""
Runs on MySQL and MariaDB, which have no UPDATE ... RETURNING: lock, then write, in a transaction.

Claims lock rows in the order of an index without waiting, so that two workers cannot deadlock.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction

from taskworks.models import Pause, RunState
from taskworks.models.pause import Scope
from taskworks.store.mysql.limiting import LimitedClaims
from taskworks.store.mysql.rows import RowsByKey
from taskworks.store.mysql.unique_runs import HeldKeys


class MySQLStore(LimitedClaims, HeldKeys, RowsByKey):
    """A store on MySQL or MariaDB, which lock every index entry that a statement passes."""

    shared_lock = "LOCK IN SHARE MODE"
    max_queues = 50  # each costs a look a statement, and a claim one per executor
    max_closed_lanes = 100  # each costs a claim a statement

    def _is_read_committed(self) -> bool:
        # A transaction of our own begins with a lock, and InnoDB makes its view of the data later,
        # at the first plain read.
        connection: Any = self.connection
        levels = ("read committed", "read uncommitted")
        return connection.get_autocommit() or connection.isolation_level in levels

    def pause(self, scope: Scope, **options: Any) -> Pause:
        return self._despite_deadlocks(partial(super().pause, scope, **options))

    def resume(self, scope: Scope) -> bool:
        return self._despite_deadlocks(partial(super().resume, scope))

    def cancel(self, run_id: UUID, entry: Mapping[str, Any]) -> RunState | None:
        with transaction.atomic(using=self.alias):
            return super().cancel(run_id, entry)
