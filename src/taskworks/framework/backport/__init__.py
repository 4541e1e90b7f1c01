"""A backport of `django.tasks`, for versions of Django that do not have it.

It need not be in INSTALLED_APPS: importing it registers its check and its signal receivers.
"""

# Names, messages and the order of steps follow django.tasks of Django 6.1
# (BSD-3-Clause, copyright (c) Django Software Foundation and individual contributors),
# module by module, so that this package can be reviewed with `diff`.

from typing import TYPE_CHECKING, Any, cast

from asgiref.local import Local
from django.conf import global_settings
from django.conf import settings as django_settings
from django.utils.connection import BaseConnectionHandler, ConnectionProxy
from django.utils.module_loading import import_string

from . import checks, signals  # noqa: F401
from .base import (
    DEFAULT_TASK_BACKEND_ALIAS,
    DEFAULT_TASK_QUEUE_NAME,
    Task,
    TaskContext,
    TaskResult,
    TaskResultStatus,
    task,
)
from .exceptions import InvalidTaskBackend

if TYPE_CHECKING:
    from .backends.base import BaseTaskBackend

    ConnectionHandler = BaseConnectionHandler[BaseTaskBackend]
else:
    ConnectionHandler = BaseConnectionHandler

__all__ = [
    "DEFAULT_TASK_BACKEND_ALIAS",
    "DEFAULT_TASK_QUEUE_NAME",
    "Task",
    "TaskContext",
    "TaskResult",
    "TaskResultStatus",
    "default_task_backend",
    "task",
    "task_backends",
]

DEFAULT_TASKS: dict[str, Any] = {
    DEFAULT_TASK_BACKEND_ALIAS: {
        "BACKEND": "taskworks.framework.backport.backends.immediate.ImmediateBackend"
    }
}


class TaskBackendHandler(ConnectionHandler):
    """Creates the backends of the TASKS setting, one per alias and thread."""

    settings_name = "TASKS"
    exception_class = InvalidTaskBackend

    def configure_settings(self, settings: dict[str, Any] | None) -> dict[str, Any]:
        """Return the given settings, else TASKS, else the default below."""
        if settings is not None:
            return settings
        # Django 5.2 has no TASKS at all; later ones have a default that names Django's backend.
        unwritten = getattr(global_settings, self.settings_name, DEFAULT_TASKS)
        written = getattr(django_settings, self.settings_name, unwritten)
        return DEFAULT_TASKS if written is unwritten else cast("dict[str, Any]", written)

    def create_connection(self, alias: str) -> "BaseTaskBackend":
        """Create the backend with this alias in TASKS."""
        params = self.settings[alias]
        backend = params["BACKEND"]
        try:
            backend_class = import_string(backend)
        except ImportError as error:
            raise InvalidTaskBackend(f"Could not find backend '{backend}': {error}") from error
        return cast("BaseTaskBackend", backend_class(alias=alias, params=params))

    def reset(self) -> None:
        """Forget all backends, and read the setting again."""
        self._settings = self.settings = self.configure_settings(None)
        self._connections = Local(self.thread_critical)


task_backends = TaskBackendHandler()

# A proxy for the default backend, so that it follows changes of the setting.
default_task_backend = cast(
    "BaseTaskBackend", ConnectionProxy(task_backends, DEFAULT_TASK_BACKEND_ALIAS)
)
