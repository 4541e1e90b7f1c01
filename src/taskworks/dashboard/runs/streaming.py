"""Whether changes of runs are streamed: by a server that can, with the REST API's packages."""

from functools import cache
from importlib import import_module
from typing import Any

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest

from taskworks.backends.shards import databases
from taskworks.store import store_alias


def is_streamed(request: HttpRequest) -> bool:
    """Return whether changes of runs are streamed here: those of the first database, if at all."""
    can_stream = isinstance(request, ASGIRequest) and change_streams() is not None
    return can_stream and store_alias() == databases()[0]


@cache
def change_streams() -> Any:
    """Return the module that needs these packages; None without them."""
    try:
        return import_module("taskworks.dashboard.runs.change_streams")
    except ModuleNotFoundError:
        return None
