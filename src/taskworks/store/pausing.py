"""Pause and resume, and tell whether something is in use."""

from datetime import datetime
from functools import partial
from typing import NamedTuple

from django.db import transaction

from taskworks.conf import conf
from taskworks.database import messengers
from taskworks.database.clock import DatabaseClock
from taskworks.database.payloads import PAUSES_CHANGED
from taskworks.database.transactions import writing
from taskworks.models import Pause, TaskRun
from taskworks.models.pause import LIMIT, PauseQuerySet, Scope
from taskworks.store.base import Base
from taskworks.wakeup.sender import wake

UNIQUE = ["backend", "kind", "name", "key"]
WRITTEN = ["until", "reason", "by", "at"]


class Use(NamedTuple):
    """Whether a queue has work for workers."""

    ready: bool  # a run waits for a worker
    in_hand: bool  # a worker has one


class Pausing(Base):
    """What people do to queues, and to tasks, limits and keys."""

    @property
    def pauses(self) -> PauseQuerySet:
        return Pause.objects.using(self.alias)

    def pause(self, scope: Scope, *, until: datetime | None, reason: str, by: str) -> Pause:
        """
        Pause a queue, a task, a limit or a key, and tell the workers, when the caller's
        transaction, if there is one, is committed. If it is paused already, this takes the place of
        that pause, whose id it keeps: runs may wait for it. Return the row.
        """
        pause = Pause(**scope._asdict(), until=until, reason=reason, by=by)
        pause.at = self.read_clock()
        target = UNIQUE if self._names_what_conflicts else None
        with writing(self.alias):
            self.pauses.bulk_create(
                [pause], update_conflicts=True, unique_fields=target, update_fields=WRITTEN
            )
            self._notify_of_pauses()
            return self.pauses.of(scope).get()

    def resume(self, scope: Scope) -> bool:
        """As ``pause``, but delete the pause; return False if there was none."""
        with writing(self.alias):
            resumed = bool(self.pauses.of(scope).in_force().delete()[0])
            if resumed:
                self._notify_of_pauses()
                messengers.tell_on_commit(self.connection, scope.backend or None)
        return resumed

    def forget_ended_pauses(self) -> int:
        """Delete the pauses that have ended by themselves; return how many."""
        return self.pauses.filter(until__lte=DatabaseClock())._raw_delete(self.alias)

    def has_in_hand(self, scope: Scope) -> bool:
        """Return whether a worker has runs of this."""
        return scope.of(self.runs.in_hand()).exists()

    def paused_keys(self, limit: str) -> int:
        """Return how many keys of a limit are paused."""
        return self.pauses.in_force().filter(kind=LIMIT, name=limit).exclude(key="").count()

    def use_of_queue(self, backend: str, name: str) -> Use:
        """
        Return whether a queue has work. In one statement, because a run that is put back between
        two would be overlooked by both.
        """
        # The first in an index: a planner that expects many ready runs would read the table.
        of_queue = f"FROM {self._quoted(TaskRun)} WHERE backend = %s AND queue_name = %s AND state"
        limited, its_parameters = self._has_limited(backend, name)
        statement = f"""
            SELECT
                (SELECT MIN(executor) {of_queue} = 'ready' AND {self._unlimited}) IS NOT NULL,
                {limited} IS NOT NULL,
                EXISTS (SELECT 1 {of_queue} IN ('claimed', 'running'))"""
        parameters = [backend, name, *its_parameters, backend, name]
        [(ready, has_limited, in_hand)] = self._fetch(statement, parameters)
        return Use(bool(ready or has_limited), bool(in_hand))

    def _has_limited(self, backend: str, name: str) -> tuple[str, list[str]]:
        """
        Return SQL that is not NULL if a limit has ready runs in a queue, and its parameters.
        """
        statement = f"""(
            SELECT MIN(limit_name) FROM {self._quoted(TaskRun)}
            WHERE backend = %s AND queue_name = %s AND state = 'ready' AND {self._limited})"""  # noqa: S608 - names
        return statement, [backend, name]

    def _notify_of_pauses(self) -> None:
        # In the transaction, unlike a notification of runs, and never left out as one too many:
        # who has been told of the pause is told after it of whatever is ready later.
        if self.can_notify and conf().notify:
            self.notify(PAUSES_CHANGED)
        if conf().wakeup:  # which cannot be recalled if this is rolled back
            transaction.on_commit(
                partial(wake, self.alias, PAUSES_CHANGED), using=self.alias, robust=True
            )

    @property
    def _names_what_conflicts(self) -> bool:
        return bool(self.connection.features.supports_update_conflicts_with_target)
