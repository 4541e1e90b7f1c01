"""Tasks with declared, validated inputs and outputs, which an API can offer."""

from taskworks.parameters import Fields, Parameter, ParameterNotValidError, Typed
from taskworks.typed import checks, params  # noqa: F401 - importing checks registers them
from taskworks.typed.registry import api_task
from taskworks.typed.typed_task import TypedTask

# The name in django-task-api.
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
