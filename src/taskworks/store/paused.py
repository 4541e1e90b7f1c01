"""What is paused, as a worker knows it."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any
from uuid import UUID

from taskworks.models import TaskRun
from taskworks.models.pause import LIMIT, QUEUE, TASK, Scope, scopes_of


class Paused(dict[Scope, UUID]):
    """The ids of the pauses in force that concern a backend, by what they hold up."""

    @classmethod
    def of_rows(cls, backend: str, rows: Iterable[tuple[Any, ...]]) -> "Paused":
        """Return what rows say: name, seconds to the end, kind, key and id of each pause."""
        paused = cls()
        for name, _, kind, key, pause in rows:
            with suppress(ValueError):  # on SQLite, somebody may have written anything
                paused[Scope(kind, name, backend if kind == QUEUE else "", key)] = UUID(str(pause))
        return paused

    def has_queue(self, backend: str, name: str) -> bool:
        """Return whether a queue is paused."""
        return Scope(QUEUE, name, backend) in self

    def has_limit(self, name: str) -> bool:
        """Return whether a limit is paused, with all of its keys."""
        return Scope(LIMIT, name) in self

    def keys_of(self, limit: str) -> tuple[str, ...]:
        """Return the lanes of the keys of a limit that are paused."""
        return tuple(one.key for one in self if one.key and one.name == limit)

    @property
    def of_tasks(self) -> set[UUID]:
        """The pauses of tasks."""
        return {pause for scope, pause in self.items() if scope.kind == TASK}

    def holds(self, run: TaskRun) -> bool:
        """Return whether the queue, the limit or the key of this run is paused."""
        return bool(self) and any(one.kind != TASK and one in self for one in scopes_of(run))

    def pause_of_task(self, run: TaskRun) -> UUID | None:
        """Return the pause of the task of this run, or of what it calls; None if there is none."""
        if not self:
            return None
        paused = (self[one] for one in scopes_of(run) if one.kind == TASK and one in self)
        return next(paused, None)


NOTHING = Paused()
