"""Tasks of the real Celery as tasks of Taskworks, whose attempts Celery's own tracer executes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any, NamedTuple, NoReturn

from django.utils import timezone

from taskworks import discovery
from taskworks.celery.execution import seconds_until
from taskworks.celery.options import of_call
from taskworks.celery.outcomes import OF_CELERY
from taskworks.celery.request import Request, from_context
from taskworks.celery.values import decoded, encoded
from taskworks.context import current_context
from taskworks.definition import Task
from taskworks.exceptions import TaskException
from taskworks.framework import DEFAULT_TASK_BACKEND_ALIAS
from taskworks.options.policy import MAX_ATTEMPTS
from taskworks.retry import Retry as EngineRetry
from taskworks.task_copies import unvalidated_task

_Given = tuple[Sequence[Any], Mapping[str, Any]]

# Where names without a dot are, so that each has a path.
WITHOUT_A_MODULE = "celery"


class Adopted(NamedTuple):
    """A task of Celery, and what it is here."""

    task: Any
    ours: Task[..., Any]


class Rejected(TaskException):
    """The task has raised Celery's Reject: it is not to be executed again."""


def adopted_task(app: Any, path: str, known: dict[str, Adopted]) -> Task[..., Any] | None:
    """Return what the task of a Celery app with this name, or path, is here; None if unknown."""
    task = _task_of(app, path)
    if task is None:
        return None
    if task.name not in known or known[task.name].task is not task:
        known[task.name] = Adopted(task, _made_of(app, task))
    return known[task.name].ours


def _task_of(app: Any, path: str) -> Any:
    module, _, name = path.rpartition(".")
    names = [path, name] if module == WITHOUT_A_MODULE else [path]
    looks: list[Callable[[], None]] = [
        lambda: None,
        lambda: _import(module),
        lambda: _import_all(app),
    ]
    for look in looks:
        look()
        for one in names:
            if one in app.tasks:
                return app.tasks[one]
    return None


def _import(module: str) -> None:
    if module:
        with suppress(Exception, SystemExit):  # a module may raise anything while it is imported
            import_module(module)


def _import_all(app: Any) -> None:
    discovery.task_modules()
    for module in (*app.conf.imports, *app.conf.include):
        _import(module)


def _made_of(app: Any, task: Any) -> Task[..., Any]:
    """
    Return a task whose path is the name of Celery's. How often it is retried is decided by that, so
    the engine has no limit of its own, and retries nothing but Retry.
    """
    name = task.name if "." in task.name else f"{WITHOUT_A_MODULE}.{task.name}"

    def execute(*args: Any, **kwargs: Any) -> Any:
        return _executed(app, task, made, (args, kwargs))

    execute.__module__, _, execute.__name__ = name.rpartition(".")
    execute.__qualname__, execute.__doc__ = execute.__name__, task.__doc__
    made: Task[..., Any] = unvalidated_task(
        Task,
        execute,
        backend=DEFAULT_TASK_BACKEND_ALIAS,
        **{"priority": 0, "queue_name": "default", **_options(task)},
        max_attempts=MAX_ATTEMPTS,
        retry_on=(),
    )
    return made


def _options(task: Any) -> dict[str, Any]:
    """Return the options that Celery's task was made with, for runs of schedules."""
    given = {
        name: getattr(task, name, None)
        for name in ("queue", "priority", "expires", "soft_time_limit", "time_limit")
    }
    return of_call(task.name, given)


# An attempt.


class Continued(TaskException):
    """The task has asked for a retry with other arguments, which another run has."""


class _NotedRetry(NamedTuple):
    """What Celery's ``retry`` has sent: the run is to be executed again, or one like it."""

    args: list[Any]
    kwargs: dict[str, Any]
    when: float | datetime | None
    retries: int


@dataclass
class _Attempt:
    id: str
    retries: list[_NotedRetry] = field(default_factory=list)


_attempt: ContextVar[_Attempt | None] = ContextVar("taskworks_celery_attempt", default=None)


