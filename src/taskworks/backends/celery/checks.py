"""System checks of a backend's Celery app."""

from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any

from django.core import checks
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured

from taskworks.backends.celery.celery_app import app_of, refuse_without_celery
from taskworks.backends.celery.errors import said_by
from taskworks.backends.celery.options import options_of
from taskworks.backends.celery.queue_names import is_known, unknown_queue
from taskworks.backends.celery.ticket import TASK_NAME
from taskworks.documentation import page
from taskworks.framework import BaseTaskBackend

# What Celery would apply to a task of its own.
NOT_OURS = (
    "acks_late",
    "autoretry_for",
    "expires",
    "max_retries",
    "rate_limit",
    "reject_on_worker_lost",
    "soft_time_limit",
    "time_limit",
)

# Whether a check imports the modules of Celery's tasks: Celery then runs all checks again.
_importing = ContextVar("importing", default=False)


def check_celery(backend: BaseTaskBackend) -> Iterator[CheckMessage]:
    """Check the options of a backend, and the app whose workers are to take its runs."""
    hint = f"The options: {page('howto/run-on-celery', 'settings')}"
    try:
        options_of(backend)
    except ImproperlyConfigured as error:
        yield checks.Error(str(error), hint=hint, id="taskworks.E090")
        return
    try:
        refuse_without_celery()
    except ImproperlyConfigured as error:
        yield checks.Error(str(error), id="taskworks.E091")
        return
    try:
        app = app_of(backend)
        app.conf.task_default_queue  # noqa: B018 - reads the app's settings, which may be wrong
    except Exception as error:  # noqa: BLE001 - a project's app may raise anything
        yield checks.Error(_sentence(backend, error), hint=hint, id="taskworks.E092")
        return
    yield from _check_queues(backend, app)
    if not _importing.get():
        yield from _check_settings(app)


def _sentence(backend: BaseTaskBackend, error: Exception) -> str:
    if isinstance(error, ImproperlyConfigured):
        return str(error)
    return (
        f"The settings of the Celery app of the backend {backend.alias!r} cannot be read: "
        f"{said_by(error)}"
    )


def _check_queues(backend: BaseTaskBackend, app: Any) -> Iterator[CheckMessage]:
    for name in sorted(backend.queues):
        if not is_known(backend, app, name):
            yield checks.Error(unknown_queue(backend, app, name), id="taskworks.E093")


def _check_settings(app: Any) -> Iterator[CheckMessage]:
    if app.conf.task_always_eager:
        yield checks.Warning(
            f"task_always_eager of the Celery app {app.main!r} has no effect on runs: workers "
            "execute them.",
            hint="To execute tasks at once, use the ImmediateBackend.",
            id="taskworks.W090",
        )
    if limits := sorted(_annotated(app.conf.task_annotations)):
        yield checks.Warning(
            f"task_annotations of the Celery app {app.main!r} set {', '.join(limits)} for "
            f"{TASK_NAME!r}, which has no effect on runs.",
            hint=f"Use the options of tasks: {page('reference/tasks', 'task')}",
            id="taskworks.W091",
        )
    if app.conf.result_backend and not _has_tasks(app):
        yield checks.Warning(
            f"The Celery app {app.main!r} has a result_backend, but no tasks of its own: the "
            "results of runs are in their rows.",
            hint="Remove result_backend.",
            id="taskworks.W092",
        )


def _annotated(annotations: Any) -> Iterator[str]:
    """Yield what annotations set for the tickets' task that is not Celery's to set."""
    for one in annotations if isinstance(annotations, list | tuple) else [annotations]:
        given = one.get(TASK_NAME) if isinstance(one, Mapping) else None
        yield from (name for name in NOT_OURS if isinstance(given, Mapping) and name in given)


def _has_tasks(app: Any) -> bool:
    """Return whether the app has tasks that are not Celery's, nor ours."""
    importing = _importing.set(True)
    try:
        app.loader.import_default_modules()
    except Exception:  # noqa: BLE001, S110 - of a module of tasks; not for this check to say
        pass
    finally:
        _importing.reset(importing)
    return any(not name.startswith(("celery.", "taskworks.")) for name in app.tasks)
