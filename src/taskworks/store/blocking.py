"""Runs that are to follow others, and how far the two are."""

import math
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db import models, transaction
from django.db.models import OuterRef, Subquery

from taskworks.database.clock import DatabaseClock
from taskworks.models import BlockedRun, RunState, TaskRun
from taskworks.models.run import FINISHED
from taskworks.store.base import Base


class Following(NamedTuple):
    """Enough of a blocked run to say what becomes of it."""

    run: UUID
    after: UUID
    any_end: bool  # whether that need not succeed
    delay: float  # seconds
    expires: float | None  # seconds
    state: str | None  # None is of a run that is gone
    state_before: str | None  # of the run that it follows

    @property
    def is_settled(self) -> bool:
        """Whether the run does not wait for another any more."""
        return self.state != RunState.BLOCKED

    @property
    def is_free(self) -> bool:
        """Whether what it waited for has succeeded, or has ended if that is enough."""
        if self.any_end:
            return self.state_before is None or self.state_before in FINISHED
        return self.state_before == RunState.SUCCESSFUL

    @property
    def is_hopeless(self) -> bool:
        """Whether it would wait for ever: what it waits for is gone, and had not succeeded."""
        return self.state_before is None and not self.any_end


class Blocking(Base):
    """How a run waits for another one, and ceases to."""

    def block(
        self,
        run: TaskRun,
        after: UUID,
        delay: timedelta | None = None,
        expires: float = math.inf,
        *,
        any_end: bool = False,
    ) -> None:
        """
        Insert a new run that becomes ready when another has succeeded, or has ended in any way, in
        the caller's transaction if there is one; ``delay`` and ``expires``, as in ``enqueue``,
        count from then.
        """
        run.enqueued_at = run.available_at = self.read_clock()
        run.state = RunState.BLOCKED.value
        blocked = BlockedRun(
            run=run.id,
            after=after,
            any_end=any_end,
            delay=(delay or timedelta()).total_seconds(),
            expires=None if expires == math.inf else expires,
        )
        with transaction.atomic(using=self.alias):
            self._insert_all([run])
            blocked.save(force_insert=True, using=self.alias)

    def followers(self, after: Iterable[UUID]) -> list[Following]:
        """What waits for these runs, and how things stand with it."""
        return self._following(self.blocked.filter(after__in=list(after)))

    def blocked_since(self, last: UUID | None, limit: int) -> list[Following]:
        """The next runs that wait for another, in the order of their ids, after the last."""
        some = self.blocked.filter(run__gt=last) if last else self.blocked
        return self._following(some.order_by("run")[:limit])

    def unblock(self, following: Following) -> bool:
        """
        Make a run ready, or scheduled if it is to wait longer, whose predecessor has succeeded;
        False if it is not blocked any more. May be repeated when its answer was lost.
        """
        delay = timedelta(seconds=following.delay)
        expires = None if following.expires is None else timedelta(seconds=following.expires)
        unblocked = self._in(self.runs.filter(id=following.run), RunState.BLOCKED).update(
            state=RunState.SCHEDULED if delay else RunState.READY,
            available_at=DatabaseClock(delay),
            expires_at=None if expires is None else DatabaseClock(delay + expires),
        )
        self.forget_blocked(following)
        return bool(self._notify_if_any(unblocked))

    def cancel_blocked(self, following: Following, entry: Mapping[str, Any]) -> TaskRun | None:
        """Cancel a run that would wait for ever; it, or None if it is not blocked any more."""
        run = self.runs.filter(id=following.run, state=RunState.BLOCKED).first()
        cancelled = run if run and self._cancelled(run, entry) else None
        self.forget_blocked(following)
        return cancelled

    def forget_blocked(self, following: Following) -> None:
        """That it waits for another; what becomes of the run itself is settled."""
        self.blocked.filter(run=following.run).delete()

    def _following(self, blocked: "models.QuerySet[BlockedRun]") -> list[Following]:
        states = TaskRun.objects.values("state")
        rows = blocked.annotate(
            state=Subquery(states.filter(id=OuterRef("run"))),
            state_before=Subquery(states.filter(id=OuterRef("after"))),
        )
        columns = ("run", "after", "any_end", "delay", "expires", "state", "state_before")
        return [Following._make(row) for row in rows.values_list(*columns)]
