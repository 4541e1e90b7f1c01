"""Tasks that say what they take and what they return, and that a browser may start."""

from taskworks.parameters import Fields, Parameter, ParameterNotValidError, Typed
from taskworks.typed import checks, params  # noqa: F401 - importing them registers the check
from taskworks.typed.registry import api_task
from taskworks.typed.task_class import TypedTask

# The name of django-task-api, for those who come from there.
Task = TypedTask

__all__ = [
    "Fields",
    "Parameter",
    "ParameterNotValidError",
    "Task",
    "Typed",
    "TypedTask",
    "api_task",
    "params",
]
