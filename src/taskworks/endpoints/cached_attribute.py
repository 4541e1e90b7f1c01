"""``CachedAttribute``: an attribute that is computed once per instance, such as per request."""

import inspect
from collections.abc import Callable
from typing import Any

from taskworks.endpoints.decorators import takes_one_argument


class CachedAttribute:
    """
    An attribute that is computed when it is first read, and stored in the instance; it can be set.

    Unlike functools.cached_property, it has no lock, which all instances share on Python 3.11.
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


def cache_attribute(owner: type, name: str, kind: type[CachedAttribute]) -> None:
    """
    Replace an attribute of a class, its own or inherited, by a cached one of this kind.

    It may be a property, a cached_property, or a method whose only argument is ``self``.
    """
    function = computed_by(owner, name)
    if function is not None:
        cached = kind(function)
        cached.__set_name__(owner, name)
        setattr(owner, name, cached)


def computed_by(owner: type, name: str) -> Callable[[Any], Any] | None:
    """Return the function, with no argument but ``self``, behind a method or property; or None."""
    declared = inspect.getattr_static(owner, name, None)
    function: Any = getattr(declared, "fget", None) or getattr(declared, "func", declared)
    return function if inspect.isfunction(function) and takes_one_argument(function) else None
