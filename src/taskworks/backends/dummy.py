"""Django's DummyBackend, for tasks with the options of Taskworks."""

from copy import deepcopy
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone

from taskworks import framework
from taskworks.backends.not_storing import NotStoring
from taskworks.backends.unique_tasks import unique_of
from taskworks.definition import Task
from taskworks.exceptions import AlreadyEnqueued
from taskworks.jsonvalue import round_trip
from taskworks.meant_database import none_in_force
from taskworks.options.unique import REFUSE, REPLACE, SUPERSEDE, Unique, unique_key
from taskworks.result import as_our_result


class DummyBackend(NotStoring, framework.DummyBackend):
    """Keep the results of what was enqueued in a list, and execute nothing; for tests."""

    task_class = Task

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        self._keys: dict[str, UUID] = {}  # by the id of the result

    def enqueue(self, task: framework.Task, args: Any, kwargs: Any) -> Any:
        """
        Keep the result of a run, and return a copy; of a unique task, only if no kept result holds
        the key. Raise AlreadyEnqueued if ``unique`` refuses a second run.
        """
        unique = unique_of(task)
        given = round_trip([[*args], dict(kwargs)], "arguments") if unique else ()
        key = unique and unique_key(task, *given)
        if unique and (held := self._holding(key, unique)):
            if unique.on_conflict == REFUSE:
                raise AlreadyEnqueued(deepcopy(held))
            if unique.on_conflict != SUPERSEDE:
                return self._met(held, unique, task, *given)
            self.results.remove(held)
            del self._keys[held.id]
        with none_in_force():  # for receivers
            super().enqueue(task, args, kwargs)
        self.results[-1] = kept = as_our_result(self.results[-1])
        if key:
            self._keys[kept.id] = key
        return deepcopy(kept)

    def _holding(self, key: Any, unique: Unique) -> Any:
        """Return the kept result that holds a key: none of them has begun."""
        for result in self.results:
            if self._keys.get(result.id) == key and _is_held(result, unique):
                return result
        return None

    def _met(self, held: Any, unique: Unique, task: framework.Task, args: Any, kwargs: Any) -> Any:
        self.validate_task(task)
        if unique.on_conflict == REPLACE:
            for name, value in {"task": task, "args": args, "kwargs": kwargs}.items():
                object.__setattr__(held, name, value)
        met = deepcopy(held)
        object.__setattr__(met, "is_new", False)
        return met

    def clear(self) -> None:
        """Delete all results."""
        super().clear()
        self._keys.clear()

    def enqueue_after(self, task: framework.Task, args: Any, kwargs: Any, after: Any) -> Any:
        """Keep the result of a run that is to follow another, at once: neither is executed."""
        return self.enqueue(task, args, kwargs)


def _is_held(result: Any, unique: Unique) -> bool:
    if unique.while_ is not None or unique.period is None:
        return True
    return bool(timezone.now() - result.enqueued_at < timedelta(seconds=unique.period))
