"""Runs that are yet to be stored."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from copy import copy
from datetime import datetime, timedelta
from operator import add
from typing import Any, Self
from uuid import UUID

from taskworks.database.clock import later
from taskworks.database.fields import decoded
from taskworks.framework import Task, TaskResultStatus
from taskworks.jsonvalue import copied
from taskworks.models import RunState
from taskworks.models.run import new_run_ids
from taskworks.options.limits import Limit
from taskworks.options.policy import Policy
from taskworks.reserved_metadata import OF_INSTRUMENTS
from taskworks.result import TaskResult, snapshot


class Template:
    """What all runs of a task share when they are enqueued: columns, and the options in force."""

    __slots__ = ("columns", "limit", "policy")

    def __init__(
        self, columns: Mapping[str, Any], policy: Policy, limit: Limit | None = None
    ) -> None:
        self.columns, self.policy, self.limit = columns, policy, limit

    def noting(self, metadata: Mapping[str, Any]) -> Self:
        """Return a copy with more metadata."""
        own = {**self.columns, "metadata": {**self.columns["metadata"], **metadata}}
        return type(self)(own, self.policy, self.limit)


class NewRuns:
    """
    Runs that are enqueued together, which differ only in their ids and arguments. They are stored
    without a ``TaskRun`` for each, which would cost as much as the rest of it.
    """

    __slots__ = (
        "available_at",
        "carried",
        "delay",
        "enqueued_at",
        "expires_at",
        "ids",
        "lanes",
        "run_after",
        "state",
        "template",
        "texts",
        "wait",
    )

    def __init__(
        self,
        template: Template,
        texts: Sequence[tuple[str, str]],
        run_after: datetime | timedelta | None = None,
        lanes: Sequence[str] | None = None,
    ) -> None:
        """``texts`` are the args and kwargs of each run as JSON; ``lanes`` are those of limited
        runs."""
        self.template, self.texts, self.lanes = template, texts, lanes
        self.ids = new_run_ids(len(texts))  # in the order of the runs
        # What each run has in its metadata for instruments, besides that of the template.
        self.carried: Sequence[Mapping[str, Any]] | None = None
        self.delay = run_after if isinstance(run_after, timedelta) else None
        self.run_after = run_after if isinstance(run_after, datetime) else None
        self.wait: timedelta | None = None  # in place of both; not an option that is stored
        self.state = RunState.READY.value
        # The times are set when they are stored.
        self.enqueued_at: datetime | None = None
        self.available_at: datetime | None = None
        self.expires_at: datetime | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def uuids(self) -> list[UUID]:
        return [UUID(int=run_id) for run_id in self.ids]

    @property
    def is_due(self) -> bool:
        """True if they are ready as soon as they are stored, and may wait forever."""
        times = (self.delay, self.run_after, self.wait)
        return times == (None, None, None) and self.template.policy.expires == math.inf

    def starts_within(self, duration: timedelta) -> bool:
        """Return whether they are due soon after they were stored."""
        if self.available_at is None or self.enqueued_at is None:
            return False
        return self.available_at - self.enqueued_at < duration

    def only(self, chosen: Collection[int]) -> Self:
        """Return those of these runs whose ids are ``chosen``; itself, if that is all of them."""
        if all(run_id in chosen for run_id in self.ids):
            return self
        return self._at([place for place, run_id in enumerate(self.ids) if run_id in chosen])

    def one(self, place: int) -> Self:
        """Return a copy of the run at this place."""
        return self._at([place])

    def _at(self, places: Sequence[int]) -> Self:
        some = copy(self)
        some.ids = [self.ids[place] for place in places]
        some.texts = [self.texts[place] for place in places]
        if self.lanes is not None:
            some.lanes = [self.lanes[place] for place in places]
        if self.carried is not None:
            some.carried = [self.carried[place] for place in places]
        return some

    def metadata(self, index: int) -> dict[str, Any]:
        """Return the metadata of the run at this place."""
        shared: dict[str, Any] = self.template.columns["metadata"]
        carried = self.carried[index] if self.carried else None
        return {**shared, OF_INSTRUMENTS: carried} if carried else shared

    def schedule(self, now: datetime) -> None:
        """Set the times and the state of runs that wait for nothing but their time."""
        if self.delay is not None:
            self.run_after = later(now, self.delay)
        due_at = self.run_after if self.wait is None else later(now, self.wait)
        due = due_at if due_at and due_at > now else None
        self.enqueued_at = now
        self.available_at = due or now
        self.expires_at = self._expiry(later)
        self.state = (RunState.SCHEDULED if due else RunState.READY).value

    def block(self, now: datetime) -> None:
        """
        Set the times and the state of runs that wait for others: the times are what they would be
        if they waited for nothing.
        """
        self.enqueued_at, self.state = now, RunState.BLOCKED.value
        self.available_at = now + (self.wait or self.delay or timedelta())
        self.expires_at = self._expiry(add)

    def result(self, index: int, task: Task) -> TaskResult[..., Any]:
        """Return a run's result as it is now."""
        args, kwargs = self.texts[index]
        shared = self.template.columns["metadata"]
        return snapshot(
            task=task,
            id=str(UUID(int=self.ids[index])),
            status=TaskResultStatus.READY,
            enqueued_at=self.enqueued_at,
            started_at=None,
            finished_at=None,
            last_attempted_at=None,
            args=decoded(args),
            kwargs=decoded(kwargs),
            backend=self.template.columns["backend"],
            errors=[],
            worker_ids=[],
            target=None,
            progress=None,
            messages=[],
            metadata=copied(shared if self.carried is None else self.metadata(index)),
            is_cancelled=False,
            cancel_requested=False,
            is_new=True,
            _return_value=None,
        )

    def _expiry(self, add: Callable[[datetime, timedelta], datetime]) -> datetime | None:
        if self.available_at is None or self.template.policy.expires == math.inf:
            return None
        try:
            return add(self.available_at, timedelta(seconds=self.template.policy.expires))
        except OverflowError:  # beyond the last date
            return None
