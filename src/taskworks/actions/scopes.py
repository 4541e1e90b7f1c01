"""What a person pauses, resumes or clears: find it by its name, and refuse what is not there."""

from collections.abc import Callable, Collection
from dataclasses import replace
from types import EllipsisType
from typing import Any

from taskworks import discovery
from taskworks.backends.database import DatabaseBackend
from taskworks.backends.refusals import MAX_QUEUE_NAME
from taskworks.backends.shards import databases, databases_of, first_in_each
from taskworks.backends.transactions import refuse_to_wait_in_a_transaction
from taskworks.conf import nearest
from taskworks.context import current_context
from taskworks.exceptions import InvalidTask, InvalidTaskBackend, TaskNotFound
from taskworks.framework import DEFAULT_TASK_BACKEND_ALIAS, task_backends
from taskworks.meant_database import in_force
from taskworks.models import Pause
from taskworks.models.pause import LIMIT, QUEUE, TASK, Scope
from taskworks.options.declared_limits import declared_limits
from taskworks.options.limits import MAX_NAME, Limit, lane_of
from taskworks.options.names import is_name
from taskworks.store import alias_for, store

MAX_PATH: int = Pause._meta.get_field("name").max_length or 0
# A claim passes by the keys of its limit that are paused, one by one.
MAX_PAUSED_KEYS = 100


def scope_of(
    queue: str | None = None,
    *,
    task: Any = None,
    limit: str | None = None,
    key: Any | EllipsisType = ...,
    backend: str | None = None,
) -> Scope:
    """
    Return what these arguments name, which need not exist. Raise ValueError for a name that nothing
    can have, for none or more than one of queue, task and limit, for a key without a limit or that
    the limit cannot have, and for a backend of something that is not a queue.
    """
    given = {QUEUE: queue, TASK: task, LIMIT: limit}
    kinds = [kind for kind, name in given.items() if name is not None]
    if len(kinds) != 1:
        raise ValueError(
            f"Name one of a queue, a task and a limit, not {' and '.join(kinds) or 'none of them'}."
        )
    [kind] = kinds
    if kind != LIMIT and key is not ...:
        raise ValueError(f"A key is that of a limit: name the limit, not a {kind}.")
    if kind != QUEUE and backend is not None:
        raise ValueError(
            f"A {kind} is that of every backend, so backend={backend!r} is not possible."
        )
    if kind == TASK:
        return Scope(TASK, _path_of(task))
    if kind == LIMIT:
        _refuse_bad_name("limit", limit, MAX_NAME)
        return Scope(LIMIT, str(limit), key="" if key is ... else _lane_of(key, str(limit)))
    _refuse_bad_name("queue", queue, MAX_QUEUE_NAME)
    return Scope(QUEUE, str(queue), DEFAULT_TASK_BACKEND_ALIAS if backend is None else backend)


def demand(scope: Scope) -> None:
    """
    Raise ValueError unless this code has such a queue, task or limit, or the tables have an
    unfinished run of it. Raise NotImplementedError for a queue of a backend that does not store
    runs.
    """
    if scope.kind == QUEUE:
        backend_of(scope.backend)
    if (reason := why_not_here(scope)) and not _has_unfinished(scope):
        raise ValueError(f"{reason} Neither is there a run of it that waits or is executed.")


def demand_here(scope: Scope) -> None:
    """Raise ValueError in a block ``using`` a database, if the queue's runs are in another one."""
    here, where = in_force.get(), databases_of(scope)
    if here in databases() and here not in where:
        raise ValueError(
            f"The {scope} is in the database {where[0]!r}, not in {here!r}: nothing was done."
        )


def why_not_here(scope: Scope) -> str:
    """Return, in a sentence, that this code does not have such a queue, task or limit; or ""."""
    return {QUEUE: _no_queue, TASK: _no_task, LIMIT: _no_limit}[scope.kind](scope)


def demand_room_for_key(scope: Scope) -> None:
    """Raise ValueError if too many keys of this limit are paused to pause another one."""
    if not scope.key or store().pauses.in_force().of(scope).exists():
        return
    if store().paused_keys(scope.name) >= MAX_PAUSED_KEYS:
        raise ValueError(
            f"{MAX_PAUSED_KEYS} keys of the limit {scope.name!r} are paused, and more would slow "
            "down the claims of the others. Resume some, or pause the limit."
        )


