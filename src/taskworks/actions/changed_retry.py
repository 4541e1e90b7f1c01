"""Run again what has ended, with other arguments: as a new run, and the two know of each other."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

from taskworks import jsonvalue
from taskworks.actions.audit import actor_of, record
from taskworks.backends.database import DatabaseBackend
from taskworks.conf import nearest
from taskworks.database.fields import Unreadable
from taskworks.database.transactions import writing
from taskworks.discovery import resolve
from taskworks.exceptions import InvalidTask, TaskNotFound
from taskworks.models import TaskRun
from taskworks.options.tasks_setting import backend_of
from taskworks.reserved_metadata import OF_CHANGED, OF_CHANGES, RESERVED
from taskworks.result import TaskResult
from taskworks.stand_ins import as_our_task
from taskworks.store import store_of
from taskworks.task_copies import unvalidated_copy


class Difference(NamedTuple):
    """An argument, by its name or position, and what it was and is: JSON, or None for nothing."""

    path: str
    before: Any
    after: Any


def changed(run: TaskRun, changes: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """
    Return the arguments of a run with these changes: by the names of arguments, whichever way they
    were passed, or the positions of those that have no name. ``order.country`` is within ``order``.

    Raise ValueError for what is not there.
    """
    if isinstance(run.args, Unreadable) or isinstance(run.kwargs, Unreadable):
        raise ValueError("Its arguments cannot be read, so they cannot be changed.")
    args, kwargs = jsonvalue.copied(run.args), jsonvalue.copied(run.kwargs)
    names = _names(run)
    for path, value in changes.items():
        first, *others = path.split(".")
        place: Any = kwargs
        key: Any = first
        position = int(first) if first.isascii() and first.isdecimal() else None
        if first not in kwargs and position is None and first in names[: len(args)]:
            position = names.index(first)
        if first not in kwargs and position is not None:
            place, key = args, position
        for step in others:
            place, key = _within(place, key, path), step
        _set(place, key, value, path)
    return args, kwargs


def differences(run: TaskRun, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Difference]:
    """Return what differs from the arguments of the run."""
    names = _names(run)
    before = _by_name(names, run.args, run.kwargs)
    after = _by_name(names, args, kwargs)
    return [
        Difference(name, before.get(name), after.get(name))
        for name in {**before, **after}
        if not _is_same(name, before, after)
    ]


def retry_with(
    run: TaskRun, args: Sequence[Any], kwargs: Mapping[str, Any], *, by: Any = ""
) -> TaskResult[..., Any]:
    """
    Enqueue a run of the task of a run that has ended, with its options and these arguments, and
    return its result. What differs is kept in its metadata, and its id in that of the other run.

    Raise ValueError if nothing differs, or for a run that has not ended or cannot be repeated so,
    and what ``enqueue`` raises, such as InvalidInputs; then nothing is written.
    """
    task = _task_of(run)
    differing = differences(run, args, kwargs)
    if not differing:
        raise ValueError("No argument differs. To run it again as it is, retry it.")
    own = {key: value for key, value in run.metadata.items() if not key.startswith(RESERVED)}
    note = {"run": str(run.id), "changes": [[*one] for one in differing]}
    task = unvalidated_copy(
        task, run_after=None, owner=run.owner, metadata={**own, OF_CHANGES: note}
    )
    store = store_of(run)
    with writing(store.alias):
        ended = store.locked_end(run.id)
        if ended is None:
            raise ValueError("Only a run that has ended can be run again with other arguments.")
        result: Any = task.enqueue(*args, **kwargs)
        if result.is_new is False:
            raise ValueError(f"The run {result.id} has the same unique key.")
        store.note(ended, OF_CHANGED, result.id)
    names = ", ".join(one.path for one in differing)
    what = f"retry with other arguments ({names}) as run {result.id}"
    record(actor_of(by), what, run=run.id, new_run=result.id)
    return cast("TaskResult[..., Any]", result)


def _task_of(run: TaskRun) -> Any:
    """Return the task of a run, as it was enqueued; raise ValueError if it cannot be repeated."""
    if run.callable_path:
        raise ValueError(
            f"A schedule's {run.callable_path} takes no arguments of its own: run the schedule now."
        )
    if run.workflow is not None:
        raise ValueError("It is a step of a workflow, which would not go on with another run.")
    if not isinstance(backend_of(run.backend), DatabaseBackend):
        raise ValueError(f"Its backend {run.backend!r} does not store runs any more.")
    try:
        return as_our_task(run.enqueued(resolve(run.task_path)))
    except (TaskNotFound, InvalidTask) as error:
        raise ValueError(f"Its task cannot be enqueued: {error}") from None


def _names(run: TaskRun) -> list[str]:
    """Return the names of the arguments that its task takes by position."""
    try:
        task = resolve(run.task_path)
        parameters = [*inspect.signature(task.func).parameters.values()]
    except (TaskNotFound, InvalidTask, TypeError, ValueError):
        return []
    names = [one.name for one in parameters if one.kind in BY_POSITION]
    return names[1:] if task.takes_context else names


BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _by_name(
    names: Sequence[str], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    named = [*names[: len(args)], *map(str, range(len(names), len(args)))]
    return {**dict(zip(named, args, strict=True)), **kwargs}


def _is_same(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    if (name in before) != (name in after):
        return False
    return jsonvalue.as_text(before[name]) == jsonvalue.as_text(after[name])


def _within(place: Any, key: Any, path: str) -> Any:
    key = _key(place, key)
    try:
        return place[key]
    except (LookupError, TypeError):
        raise ValueError(_not_there(place, key, path)) from None


def _set(place: Any, key: Any, value: Any, path: str) -> None:
    key = _key(place, key)
    is_item = isinstance(place, list) and isinstance(key, int) and key < len(place)
    if not (is_item or isinstance(place, dict)):
        raise ValueError(_not_there(place, key, path))
    place[key] = value


def _key(place: Any, key: Any) -> Any:
    """Return the key as a position, if it is one of a list."""
    is_text = isinstance(key, str) and key.isascii() and key.isdecimal()
    return int(key) if isinstance(place, list) and is_text else key


def _not_there(place: Any, key: Any, path: str) -> str:
    hint = nearest(str(key), [*place]) if isinstance(place, dict) and place else ""
    return f"The run has no argument {path!r}.{hint}"
