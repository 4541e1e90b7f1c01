"""
What may be an argument or a result: a value that every database gives back unchanged.

That is text, whole numbers of 64 bits, finite floats, booleans, None, and lists and dicts with
text keys of these. Everything else is refused, by its place in the value, before a row exists.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from taskworks.conf import conf

MAX_DEPTH = 100
BYTES = (bytes, bytearray, memoryview)
MIN_INT, MAX_INT = -(2**63), 2**63 - 1

# A NUL, a surrogate, a number of perhaps more than 64 bits.
_DOUBTFUL = re.compile(r"\\u0000|\\ud[89a-f]|[0-9]{18}")

EMPTY: dict[type, str] = {list: "[]", dict: "{}"}  # most columns of most runs
_SIMPLE = {str, int, float, bool, type(None)}

_dumps = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode


class _Refusal(Exception):  # noqa: N818 - it never leaves this module
    """Why a part of a value is refused; the way to it grows while it rises."""

    def __init__(self, error: type[Exception], reason: str) -> None:
        self.error, self.reason, self.place = error, reason, ""

    def inside(self, step: str) -> "_Refusal":
        self.place = step + self.place
        return self


def round_trip(value: Any, name: str) -> Any:
    """
    The value as it will be read back.

    Raise TypeError ("Unsupported type: ...") or ValueError, in a sentence that begins its way to
    the culprit at ``name``, such as ``args[0]['when']``; ValueError too for more than
    ``TASKWORKS["MAX_JSON_SIZE"]`` bytes.
    """
    if value is None or value is True or value is False:
        return value
    return stored(value, name, conf().max_json_size).value


class Stored(NamedTuple):
    """A value as it will be read back, and the text that it is stored as."""

    value: Any
    text: str


def stored(value: Any, name: str, limit: int) -> Stored:
    """As ``round_trip``, with ``limit`` for the setting, and the text, which is made anyway."""
    if not value and (empty := EMPTY.get(type(value))):
        return Stored(type(value)(), empty)
    flat = _flat_text(value)
    text = flat or _walked(value, name, limit)
    if len(text) > limit:
        raise ValueError(
            f"{name} takes {len(text):,} bytes as JSON, and TASKWORKS['MAX_JSON_SIZE'] allows "
            f"{limit:,}. Store the data elsewhere, and pass its key."
        )
    return Stored(copied(value) if flat else decode(text), text)


def _flat_text(value: Any) -> str | None:
    """
    The JSON text of a value that beyond doubt comes back unchanged, which most do, at half the
    price; None for any other, at which ``encode`` looks closely.
    """
    if not _is_flat(value):
        return None
    try:
        text = _dumps(value)
    except ValueError:
        return None
    return None if _DOUBTFUL.search(text) else text


def _is_flat(value: Any) -> bool:
    """Whether it is a list, or a dict with text keys, of JSON's simple types, and no other."""
    if type(value) is dict:
        return {*map(type, value)} <= {str} and {*map(type, value.values())} <= _SIMPLE
    return type(value) in _SIMPLE or (type(value) is list and {*map(type, value)} <= _SIMPLE)


def encode(value: Any, name: str, most: float = math.inf) -> str:
    """
    The JSON text of a value, for storage; errors as above, but for the size: ``most`` bounds how
    many values it is made of, which lists that share others multiply.
    """
    return _flat_text(value) or _walked(value, name, most)


def _walked(value: Any, name: str, most: float) -> str:
    """Of a value that is looked at closely."""
    try:
        return _dumps(_Walk(most).plain(value, MAX_DEPTH))
    except _Refusal as refusal:
        raise refusal.error(
            f"{refusal.reason} at {name}{refusal.place}. Arguments and results of a task are "
            "JSON: text, numbers, booleans, None, and lists and dicts of these."
        ) from None


def decode(text: str) -> Any:
    """The value of a stored text."""
    return json.loads(text)


def copied(value: Any) -> Any:
    """A copy of a value that was decoded, with lists and dicts of its own."""
    if type(value) is list:
        return [copied(item) for item in value]
    if type(value) is dict:
        return {key: copied(item) for key, item in value.items()}
    return value


def size(value: Any) -> int:
    """The bytes of the JSON of a value that was read back."""
    return len(_dumps(value))


class _Walk:
    """A way through a value, into JSON's own types; raises _Refusal where there are none."""

    def __init__(self, most: float) -> None:
        self.left = most

    def plain(self, value: Any, depth: int) -> Any:
        match value:
            case None | bool():
                return value
            case str():
                return _text(value)
            case int():
                return _whole_number(value)
            case float():
                return _finite(value)
            case _:
                return self._collection(value, depth)

    def _collection(self, value: Any, depth: int) -> Any:
        if not isinstance(value, Mapping | Sequence) or isinstance(value, BYTES):
            raise _Refusal(TypeError, f"Unsupported type: {type(value)}")
        if depth == 0:
            raise _Refusal(ValueError, f"A value more than {MAX_DEPTH} levels deep")
        self.left -= len(value)
        if self.left < 0:
            raise _Refusal(ValueError, "More values than TASKWORKS['MAX_JSON_SIZE'] has bytes")
        if isinstance(value, Mapping):
            return {_key(key): self._item(item, key, depth) for key, item in value.items()}
        return [self._item(item, index, depth) for index, item in enumerate(value)]

    def _item(self, value: Any, step: str | int, depth: int) -> Any:
        try:
            return self.plain(value, depth - 1)
        except _Refusal as refusal:
            raise refusal.inside(f"[{step!r}]") from None


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise _Refusal(TypeError, f"Unsupported type: {type(key)} as a dict's key ({key!r})")
    return _text(key)


def _text(value: str) -> str:
    if "\0" in value:
        raise _Refusal(ValueError, "A NUL character")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _Refusal(ValueError, "A lone surrogate, which is no text,") from None
    return str.__str__(value)


def _whole_number(value: int) -> int:
    if not MIN_INT <= value <= MAX_INT:
        raise _Refusal(ValueError, "A whole number of more than 64 bits")
    return int(value)


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise _Refusal(ValueError, f"The number {value}, which JSON does not have,")
    return float(value)


def printable(text: str) -> str:
    """The text without NUL and lone surrogates, which no database takes."""
    return text.replace("\0", "\\x00").encode(errors="backslashreplace").decode()
