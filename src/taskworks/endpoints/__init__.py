"""Endpoints of Django REST framework that say what happens besides their answer."""

try:
    import rest_framework  # noqa: F401 - this package's own door to it
except ImportError as error:
    raise ImportError(
        "taskworks.endpoints needs Django REST framework: pip install django-taskworks[rest]."
    ) from error

from taskworks.endpoints import checks  # noqa: F401 - importing it registers its check
from taskworks.endpoints.endpoint_definition import EndpointDefinition
from taskworks.endpoints.endpoint_tasks import deferrable_task, task
from taskworks.endpoints.filtering import ALWAYS, IF_TRUTHY, NEVER
from taskworks.endpoints.links import status_url
from taskworks.endpoints.mixin import EndpointTasks

__all__ = [
    "ALWAYS",
    "IF_TRUTHY",
    "NEVER",
    "EndpointDefinition",
    "EndpointTasks",
    "deferrable_task",
    "status_url",
    "task",
]
