"""Where to look what became of a run."""

from typing import Any

from django.urls import NoReverseMatch, reverse

from taskworks.result import TaskResult

NAME = "taskworks:task-detail"


def status_url(result: TaskResult[..., Any], request: Any = None) -> str | None:
    """
    The address of a run in the REST API, absolute if there is a request; None if the project's
    URLs do not include it, or the run was executed in the request and is stored nowhere.
    """
    if result.is_finished:
        return None
    try:
        path = reverse(NAME, args=[result.id])
    except NoReverseMatch:
        return None
    return request.build_absolute_uri(path) if request else path
