"""Whether a value that is read back from its JSON is the value that was accepted."""

import dataclasses
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from pydantic import BaseModel, Secret, SecretBytes, SecretStr

from taskworks import jsonvalue

SECRETS = (Secret, SecretStr, SecretBytes)

NO_SECRETS = (
    "A secret is not stored with a run. Store it elsewhere, and pass a reference, such as the "
    "primary key of its row."
)
REMEDY = (
    "Change its type, so that the JSON which its serializer writes is validated as the same value, "
    "or pass the value in another form."
)


class _Nothing:
    def __repr__(self) -> str:
        return "nothing"


NOTHING = _Nothing()


class Difference(NamedTuple):
    """The first part of a value that is not read back as it was, and where it is."""

    place: str
    accepted: Any
    read: Any


def why_different(accepted: Any, read: Any) -> str | None:
    """Return a sentence about a part of ``accepted`` that is not in ``read``; None if all are."""
    found = _Comparison().difference(accepted, read, "")
    if found is None:
        return None
    if isinstance(found.accepted, SECRETS):
        return _at(found.place, NO_SECRETS)
    return _at(found.place, f"The run would get {found.read!r} instead of this value. {REMEDY}")


def why_unreadable(accepted: Any, error: Exception) -> str:
    """Return a sentence about a value whose JSON is refused with this error."""
    place = _Search().place_of_secret(accepted, "")
    if place is not None:
        return _at(place, NO_SECRETS)
    return f"The run could not read this value back from its JSON: {error} {REMEDY}"


def _at(place: str, sentence: str) -> str:
    return f"{place}: {sentence}" if place else sentence


class _Comparison:
    """Compares part by part: two objects may be equal though their types are not, or never."""

    def __init__(self) -> None:
        self.compared: set[tuple[int, int]] = set()  # objects may lead back to themselves

    def difference(self, accepted: Any, read: Any, place: str) -> Difference | None:
        if type(accepted) is not type(read):
            return self._difference_of_types(accepted, read, place)
        if (id(accepted), id(read)) in self.compared:
            return None
        parts, parts_read = _parts(accepted), _parts(read)
        if parts is None or parts_read is None:
            return None if _is_equal(accepted, read) else Difference(place, accepted, read)
        self.compared.add((id(accepted), id(read)))
        return self._difference_of_parts(parts, parts_read, place)

    def _difference_of_types(self, accepted: Any, read: Any, place: str) -> Difference | None:
        # As in any task's arguments, a mapping is a dict in JSON, and a sequence a list.
        if type(read) is dict and isinstance(accepted, Mapping):
            return self.difference(dict(accepted), read, place)
        if type(read) is list and _is_list_in_json(accepted):
            return self.difference([*accepted], read, place)
        is_same = (
            isinstance(accepted, type(read))
            and not isinstance(accepted, bool)
            and _is_equal(accepted, read)
        )
        return None if is_same else Difference(place, accepted, read)

    def _difference_of_parts(
        self, parts: dict[Any, Any], parts_read: dict[Any, Any], place: str
    ) -> Difference | None:
        for step in parts | parts_read:
            part, part_read = parts.get(step, NOTHING), parts_read.get(step, NOTHING)
            found = self.difference(part, part_read, f"{place}[{step!r}]")
            if found:
                return found
        return None


class _Search:
    """Looks for a secret in a value."""

    def __init__(self) -> None:
        self.seen: set[int] = set()

    def place_of_secret(self, value: Any, place: str) -> str | None:
        if isinstance(value, SECRETS) and value:  # an empty one is not hidden
            return place
        if id(value) in self.seen:
            return None
        self.seen.add(id(value))
        places = (
            self.place_of_secret(part, f"{place}[{step!r}]")
            for step, part in (_parts(value) or {}).items()
        )
        return next((found for found in places if found is not None), None)


def _is_list_in_json(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, *jsonvalue.BYTES))


def _parts(value: Any) -> dict[Any, Any] | None:
    """Return the parts of a collection or an object by index, key or name; None if it has none."""
    match value:
        case Mapping():
            return dict(value)
        case list() | tuple() | deque():
            return dict(enumerate(value))
        case BaseModel():
            return _fields_of_model(value)
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value) if field.compare]
        return {name: getattr(value, name) for name in names if hasattr(value, name)}
    return _attributes(value) if _is_vague(value) else None


def _fields_of_model(model: BaseModel) -> dict[Any, Any]:
    # Not its private attributes, and no cached properties, which pydantic does not compare either.
    names = type(model).model_fields
    values = {name: value for name, value in vars(model).items() if name in names}
    return values | (model.__pydantic_extra__ or {})


def _is_vague(value: Any) -> bool:
    """Return whether a copy that is made from its JSON cannot be equal to it."""
    equals: Any = type(value).__eq__
    return equals is object.__eq__ and not callable(value)


def _attributes(value: Any) -> dict[Any, Any]:
    slots = [slot for kind in type(value).__mro__ for slot in vars(kind).get("__slots__", ())]
    values = {slot: getattr(value, slot) for slot in slots if hasattr(value, slot)}
    return values | getattr(value, "__dict__", {})


def _is_equal(accepted: Any, read: Any) -> bool:
    try:
        return bool(accepted == read) or _is_same_moment(accepted, read)
    except Exception:  # noqa: BLE001 - of any type's own __eq__; then nobody knows
        return False


def _is_same_moment(accepted: Any, read: Any) -> bool:
    """Return whether they are; one in an hour that comes twice equals none in another time zone."""
    if not (isinstance(accepted, datetime) and accepted.tzinfo and read.tzinfo):
        return False
    return bool(accepted.astimezone(UTC) == read.astimezone(UTC))
