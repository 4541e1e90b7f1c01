"""
What a task asks of whoever executes it, and what it is told: small values, which can be pickled,
because a task may run in a child process.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class RecordKind(StrEnum):
    """What a record is of."""

    STEP = "step"
    SLEEP = "sleep"


@dataclass(frozen=True, slots=True)
class Sent:
    """An event that was sent; ``value`` may be None."""

    value: Any


# Requests. Each is fenced: it raises TaskLost in an attempt whose run is another worker's by now.


@dataclass(frozen=True, slots=True)
class ReadHistory:
    """Return the ``History`` of the run."""


@dataclass(frozen=True, slots=True)
class Record:
    """Record what was done; ``text`` is the value as JSON."""

    kind: RecordKind
    name: str
    text: str | None
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class AwaitEvent:
    """Return the event as it is now, as ``Awaited``; if there is none, it is open from now on."""

    name: str
    until: datetime | None
    is_known: bool  # that there is one


@dataclass(frozen=True, slots=True)
class TimeOut:
    """Return the event, which has timed out now unless it was sent before."""

    name: str
    at: datetime


Request = ReadHistory | Record | AwaitEvent | TimeOut

# Answers.


@dataclass(frozen=True, slots=True)
class Recorded:
    """A step that was done, or a sleep."""

    kind: RecordKind
    value: Any
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class Awaited:
    """An event: open, sent or timed out."""

    until: datetime | None
    has_ended: bool
    is_sent: bool = False
    value: Any = None


@dataclass(frozen=True, slots=True)
class History:
    """What earlier attempts have recorded, and what was sent to the run."""

    records: Mapping[str, Recorded] = field(default_factory=dict)
    events: Mapping[str, Awaited] = field(default_factory=dict)
