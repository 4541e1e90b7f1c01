"""
What the JSON columns of a run may hold.

Whoever may write the table can write anything into them; whatever reads a run relies on this.
"""

from datetime import datetime
from typing import Any

from taskworks.jsonvalue import can_be_stored

FLAT = {str, int, type(None)}  # types of what an entry says


def anything(value: Any) -> bool:
    """Return whether it is a return value: any JSON is."""
    return True


def a_list(value: Any) -> bool:
    """Return whether these are positional arguments."""
    return type(value) is list


def a_dict(value: Any) -> bool:
    """Return whether these are keyword arguments, or options."""
    return type(value) is dict


def metadata(value: Any) -> bool:
    """Return whether it is a dict that can be written again."""
    return type(value) is dict and (not value or can_be_stored(value))


def labels(value: Any) -> bool:
    """Return whether these are labels of workers."""
    if type(value) is not list:
        return False
    return not value or ({*map(type, value)} == {str} and can_be_stored(value))


def errors(value: Any) -> bool:
    """Return whether these are entries of exceptions."""
    return type(value) is list and all(map(_is_error, value))


def messages(value: Any) -> bool:
    """Return whether these are entries of messages."""
    return type(value) is list and all(map(_is_message, value))


def _is_error(entry: Any) -> bool:
    if not (_is_entry(entry) and "attempt" in entry and "worker_id" in entry):
        return False
    return _has_texts(entry, "exception_class_path", "traceback")


def _is_message(entry: Any) -> bool:
    return _is_entry(entry) and _has_texts(entry, "level", "text")


def _is_entry(entry: Any) -> bool:
    if type(entry) is not dict or not {*map(type, entry.values())} <= FLAT:
        return False
    return _is_moment(entry.get("at")) and can_be_stored(entry)


def _has_texts(entry: dict[str, Any], *names: str) -> bool:
    return all(type(entry.get(name)) is str for name in names)


def _is_moment(text: Any) -> bool:
    try:
        datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return False
    return True
