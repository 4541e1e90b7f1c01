"""Return, and assert, which runs are enqueued."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from taskworks import framework, jsonvalue
from taskworks.backends.database import DatabaseBackend
from taskworks.framework import DEFAULT_TASK_BACKEND_ALIAS, task_backends
from taskworks.models import RunState
from taskworks.result import TaskResult, as_our_result
from taskworks.store import store

Results = list[TaskResult[..., Any]]

MAX_LISTED = 20  # runs in a message
WAITING = [RunState.BLOCKED, RunState.SCHEDULED, RunState.READY]
TOLERANCE = timedelta(seconds=1)  # between the expected delay and the actual one


def enqueued(
    task: framework.Task | None = None,
    *,
    queue_name: str | None = None,
    backend: str | None = None,
) -> Results:
    """
    Return the runs that are waiting (ready, scheduled or blocked), in the order in which they were
    enqueued; only those of this task or queue, if given. ``backend`` defaults to the task's, or
    else to the default backend.

    For a DummyBackend, return all of its results. Raise NotImplementedError for a backend without
    waiting runs.
    """
    waiting = _waiting_on(backend or (task.backend if task else DEFAULT_TASK_BACKEND_ALIAS))
    return [
        result
        for result in waiting
        if (task is None or result.task.module_path == task.module_path)
        and (queue_name is None or result.task.queue_name == queue_name)
    ]


def assert_enqueued(
    task: framework.Task,
    *,
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    times: int | None = None,
    queue_name: str | None = None,
    run_after: datetime | timedelta | None = None,
    priority: int | None = None,
    backend: str | None = None,
) -> Results:
    """
    Raise AssertionError, with a list of the waiting runs, unless a run of this task is waiting, or
    exactly ``times`` runs are. Return these runs.

    Arguments that are None are not compared. ``run_after`` as a timedelta is the delay since the
    run was enqueued, with a tolerance of one second.
    """
    __tracebackhide__ = True  # of pytest
    wanted = _wanted(args, kwargs, queue_name, run_after, priority)
    waiting = enqueued(backend=backend or task.backend)
    found = [result for result in waiting if _fits(result, task, wanted)]
    if not found if times is None else len(found) != times:
        verdict = "is not enqueued"
        if times is not None:
            verdict = f"is enqueued {len(found)} times, not {times}"
        _fail(verdict, task, wanted, waiting)
    return found


def assert_not_enqueued(
    task: framework.Task,
    *,
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    queue_name: str | None = None,
    run_after: datetime | timedelta | None = None,
    priority: int | None = None,
    backend: str | None = None,
) -> None:
    """Raise AssertionError if such a run is waiting; see assert_enqueued()."""
    __tracebackhide__ = True
    wanted = _wanted(args, kwargs, queue_name, run_after, priority)
    waiting = enqueued(backend=backend or task.backend)
    found = [result for result in waiting if _fits(result, task, wanted)]
    if found:
        _fail("is enqueued", task, wanted, waiting)


def _waiting_on(alias: str) -> Results:
    backend = task_backends[alias]
    if isinstance(backend, DatabaseBackend):
        runs = store(backend.database).runs.filter(backend=alias, state__in=WAITING)
        return [run.to_result() for run in runs.order_by("enqueued_at", "id")]
    if isinstance(backend, framework.DummyBackend):
        return [as_our_result(result) for result in backend.results]
    raise NotImplementedError(
        f"The backend {alias!r} ({type(backend).__name__}) does not have waiting runs. Use a "
        "DatabaseBackend or a DummyBackend in this test."
    )


def _wanted(
    args: Sequence[Any] | None,
    kwargs: Mapping[str, Any] | None,
    queue_name: str | None,
    run_after: datetime | timedelta | None,
    priority: int | None,
) -> dict[str, Any]:
    given = {
        "args": None if args is None else jsonvalue.round_trip(list(args), "args"),
        "kwargs": None if kwargs is None else jsonvalue.round_trip(dict(kwargs), "kwargs"),
        "queue_name": queue_name,
        "run_after": run_after,
        "priority": priority,
    }
    return {name: value for name, value in given.items() if value is not None}


def _fits(result: TaskResult[..., Any], task: framework.Task, wanted: Mapping[str, Any]) -> bool:
    facts = _facts(result)
    return result.task.module_path == task.module_path and all(
        _is_delay(facts[name], result.enqueued_at, value)
        if isinstance(value, timedelta)
        else facts[name] == value
        for name, value in wanted.items()
    )


def _facts(result: TaskResult[..., Any]) -> dict[str, Any]:
    return {
        "args": result.args,
        "kwargs": result.kwargs,
        "queue_name": result.task.queue_name,
        "run_after": result.task.run_after,
        "priority": result.task.priority,
    }


def _is_delay(run_after: datetime | None, since: datetime | None, delay: timedelta) -> bool:
    if run_after is None or since is None:
        return False
    return abs(run_after - since - delay) < TOLERANCE


def _fail(verdict: str, task: framework.Task, wanted: Mapping[str, Any], waiting: Results) -> None:
    __tracebackhide__ = True
    sentence = f"{_described(task.module_path, wanted)} {verdict}."
    lines = [_described(result.task.module_path, _facts(result)) for result in waiting]
    if len(lines) > MAX_LISTED:
        lines[MAX_LISTED:] = [f"and {len(lines) - MAX_LISTED} more"]
    rest = (
        ["Enqueued runs:", *(f"  {line}" for line in lines)] if lines else ["No runs are enqueued."]
    )
    raise AssertionError("\n".join([sentence, *rest]))


def _described(path: str, facts: Mapping[str, Any]) -> str:
    return " ".join([path, *(f"{name}={_shown(value)}" for name, value in facts.items())])


def _shown(value: Any) -> str:
    return str(value) if isinstance(value, datetime | timedelta) else repr(value)
