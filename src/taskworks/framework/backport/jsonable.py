"""Conversion of arguments and return values to JSON's types."""

from collections.abc import Mapping, Sequence
from typing import Any


def normalize_json(obj: Any) -> Any:
    """Return `obj` as dicts, lists and scalars; raise if it is not JSON."""
    match obj:
        case Mapping():
            return {normalize_json(key): normalize_json(value) for key, value in obj.items()}
        case bytes():
            return _decode(obj)
        case str() | int() | float() | bool() | None:
            return obj
        case Sequence():  # After str and bytes, which are sequences as well.
            return [normalize_json(item) for item in obj]
        case _:
            raise TypeError(f"Unsupported type: {type(obj)}")


def _decode(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"Unsupported value: {type(value)}") from error
