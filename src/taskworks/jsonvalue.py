"""
Arguments and return values: JSON that every database returns unchanged.

That is text, integers of 64 bits, finite floats, booleans, None, and lists and dicts with text keys
of these. Anything else is refused before a row is written, with an error that says where it is.
"""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from taskworks.conf import conf

MAX_DEPTH = 100
BYTES = (bytes, bytearray, memoryview)
MIN_INT, MAX_INT = -(2**63), 2**63 - 1

# A NUL, a surrogate, an integer that may have more than 64 bits.
_NEEDS_VALIDATION = re.compile(r"\\u0000|\\ud[89a-f]|[0-9]{18}")

EMPTY: dict[type, str] = {list: "[]", dict: "{}"}  # the value of most columns of most runs
_SIMPLE = {str, int, float, bool, type(None)}

_dumps = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON.")  # which Python reads all the same


_decoder = json.JSONDecoder(parse_constant=_refuse_constant)
_scan: Callable[[str, int], tuple[Any, int]] = vars(_decoder)["scan_once"]


class _Invalid(Exception):  # noqa: N818 - never raised out of this module
    """A part of a value is refused; ``place`` is where it is, and is completed on the way up."""

    def __init__(self, error: type[Exception], reason: str) -> None:
        self.error, self.reason, self.place = error, reason, ""

    def inside(self, step: str) -> "_Invalid":
        self.place = step + self.place
        return self


def round_trip(value: Any, name: str) -> Any:
    """
    Return the value as it will be read back.

    Raise TypeError ("Unsupported type: ...") or ValueError, with the place of what is wrong, which
    begins with ``name``, such as ``args[0]['when']``; ValueError also for more than
    ``TASKWORKS["MAX_JSON_SIZE"]`` bytes.
    """
    if value is None or value is True or value is False:
        return value
    if type(value) is int and MIN_INT <= value <= MAX_INT:
        return value
    limit = conf().max_json_size
    if (text := _flat_text(value)) and len(text) <= limit:
        return copied(value)
    return decode(stored_text(value, name, limit))


def stored_text(value: Any, name: str, limit: int) -> str:
    """Return the JSON text by which a value is stored; raise as ``round_trip``, for ``limit``."""
    if not value and (empty := EMPTY.get(type(value))):
        return empty
    text = _flat_text(value) or _validated_text(value, name, limit)
    if len(text) > limit:
        raise ValueError(
            f"{name} takes {len(text):,} bytes as JSON, but TASKWORKS['MAX_JSON_SIZE'] allows "
            f"{limit:,}. Store the data elsewhere, and pass its key."
        )
    return text


def _flat_text(value: Any) -> str | None:
    """
    Return the JSON text of a value that is certainly returned unchanged, as most are, in half the
    time; None for a value that has to be validated.
    """
    if type(value) is int and MIN_INT <= value <= MAX_INT:
        return repr(value)
    if not _is_flat(value):
        return None
    try:
        text = _dumps(value)
    except ValueError:
        return None
    return None if _NEEDS_VALIDATION.search(text) else text


def _is_flat(value: Any) -> bool:
    """Return whether it is a simple JSON value, or a list or dict of these."""
    if type(value) is dict:
        return {*map(type, value)} <= {str} and {*map(type, value.values())} <= _SIMPLE
    return type(value) in _SIMPLE or (type(value) is list and {*map(type, value)} <= _SIMPLE)


def encode(value: Any, name: str, max_values: float = math.inf) -> str:
    """
    Return the JSON text of a value. Raise as ``round_trip``, except for the size; ``max_values``
    limits the number of values in it, which can be huge if lists contain the same list repeatedly.
    """
    return _flat_text(value) or _validated_text(value, name, max_values)


def _validated_text(value: Any, name: str, max_values: float) -> str:
    try:
        return _dumps(_Validation(max_values).plain(value, MAX_DEPTH))
    except _Invalid as invalid:
        raise invalid.error(
            f"{invalid.reason} at {name}{invalid.place}. Arguments and return values must be JSON: "
            "text, numbers, booleans, None, and lists and dicts of these."
        ) from None


def decode(text: str) -> Any:
    """Return the value of a stored text; raise ValueError or RecursionError if it is not JSON."""
    try:
        value, end = _scan(text, 0)
    except StopIteration:
        end = -1
    # What we have written has no space around it, and is read in half the time.
    return value if end == len(text) else _decoder.decode(text)


def can_be_stored(value: Any) -> bool:
    """Return whether a decoded value could be stored again."""
    try:
        encode(value, "value")
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def copied(value: Any) -> Any:
    """Return a copy of a decoded value that shares no list or dict with it."""
    if type(value) is list:
        return [item if type(item) in _SIMPLE else copied(item) for item in value]
    if type(value) is dict:
        items = value.items()
        return {key: item if type(item) in _SIMPLE else copied(item) for key, item in items}
    return value


def size(value: Any) -> int:
    """Return the size of a decoded value as JSON, in bytes."""
    return len(_dumps(value))


class _Validation:
    """Converts a value into JSON's own types; raises _Invalid for anything else."""

    def __init__(self, max_values: float) -> None:
        self.left = max_values

    def plain(self, value: Any, depth: int) -> Any:
        match value:
            case None | bool():
                return value
            case str():
                return _text(value)
            case int():
                return _integer(value)
            case float():
                return _finite(value)
            case _:
                return self._collection(value, depth)

    def _collection(self, value: Any, depth: int) -> Any:
        if not isinstance(value, Mapping | Sequence) or isinstance(value, BYTES):
            raise _Invalid(TypeError, f"Unsupported type: {type(value)}")
        if depth == 0:
            raise _Invalid(ValueError, f"A value more than {MAX_DEPTH} levels deep")
        self.left -= len(value)
        if self.left < 0:
            raise _Invalid(ValueError, "More values than TASKWORKS['MAX_JSON_SIZE'] has bytes")
        if isinstance(value, Mapping):
            return {_key(key): self._item(item, key, depth) for key, item in value.items()}
        return [self._item(item, index, depth) for index, item in enumerate(value)]

    def _item(self, value: Any, step: str | int, depth: int) -> Any:
        try:
            return self.plain(value, depth - 1)
        except _Invalid as invalid:
            raise invalid.inside(f"[{step!r}]") from None


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise _Invalid(TypeError, f"Unsupported type: {type(key)} as a dict's key ({key!r})")
    return _text(key)


def _text(value: str) -> str:
    if "\0" in value:
        raise _Invalid(ValueError, "A NUL character")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _Invalid(ValueError, "A lone surrogate, which is not valid text,") from None
    return str.__str__(value)


def _integer(value: int) -> int:
    if not MIN_INT <= value <= MAX_INT:
        raise _Invalid(ValueError, "An integer of more than 64 bits")
    return int(value)


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise _Invalid(ValueError, f"The number {value}, which JSON does not have,")
    return float(value)


def printable(text: str) -> str:
    """Return the text with NUL and lone surrogates escaped, which no database stores."""
    return text.replace("\0", "\\x00").encode(errors="backslashreplace").decode()


def as_text(value: Any) -> str:
    """Return the JSON text of a decoded value, as it would be stored."""
    return _dumps(value)
