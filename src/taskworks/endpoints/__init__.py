"""Tasks for views of Django REST framework: executed in the request, or enqueued."""

try:
    import rest_framework  # noqa: F401 - report a missing extra here
except ImportError as error:
    raise ImportError(
        "taskworks.endpoints needs Django REST framework: pip install 'django-taskworks[rest]'."
    ) from error

from taskworks.endpoints import checks  # noqa: F401 - importing checks registers them
from taskworks.endpoints.decorators import deferrable_task, task
from taskworks.endpoints.endpoint_definition import EndpointDefinition
from taskworks.endpoints.response_filters import ALWAYS, IF_TRUTHY, NEVER
from taskworks.endpoints.run_url import status_url
from taskworks.endpoints.view_mixin import EndpointTasks

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