def refuse_to_wait(scope: Scope) -> None:
    """Raise RuntimeError where the runs of this would never be seen to end."""
    where = databases_of(scope)
    for alias in where:
        refuse_to_wait_in_a_transaction(alias, f"the runs of the {scope}")
    context = current_context()
    if context is None:
        return
    run = context.task_result
    own = alias_for(run.backend)
    if own in where and scope.of(store(own).runs.filter(id=run.id)).exists():
        raise RuntimeError(
            f"The run {run.id} is in the {scope} itself, and would wait for its own end. Do this "
            "in a run of something else."
        )


def backend_of(alias: str) -> DatabaseBackend:
    """Return the backend; raise an error unless it stores runs."""
    if alias not in [*task_backends]:
        raise InvalidTaskBackend(
            f"TASKS has no backend {alias!r}.{nearest(str(alias), [*task_backends])}"
        )
    backend = task_backends[alias]
    if not isinstance(backend, DatabaseBackend):
        raise NotImplementedError(
            f"The backend {alias!r}, a {type(backend).__name__}, does not store runs, so nothing "
            "waits in its queues."
        )
    return backend


# Names.


def _refuse_bad_name(what: str, name: Any, longest: int) -> None:
    if not is_name(name, longest):
        raise ValueError(
            f"The name of a {what} must be 1 to {longest} printable characters without "
            f"surrounding spaces, not {name!r}."
        )


def _path_of(task: Any) -> str:
    """Return the path of a task, which may be given as such, as a class that has one, or by it."""
    found = discovery.task_of(task)
    path = found.module_path if discovery.is_task(found) else found
    if not is_name(path, MAX_PATH):
        raise ValueError(
            f"task must be a task or its path, 1 to {MAX_PATH} printable characters, not {path!r}."
        )
    return str(path)


def _lane_of(key: Any, limit: str) -> str:
    """Return the lane of a key; raise ValueError if the limit has no keys, or not such a one."""
    declared = _declared_limits().get(limit)
    if declared and declared.by is None:
        raise ValueError(
            f"The limit {limit!r} has no keys, because it is declared without 'by': pause or clear "
            "it without a key."
        )
    try:
        return lane_of(key, replace(declared or Limit(limit), by="key"))
    except TypeError as error:
        raise ValueError(str(error)) from None


def _declared_limits() -> dict[str, Limit]:
    discovery.task_modules()
    return declared_limits()


# Whether it is there.


def _no_queue(scope: Scope) -> str:
    try:
        queues = backend_of(scope.backend).queues
    except (InvalidTaskBackend, NotImplementedError) as error:
        return str(error)
    if not queues or scope.name in queues:
        return ""
    near = nearest(scope.name, sorted(queues))
    return f"The backend {scope.backend!r} has no queue {scope.name!r} in TASKS.{near}"


def _no_task(scope: Scope) -> str:
    try:
        discovery.resolve(scope.name)
    except InvalidTask as error:
        reason = str(error)
    except TaskNotFound as error:
        reason = f"{type(error.reason).__name__}: {error.reason}."
    else:
        return ""

    def is_scheduled() -> bool:  # any function may be
        return store().schedules.filter(path=scope.name).exists()

    if _is_anywhere(is_scheduled):
        return ""
    return f"There is no task {scope.name!r}: {reason}"


def _no_limit(scope: Scope) -> str:
    declared = _declared_limits()

    def is_stored() -> bool:
        return store().limits.filter(name=scope.name).exists()

    if scope.name in declared or _is_anywhere(is_stored):
        return ""
    near = nearest(scope.name, [*declared]) if declared else ""
    return f"Code and settings do not declare a limit {scope.name!r}, nor is it stored.{near}"


def _has_unfinished(scope: Scope) -> bool:
    """Return whether there is an unfinished run: code or TASKS may have had its name before."""

    def is_here() -> bool:
        return store().has_unfinished(scope)

    return _is_anywhere(is_here, databases_of(scope))


def _is_anywhere(is_here: Callable[[], bool], among: Collection[str] | None = None) -> bool:
    """
    Return whether it is in one of these databases, by default of all. One that does not answer
    matters only if no other has it.
    """
    return bool(first_in_each(lambda: is_here() or None, among))
