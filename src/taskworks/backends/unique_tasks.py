"""What ``DatabaseBackend`` does for tasks that are unique: their keys, and what it refuses."""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from taskworks.exceptions import AlreadyEnqueued, InvalidTask
from taskworks.framework import BaseTaskBackend, Task
from taskworks.options.retention import retention_of
from taskworks.options.unique import REFUSE, REPLACE, SUPERSEDE, Debounce, Unique, unique_key

if TYPE_CHECKING:
    from taskworks.store.new_runs import NewRuns
    from taskworks.store.unique_runs import KeyHeld


def unique_of(task: Task) -> Unique | None:
    """Return what a task, which may be of the standard's class, is unique by."""
    return getattr(task, "unique", None)


def keys_of(task: Task, new: "NewRuns", *, several: bool) -> list[UUID] | None:
    """
    Return the keys of new runs of a unique task, and None for other tasks; give the runs of a
    debounced task its wait.

    Raise TypeError for arguments that the task's function does not take, AlreadyEnqueued if two of
    the runs are equal and the task refuses that.
    """
    unique = unique_of(task)
    if unique is None:
        return None
    if isinstance(unique, Debounce):
        new.wait, new.delay, new.run_after = timedelta(seconds=unique.wait), None, None
    keys = [_key(task, new, place, several=several) for place in range(len(new))]
    if unique.on_conflict == REFUSE:
        _refuse_equal(keys)
    return keys


def _refuse_equal(keys: Sequence[UUID]) -> None:
    seen: set[UUID] = set()
    for place, key in enumerate(keys):
        if key in seen:
            raise AlreadyEnqueued(None, place)
        seen.add(key)


def _key(task: Task, new: "NewRuns", place: int, *, several: bool) -> UUID:
    from taskworks.database.fields import decoded

    args, kwargs = new.texts[place]
    try:
        return unique_key(task, decoded(args), decoded(kwargs))
    except TypeError as error:
        raise TypeError(f"item {place}: {error}" if several else str(error)) from None


def already_enqueued(held: "KeyHeld", *, several: bool) -> AlreadyEnqueued:
    """Return what the caller is told; of another owner's run, only that there is one."""
    result = None if held.is_of_other_owner else held.run.to_result()
    return AlreadyEnqueued(result, held.place if several else None)


def validate_period(unique: Unique, task: Task, backend: BaseTaskBackend) -> None:
    """Raise InvalidTask for a period that is longer than finished runs are kept."""
    if unique.period is None:
        return
    retention = retention_of(backend)
    ages = retention.queues.get(task.queue_name, retention.ages)
    for outcome, age in ages.items():
        if age is not None and age < timedelta(seconds=unique.period):
            raise InvalidTask(
                f"unique has a period of {timedelta(seconds=unique.period)}, but {outcome} runs of "
                f"the queue {task.queue_name!r} are deleted after {age}, and their keys with them. "
                "Choose a shorter period, or a longer RETENTION."
            )


def refuse_conflict_on_commit(task: Task) -> None:
    """Raise InvalidTask if the task refuses a second run, which nobody could be told on commit."""
    unique = unique_of(task)
    if unique and unique.on_conflict == REFUSE:
        raise InvalidTask(
            'on_conflict="refuse" does not fit a run that is stored when the transaction commits: '
            'nobody could catch AlreadyEnqueued then. Use enqueue(), or on_conflict="keep".'
        )


def refuse_to_replace_followers(task: Task) -> None:
    """Raise InvalidTask if the task would replace others by a run that waits for another."""
    unique = unique_of(task)
    if unique and unique.on_conflict in (REPLACE, SUPERSEDE):
        kind = "Debounce" if isinstance(unique, Debounce) else f"on_conflict={unique.on_conflict!r}"
        raise InvalidTask(
            f"{kind} does not fit a run that follows another: what it takes the place of may wait "
            'for something else. Use on_conflict="keep" or "refuse".'
        )
