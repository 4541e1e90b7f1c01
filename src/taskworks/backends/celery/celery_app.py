"""The Celery app of a backend, which has the broker and the queues."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from taskworks.backends.celery.options import options_of
from taskworks.framework import BaseTaskBackend


def refuse_without_celery() -> None:
    """Raise ImproperlyConfigured if Celery is not installed."""
    if find_spec("celery") is None:
        raise ImproperlyConfigured(
            "CeleryBackend needs Celery: pip install 'django-taskworks[celery]'"
        )


def app_of(backend: BaseTaskBackend) -> Any:
    """
    Return the Celery app of a backend: the one that CELERY_APP names, or else the only one that
    there is in this process. Raise ImproperlyConfigured if there is none, or it cannot be used.
    """
    refuse_without_celery()
    path = options_of(backend).app
    app = _only_one(backend.alias) if path is None else _found(path, backend.alias)
    if _stores_runs(app):
        raise ImproperlyConfigured(
            f"The app of TASKS[{backend.alias!r}] is {app.main!r}, a taskworks.celery.Celery, "
            "which has no broker: it stores what it sends as runs. Name an app of celery.Celery "
            "in CELERY_APP."
        )
    return app


def is_to_fork(app: Any) -> bool:
    """Return whether workers of the app fork their children, unless they are told otherwise."""
    return bool(
        app.conf.worker_pool == "prefork"
        and app.conf.get("worker_pool_start_method", "fork") == "fork"
    )


def _found(path: str, alias: str) -> Any:
    from celery import Celery
    from celery.app.utils import find_app

    place = f"TASKS[{alias!r}]['OPTIONS']['CELERY_APP']"
    try:
        app = find_app(path, imp=import_module)
    except Exception as error:  # a module may raise anything
        raise ImproperlyConfigured(
            f"{place} is {path!r}, which cannot be imported: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(app, Celery):
        raise ImproperlyConfigured(
            f"{place} is {path!r}, which is {type(app).__name__!r} and not a Celery app. Write it "
            "as for celery -A, such as 'project.celery:app'."
        )
    return app


def _only_one(alias: str) -> Any:
    """Not Celery's own current app, which differs from thread to thread."""
    from celery._state import _get_active_apps

    apps = [app for app in _get_active_apps() if not _is_fallback(app) and not _stores_runs(app)]
    if len(apps) == 1:
        return apps[0]
    there = ", ".join(sorted(repr(app.main) for app in apps)) or "none"
    raise ImproperlyConfigured(
        f"The backend {alias!r} does not know its Celery app: there is {there}. Name it in "
        f"TASKS[{alias!r}]['OPTIONS']['CELERY_APP'], such as 'project.celery:app'."
    )


def _is_fallback(app: Any) -> bool:
    """Return whether Celery has made the app itself, because there was none."""
    return app.main == "default" and not app.set_as_current


def _stores_runs(app: Any) -> bool:
    """Return whether it is an app of taskworks.celery, which lies above this module."""
    return any(one.__module__ == "taskworks.celery.app" for one in type(app).__mro__)