def note_retry(  # noqa: PLR0917 - as Celery has them
    task_id: str | None, args: Any, kwargs: Any, countdown: Any, eta: Any, options: Any
) -> bool:
    """
    Note that the task that is executed here retries itself; return False if it is another one.
    Nothing is sent: what becomes of the attempt decides whether its run or another one goes on.
    """
    attempt = _attempt.get()
    if attempt is None or task_id != attempt.id:
        return False
    when = eta if countdown is None else countdown
    given = encoded([*(args or ())]), encoded(dict(kwargs or {}))
    attempt.retries.append(_NotedRetry(*given, when, options["retries"]))
    return True


def _executed(app: Any, task: Any, ours: Task[..., Any], given: _Given) -> Any:
    """Execute an attempt as Celery's worker does, with its signals and handlers."""
    args, kwargs = decoded([*given[0]]), decoded(dict(given[1]))
    request = from_context(task.name, args, kwargs)
    if request.called_directly or request.is_eager:
        with _current(app):
            return encoded(task.apply(args, kwargs).get(disable_sync_subtasks=False))
    attempt = _Attempt(request.id or "")
    token = _attempt.set(attempt)
    try:
        with _current(app):
            trace = _tracer(app, task, request)
            traced = trace(request.id, args, kwargs, _as_celery_has_it(request))
    finally:
        _attempt.reset(token)
    outcome: Any = None if traced.info is None else traced.info.retval
    state = "SUCCESS" if traced.info is None else traced.info.state
    if state == "RETRY":
        _go_on(ours, given, attempt, outcome)
    for noted in attempt.retries:  # with throw=False, the task has gone on after them
        _enqueue(ours, noted)
    if state == "REJECTED":
        raise Rejected(f"{outcome.reason}")
    if state == "FAILURE":
        raise outcome
    return None if task.ignore_result or state == "IGNORED" else encoded(traced.retval)


@contextmanager
def _current(app: Any) -> Iterator[None]:
    """
    Have this app be Celery's current one in this thread: ``retry`` of a shared task is that of the
    current app's task, and a project may have made another app since.
    """
    from celery import _state as of_celery

    before = of_celery._tls.current_app
    app.set_current()
    try:
        yield
    finally:
        of_celery._set_current_app(before)


def _tracer(app: Any, task: Any, request: Request) -> Any:
    """Return Celery's function of an attempt. ``eager`` has it store nothing in its own backend."""
    from celery.app.trace import build_tracer

    return build_tracer(
        task.name, task, loader=app.loader, hostname=request.hostname, eager=True, app=app
    )


def _as_celery_has_it(request: Request) -> dict[str, Any]:
    return {
        "id": request.id,
        "root_id": request.id,
        "correlation_id": request.id,
        "task": request.task,
        "retries": request.retries + _retries_before(),
        "hostname": request.hostname,
        "delivery_info": request.delivery_info,
        "is_eager": False,
    }


def _retries_before() -> int:
    """Return how often the task was retried in runs with other arguments."""
    context = current_context()
    said = context.metadata.get(OF_CELERY) if context else None
    return said.get("retries", 0) if isinstance(said, dict) else 0


def _go_on(ours: Task[..., Any], given: _Given, attempt: _Attempt, retry: Any) -> NoReturn:
    """Have the run executed again; or another one, if the task has asked for other arguments."""
    noted = attempt.retries[-1] if attempt.retries else None
    if noted is None or (noted.args, noted.kwargs) == ([*given[0]], dict(given[1])):
        when = retry.when if noted is None else noted.when
        raise EngineRetry(str(retry), after=_seconds(when)) from retry.exc
    run = _enqueue(ours, noted)
    raise Continued(
        f"The task has asked for a retry with other arguments, with which run {run} goes on."
    ) from retry.exc


def _enqueue(ours: Task[..., Any], noted: _NotedRetry) -> str:
    after = timedelta(seconds=_seconds(noted.when))
    task = ours.using(metadata={OF_CELERY: {"retries": noted.retries}}, run_after=after)
    return task.enqueue(*noted.args, **noted.kwargs).id


def _seconds(when: Any) -> float:
    if isinstance(when, datetime):
        return seconds_until(when if timezone.is_aware(when) else timezone.make_aware(when))
    return max(0.0, float(when or 0))
