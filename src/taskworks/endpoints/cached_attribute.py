"""An attribute of a request's own."""

import inspect
from collections.abc import Callable
from typing import Any

from taskworks.endpoints.endpoint_tasks import takes_one_argument


class Once:
    """
    Computed when it is first asked for, and kept in the instance; it may be set.

    Not functools.cached_property, whose lock is all instances' on Python 3.11.
    """

    def __init__(self, compute: Callable[[Any], Any]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        if self._name not in instance.__dict__:
            self.__set__(instance, self._compute(instance))
        return instance.__dict__[self._name]

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self._name] = value


def compute_once(owner: type, name: str, kind: type[Once]) -> None:
    """Turn a class's property, or method of self alone, its own or inherited, into this kind."""
    declared = inspect.getattr_static(owner, name)
    function = getattr(declared, "fget", None) or getattr(declared, "func", declared)
    if inspect.isfunction(function) and takes_one_argument(function):
        once = kind(function)
        once.__set_name__(owner, name)
        setattr(owner, name, once)
