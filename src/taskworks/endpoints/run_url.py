"""The address of a run in the REST API."""

from typing import Any

from taskworks.addresses import api_address
from taskworks.result import TaskResult


def status_url(result: TaskResult[..., Any], request: Any = None) -> str | None:
    """
    Return the address of a run in the REST API: an absolute URL with ``request``, else a path.

    If the API is included several times, it is the address nearest to the request's own.
    Return None if the project's URLs do not include the API, or if the run was executed in the
    request, in which case it is not stored.
    """
    if result.is_finished:
        return None
    path = api_address("task-detail", request, pk=result.id)
    return request.build_absolute_uri(path) if request and path else path
