"""The schemas inside a schema."""

from collections.abc import Callable
from typing import Any

Schema = dict[str, Any]

ONE = ("additionalProperties", "items", "not")
SEVERAL = ("allOf", "anyOf", "oneOf", "prefixItems")
BY_NAME = ("patternProperties", "properties")


def with_subschemas(schema: Schema, change: Callable[[Any, str], Any]) -> Schema:
    """
    Return the schema with each schema directly inside it changed. ``change`` is called with it and
    with the name of its property; "" if it is the schema of no property.
    """
    return {key: _changed(key, value, change) for key, value in schema.items()}


def _changed(key: str, value: Any, change: Callable[[Any, str], Any]) -> Any:
    if key in ONE and isinstance(value, dict):
        return change(value, "")
    if key in SEVERAL:
        return [change(each, "") for each in value]
    if key in BY_NAME:
        return {name: change(each, name) for name, each in value.items()}
    return value
