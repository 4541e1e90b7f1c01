"""What async views need, and which functions of an endpoint cannot be coroutine functions."""

import asyncio
from collections.abc import Awaitable, Iterable, Iterator
from typing import Any

from rest_framework.mixins import CreateModelMixin, UpdateModelMixin
from rest_framework.views import APIView

from taskworks.endpoints.cached_attribute import computed_by
from taskworks.endpoints.decorators import is_coroutine_function
from taskworks.exceptions import InvalidEndpoint

# How the framework's own generic views save, and what calls it.
SAVING = {"perform_create": CreateModelMixin.create, "perform_update": UpdateModelMixin.update}


def validate_coroutine_functions(endpoint: type, hooks: Iterable[str]) -> None:
    """
    Raise InvalidEndpoint if one of the class's hooks, which take no argument but ``self``, or
    another of its methods, is a coroutine function that nobody awaits.
    """
    for name in hooks:
        if is_coroutine_function(computed_by(endpoint, name)):
            raise InvalidEndpoint(
                f"{endpoint.__qualname__}.{name} is a coroutine function, which nobody awaits. "
                "Define it with def: it is called in a thread, by async views too."
            )
    for name in _not_awaited_by_the_framework(endpoint):
        raise InvalidEndpoint(
            f"{endpoint.__qualname__}.{name} is a coroutine function, which Django REST framework "
            "does not await. Use a view of adrf, whose generic views call perform_acreate and "
            "perform_aupdate."
        )


def _not_awaited_by_the_framework(endpoint: Any) -> Iterator[str]:
    if getattr(endpoint, "dispatch", None) is APIView.dispatch:
        for name in endpoint.http_method_names:
            if is_coroutine_function(getattr(endpoint, name, None)):
                yield name
    for name, caller in SAVING.items():
        is_called = getattr(endpoint, caller.__name__, None) is caller
        if is_called and is_coroutine_function(getattr(endpoint, name, None)):
            yield name


async def to_the_end(work: Awaitable[Any]) -> Any:
    """
    Return what this returns, even if the task that awaits it is cancelled, as Django does when the
    client is gone: nothing is left half done. The cancellation follows afterwards.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
