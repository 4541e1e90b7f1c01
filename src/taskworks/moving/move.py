"""Move runs from a source, a few at a time."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from inspect import signature
from typing import TYPE_CHECKING, Any, NamedTuple

from taskworks.backends.database import DatabaseBackend
from taskworks.chunks import in_chunks
from taskworks.discovery import resolve
from taskworks.exceptions import InvalidInputs, InvalidTask, TaskNotFound
from taskworks.framework import Task
from taskworks.moving.waiting import Left, Source, Waiting
from taskworks.options.in_force import policy_of
from taskworks.store import store
from taskworks.task_copies import unvalidated_copy

if TYPE_CHECKING:
    from taskworks.models import TaskRun

AT_A_TIME = 200
TAKEN_ID = "A run of another task has its id here."
REFUSALS = (InvalidTask, InvalidInputs, TaskNotFound, TypeError, ValueError)


@dataclass
class Moved:
    """What has come of it."""

    tasks: Counter[str] = field(default_factory=Counter)  # how many of each path were moved
    left: list[Left] = field(default_factory=list)

    @property
    def number(self) -> int:
        """How many were moved."""
        return self.tasks.total()


def move(
    source: Source, backend: DatabaseBackend, limit: int | None = None, *, dry_run: bool = False
) -> Moved:
    """
    Move what waits in the source to a backend, at most ``limit`` runs. A dry run finds out what
    would be moved, and writes nothing.
    """
    moved = Moved()
    for keys in in_chunks(source.keys(), AT_A_TIME):
        if limit is not None and moved.number >= limit:
            break
        fitting = _fitting(source.read(keys), backend, moved.left)
        if limit is not None:
            fitting = fitting[: limit - moved.number]
        stored = (
            [one.found for one in fitting]
            if dry_run
            else _stored(source, fitting, backend, moved.left)
        )
        moved.tasks.update(found.task_path for found in stored)
    return moved


class _Fitting(NamedTuple):
    """What can be moved: where it waits, the run to store, and how long that may wait."""

    found: Waiting
    run: "TaskRun"
    expires: float


def _fitting(
    everything: Iterator[Waiting | Left], backend: DatabaseBackend, left: list[Left]
) -> list[_Fitting]:
    """Return what can be stored here; add the others to ``left``."""
    fitting = []
    for found in everything:
        if isinstance(found, Left):
            left.append(found)
            continue
        try:
            fitting.append(_as_run(found, backend))
        except REFUSALS as error:
            left.append(Left(found.key, found.task_path, _reason(error)))
    return fitting


def _as_run(found: Waiting, backend: DatabaseBackend) -> _Fitting:
    """Return the run to store; raise one of REFUSALS if it would be refused here."""
    definition = resolve(found.task_path)
    args, kwargs = _arguments(definition, found)
    task = unvalidated_copy(
        definition,
        backend=backend.alias,
        queue_name=found.queue_name,
        priority=definition.priority if found.priority is None else found.priority,
        run_after=found.run_after,
    )
    run = backend.run_from_elsewhere(
        task, args, kwargs, run_id=found.run_id, enqueued_at=found.enqueued_at
    )
    return _Fitting(found, run, policy_of(task).expires)


def _arguments(task: Task, found: Waiting) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments to store; raise TypeError or InvalidInputs if they do not fit."""
    typed = getattr(task, "typed", None)
    if typed:
        return [], typed.encoded(found.args, found.kwargs)
    context = [None] if task.takes_context else []
    try:
        signature(task.func).bind(*context, *found.args, **found.kwargs)
    except TypeError as error:
        raise TypeError(f"The arguments do not fit the task: {error}.") from None
    return found.args, found.kwargs


def _reason(error: Exception) -> str:
    if isinstance(error, TaskNotFound):
        return f"It cannot be imported: {type(error.reason).__name__}: {error.reason}"
    return str(error)


def _stored(
    source: Source, fitting: list[_Fitting], backend: DatabaseBackend, left: list[Left]
) -> list[Waiting]:
    """Store those that still wait, and remove them from the source; return them."""
    if not fitting:
        return []
    with source.holding([one.found for one in fitting]) as held:
        still = [one for one in fitting if one.found.key in held]
        here = store(backend.database).take_over([(one.run, one.expires) for one in still])
        stored = [one.found for one in still if one.run.id in here]
        source.remove(stored)
    others = [one.found for one in still if one.run.id not in here]
    left += [Left(found.key, found.task_path, TAKEN_ID) for found in others]
    return stored
