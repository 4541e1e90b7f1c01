"""Which options of a task are in force: those that were given, the settings', or the defaults."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from inspect import iscoroutinefunction
from typing import Any

from taskworks.exceptions import InvalidTask
from taskworks.framework import BaseTaskBackend, Task
from taskworks.options.defaults import defaults_of
from taskworks.options.policy import ASYNC, OPTIONS, PROCESS, THREAD, Policy, validated


def policy_of(task: Task) -> Policy:
    """
    Return the options in force of a task, which may be of the standard's class; raise InvalidTask
    for an invalid one.
    """
    options = given_options(task).items()
    given = tuple((name, value) for name, value in options if value is not None)
    backend = task.get_backend()
    try:
        return _cached_policy(given, task.func, task.queue_name, backend)
    except TypeError:  # an option is not hashable
        return _policy(given, task.func, task.queue_name, backend)


def options_changed(task: Task, definition: Task) -> dict[str, Any]:
    """Return the options of Taskworks in which a task differs from its definition."""
    if task is definition:
        return {}
    before = given_options(definition)
    return {name: v for name, v in given_options(task).items() if v != before[name]}


def given_options(task: Task) -> dict[str, Any]:
    """Return the options of Taskworks as they were given."""
    return {name: getattr(task, name, None) for name in OPTIONS}


def _policy(
    options: tuple[tuple[str, Any], ...],
    function: Callable[..., Any],
    queue_name: str,
    backend: BaseTaskBackend,
) -> Policy:
    inherited = defaults_of(backend).of(queue_name)
    given = validated(dict(options))
    executor = _executor_in_force(function, given, inherited)
    transactional = _transactional_in_force(function, executor, given, inherited)
    return Policy(**{**inherited, **given, "executor": executor, "transactional": transactional})


def _executor_in_force(
    function: Callable[..., Any], given: Mapping[str, Any], inherited: Mapping[str, Any]
) -> str:
    kind = ASYNC if iscoroutinefunction(function) else THREAD
    executor: str = given.get("executor", inherited.get("executor", kind))
    if executor in (kind, PROCESS):
        return executor
    if "executor" in given:
        raise InvalidTask(
            f"executor={executor!r} does not fit {function.__qualname__!r}, which is "
            f"{'a' if kind == ASYNC else 'not a'} coroutine function: use {kind!r} or {PROCESS!r}."
        )
    return kind  # a default applies only to the tasks that it fits


def _transactional_in_force(
    function: Callable[..., Any],
    executor: str,
    given: Mapping[str, Any],
    inherited: Mapping[str, Any],
) -> bool:
    wanted: bool = given.get("transactional", inherited.get("transactional", False))
    if wanted and executor == ASYNC and "transactional" in given:
        raise InvalidTask(
            f"transactional=True does not fit {function.__qualname__!r}, a coroutine function on "
            "the event loop, which would not have a transaction of its own: use "
            f"executor={PROCESS!r}, or make it a function."
        )
    return wanted and executor != ASYNC  # likewise, a default that does not fit is ignored


_cached_policy = lru_cache(maxsize=1000)(_policy)  # needed for every run
