"""The backend: a ``DatabaseBackend`` whose runs are for the workers of a Celery app."""

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from django.core.checks import CheckMessage
from django.db import connections

from taskworks.backends.celery.celery_app import app_of, is_to_fork, refuse_without_celery
from taskworks.backends.celery.messenger import messenger
from taskworks.backends.celery.options import KEYS, options_of
from taskworks.backends.celery.queue_names import celery_queue, refuse_unknown_queue
from taskworks.backends.database import DatabaseBackend
from taskworks.framework import Task as StandardTask
from taskworks.options.limits import Limit

if TYPE_CHECKING:
    from taskworks.store.new_runs import Template


class CeleryBackend(DatabaseBackend):
    """
    Stores runs as ``DatabaseBackend`` does, for the workers of a Celery app. They claim them from
    the database; a message through the broker only says that there are some, and if it is lost,
    they find them with their next look. The broker is never waited for.
    """

    keys_of_options = KEYS

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        messenger.serve(alias)

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        """Check the settings and the database of this backend, and its Celery app."""
        from taskworks.backends.celery.checks import check_celery

        return [*super().check(**kwargs), *check_celery(self)]

    def command_of_a_worker(self, queue_name: str) -> str:
        """Return the command that starts a Celery worker which takes the runs of a queue."""
        name, queue, forks = "APP", queue_name, True
        with suppress(Exception):  # a project's app may raise anything; a check reports it
            name = options_of(self).app or name
            app = app_of(self)
            queue, forks = celery_queue(self, app, queue_name), is_to_fork(app)
        # From a process that uses SQLite, a worker refuses to fork.
        pool = " --pool threads" if forks and connections[self.database].vendor == "sqlite" else ""
        return f"celery -A {name} worker -Q {queue}{pool}"

    def _new_template(self, task: StandardTask, limit: Limit | None) -> "Template":
        options_of(self)  # raises for what is not valid
        refuse_without_celery()
        refuse_unknown_queue(self, task.queue_name)
        return super()._new_template(task, limit)
