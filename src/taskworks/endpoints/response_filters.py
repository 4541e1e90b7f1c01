"""
Response filters: which attributes of an object are in the response.

``{Order: {"number": ALWAYS, "note": IF_TRUTHY, "secret": NEVER, "total": lambda order: ...}}``.
The filter of a class also applies to its subclasses, whose own entries take precedence. A model
instance without a filter becomes an empty dict; attributes that are None are left out.
"""

from collections.abc import Callable, Mapping
from typing import Any

from django.db import models

NEVER, ALWAYS, IF_TRUTHY = range(3)

Rule = int | Callable[[Any], Any]
Filters = Mapping[type, Rule | Mapping[str, Rule]]


def filtered(value: Any, filters: Filters) -> Any:
    """Return a value, and the values in it, filtered; an object's ``_api_filter`` comes first."""
    filters = {**filters, **(getattr(value, "_api_filter", None) or {})}
    match value:
        case Mapping():
            return {key: filtered(item, filters) for key, item in value.items()}
        case list() | tuple() | set() | frozenset() | models.QuerySet():
            return [filtered(item, filters) for item in value]
        case models.Manager():
            return filtered(value.all(), filters)
    of_classes = [filters[kind] for kind in value.__class__.__mro__ if kind in filters]
    if not of_classes:
        return {} if isinstance(value, models.Model) else value
    return _filtered_object(value, of_classes, filters)


def _filtered_object(value: Any, of_classes: list[Any], filters: Filters) -> Any:
    """Apply the filters of the object's class and its base classes, the class itself first."""
    if not isinstance(of_classes[0], Mapping):
        return _apply(of_classes[0], value, lambda: value)
    attributes: dict[str, Rule] = {}
    for entries in reversed(of_classes):
        if isinstance(entries, Mapping):
            attributes.update(entries)
    parts = {
        name: filtered(_apply(rule, value, lambda name=name: getattr(value, name)), filters)  # type: ignore[misc]
        for name, rule in attributes.items()
    }
    return {name: part for name, part in parts.items() if part is not None}


def _apply(rule: Rule, owner: Any, read: Callable[[], Any]) -> Any:
    """Return what the rule lets through, or None; with NEVER, do not even read it."""
    if callable(rule):
        return rule(owner)
    if rule == NEVER:
        return None
    part = read()
    return part if rule == ALWAYS or part else None
