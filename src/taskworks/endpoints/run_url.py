"""The address of a run in the REST API."""

from typing import Any

from django.urls import NoReverseMatch, reverse

from taskworks.result import TaskResult

URL_NAME = "taskworks:task-detail"


def status_url(result: TaskResult[..., Any], request: Any = None) -> str | None:
    """
    Return the address of a run in the REST API: an absolute URL with ``request``, else a path.

    Return None if the project's URLs do not include the API, or if the run was executed in the
    request, in which case it is not stored.
    """
    if result.is_finished:
        return None
    try:
        path = reverse(URL_NAME, args=[result.id])
    except NoReverseMatch:
        return None
    return request.build_absolute_uri(path) if request else path
