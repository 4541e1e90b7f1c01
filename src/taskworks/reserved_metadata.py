"""
What Taskworks keeps in the metadata of a run, which tasks and projects may write as well.

Everything that reads it relies on this module, because anything else may be there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

RESERVED = "taskworks."  # what keys begin with that are ours alone
OF_SCHEDULE = f"{RESERVED}schedule"  # which schedule made the run, and for which planned time
OF_WORKFLOW = f"{RESERVED}workflow"  # the id of the workflow in which the run is a step
OF_GROUP = f"{RESERVED}group"  # or that of its group, in which it has no name
OF_PARENT = f"{RESERVED}parent"  # the id of the run whose task has enqueued it
# What instruments carry from the enqueue to the attempts: texts by keys, by an instrument's name.
OF_INSTRUMENTS = f"{RESERVED}instruments"
# Of a run that repeats another one with other arguments: its id, and what differs.
OF_CHANGES = f"{RESERVED}changes"
OF_CHANGED = f"{RESERVED}changed"  # the ids of the runs that repeat this one so

MAPPING = (dict, Mapping)  # in this order: to ask for the second takes ten times as long
MAX_TEXTS, MAX_TEXT = 20, 8192  # that are read of an instrument's, and characters of each


@dataclass(frozen=True, slots=True)
class Changes:
    """Which run another one repeats; and of each argument that differs, what it was and is."""

    run: UUID
    arguments: tuple[tuple[str, Any, Any], ...]


@dataclass(frozen=True, slots=True)
class MadeBy:
    """The schedule that made a run, as it was then."""

    id: int
    label: str
    scheduled_for: datetime
    is_followed: bool = False


def made_by(metadata: Any) -> MadeBy | None:
    """Return the schedule of a run with this metadata; None if there is none, or nonsense."""
    if not metadata or not isinstance(metadata, MAPPING):
        return None
    match metadata.get(OF_SCHEDULE):
        case {"id": int(id_), "label": str(label), "scheduled_for": str(text), **others}:
            try:
                return MadeBy(id_, label, datetime.fromisoformat(text), "is_followed" in others)
            except ValueError:
                return None
    return None


def member_of(metadata: Any) -> UUID | None:
    """Return the workflow of a run with this metadata; None if there is none, or nonsense."""
    return step_of(metadata) or _id_in(metadata, OF_GROUP)


def step_of(metadata: Any) -> UUID | None:
    """Return the workflow in which a run with this metadata is a step; None as above."""
    return _id_in(metadata, OF_WORKFLOW)


def parent_of(metadata: Any) -> UUID | None:
    """Return the run that has enqueued one with this metadata; None if none has, or nonsense."""
    return _id_in(metadata, OF_PARENT)


def carried_in(metadata: Any, name: str) -> dict[str, str]:
    """Return the texts of the instrument with this name; those that are nonsense are left out."""
    of_all = metadata.get(OF_INSTRUMENTS) if isinstance(metadata, Mapping) else None
    texts = of_all.get(name) if isinstance(of_all, Mapping) else None
    if not isinstance(texts, Mapping):
        return {}
    return {key: text for key, text in [*texts.items()][:MAX_TEXTS] if _is_short(text)}


def with_carried(metadata: Mapping[str, Any], before: Any) -> dict[str, Any]:
    """Return new metadata of a stored run, which goes on to carry what it has carried before."""
    carried = before.get(OF_INSTRUMENTS) if isinstance(before, Mapping) else None
    return {**metadata, OF_INSTRUMENTS: carried} if carried else {**metadata}


def _is_short(text: Any) -> bool:
    return isinstance(text, str) and len(text) <= MAX_TEXT


def changes_of(metadata: Any) -> Changes | None:
    """Return what a run with this metadata repeats; None if nothing, or for nonsense."""
    given = metadata.get(OF_CHANGES) if isinstance(metadata, Mapping) else None
    match given:
        case {"run": str(text), "changes": list(changes)}:
            try:
                return Changes(UUID(text), tuple((str(n), b, a) for n, b, a in changes))
            except (TypeError, ValueError):
                return None
    return None


def changed_of(metadata: Any) -> tuple[UUID, ...]:
    """Return the runs that repeat one with this metadata, with other arguments."""
    given = metadata.get(OF_CHANGED) if isinstance(metadata, Mapping) else None
    ids = given if isinstance(given, list) else []
    return tuple(found for one in ids if (found := _id_in({OF_CHANGED: one}, OF_CHANGED)))


def _id_in(metadata: Any, key: str) -> UUID | None:
    given = metadata.get(key) if metadata and isinstance(metadata, MAPPING) else None
    return _id_of(given) if isinstance(given, str) else None


@lru_cache(maxsize=1000)  # the members of a workflow have the same one
def _id_of(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def refuse_reserved(metadata: Mapping[Any, Any] | None, known: Mapping[str, Any]) -> None:
    """Raise ValueError for a key that is ours, unless it is among the ``known``."""
    for key in metadata or ():
        if isinstance(key, str) and key.startswith(RESERVED) and key not in known:
            raise ValueError(
                f"The key {key!r} of metadata is reserved, as are all that begin with "
                f"{RESERVED!r}: use another."
            )


def with_reserved(metadata: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata with the reserved keys as they are known, whatever it has for them."""
    ours = {key: value for key, value in known.items() if key.startswith(RESERVED)}
    return {**metadata, **ours}
