"""
Response filters: which attributes of an object are shown.

``{Order: {"number": ALWAYS, "note": IF_TRUTHY, "secret": NEVER, "total": lambda order: ...}}``.
A class's filter holds for its subclasses, whose own entries go before. An object of a model
without a filter shows nothing; what is None is left out.
"""

from collections.abc import Callable, Mapping
from typing import Any

from django.db import models

NEVER, ALWAYS, IF_TRUTHY = range(3)

Shown = int | Callable[[Any], Any]
Filters = Mapping[type, Shown | Mapping[str, Shown]]


def shown(value: Any, filters: Filters) -> Any:
    """What is shown of a value, and of what is in it; ``_api_filter`` of an object goes first."""
    filters = {**filters, **(getattr(value, "_api_filter", None) or {})}
    match value:
        case Mapping():
            return {key: shown(item, filters) for key, item in value.items()}
        case list() | tuple() | set() | frozenset() | models.QuerySet():
            return [shown(item, filters) for item in value]
        case models.Manager():
            return shown(value.all(), filters)
    found = [filters[kind] for kind in value.__class__.__mro__ if kind in filters]
    if not found:
        return {} if isinstance(value, models.Model) else value
    return _filtered(value, found, filters)


def _filtered(value: Any, found: list[Any], filters: Filters) -> Any:
    """By the filters of its class and of those above it, the nearest first."""
    if not isinstance(found[0], Mapping):
        return _part(value, found[0], lambda: value)
    attributes: dict[str, Shown] = {}
    for entries in reversed(found):
        if isinstance(entries, Mapping):
            attributes.update(entries)
    parts = {
        name: shown(_part(value, rule, lambda name=name: getattr(value, name)), filters)  # type: ignore[misc]
        for name, rule in attributes.items()
    }
    return {name: part for name, part in parts.items() if part is not None}


def _part(owner: Any, rule: Shown, read: Callable[[], Any]) -> Any:
    """None for what is not shown, which is then not read either."""
    if callable(rule):
        return rule(owner)
    if rule == NEVER:
        return None
    part = read()
    return part if rule == ALWAYS or part else None
