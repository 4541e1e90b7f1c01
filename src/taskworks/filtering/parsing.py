"""Read a filter from texts, as they are in an address or on the command line, and write it so."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from taskworks import durations
from taskworks.backends.refusals import MAX_ALIAS, MAX_QUEUE_NAME, MAX_TASK_PATH
from taskworks.conf import nearest
from taskworks.database import clock
from taskworks.filtering.arguments import Argument
from taskworks.filtering.offered_tasks import offered_task
from taskworks.filtering.run_filter import Moment, RunFilter
from taskworks.jsonvalue import can_be_stored
from taskworks.masking import MASK
from taskworks.models import RunState
from taskworks.options.names import is_name

MAX_VALUES = 100  # of one condition
MAX_TEXT = 500  # characters
MAX_SHOWN = 80  # characters of what is nonsense, in an error
MAX_ATTEMPTS = 2**31 - 1
LONGEST = timedelta(days=36_500)


class FilterError(ValueError):
    """Texts that are not a filter: ``errors`` has a sentence for each name of a condition."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__(" ".join(errors.values()))
        self.errors = dict(errors)


class Condition(NamedTuple):
    """How a condition is read and written; and how many values it may have."""

    read: Callable[[str], Any]
    fields: tuple[str, ...]
    several: bool = True


def parse(texts: Mapping[str, Sequence[str] | str]) -> RunFilter:
    """
    Return the filter of these texts, by the names in ``NAMES``; empty ones are left out. Raise
    FilterError for what is nonsense, and for names that are unknown: to ignore a condition would be
    to mean other runs.
    """
    errors: dict[str, str] = {}
    found: dict[str, Any] = {}
    for name, given in texts.items():
        values = [given] if isinstance(given, str) else [*given]
        try:
            found |= _read(name, [text for text in values if text != ""])
        except ValueError as error:
            errors[name] = str(error)
    read = RunFilter(**found)
    if not errors and (contradiction := _contradiction(read)):
        errors["until"] = contradiction
    if errors:
        raise FilterError(errors)
    return read


def as_texts(meant: RunFilter) -> dict[str, list[str]]:
    """Return the texts of which ``parse`` makes this filter."""
    texts = {name: _written(condition, meant) for name, condition in NAMES.items()}
    return {name: values for name, values in texts.items() if values}


def masked_texts(texts: Any) -> Any:
    """Return stored texts of a filter, whatever they hold, with what looks like a secret masked."""
    if not (isinstance(texts, Mapping) and isinstance(texts.get("arg"), list)):
        return texts
    return {**texts, "arg": [_masked_argument(one) for one in texts["arg"]]}


def _masked_argument(text: Any) -> Any:
    try:
        return str(_argument(text).masked) if isinstance(text, str) else text
    except ValueError:
        return MASK


def _read(name: str, values: list[str]) -> dict[str, Any]:
    if name not in NAMES:
        near = nearest(name[:MAX_SHOWN], [*NAMES])
        raise ValueError(f"There is no filter {name[:MAX_SHOWN]!r}.{near}")
    condition, [first, *_] = NAMES[name], NAMES[name].fields
    if not values:
        return {}
    if len(values) > (MAX_VALUES if condition.several else 1):
        most = f"at most {MAX_VALUES} times" if condition.several else "once"
        raise ValueError(f"{name} can be given {most}, not {len(values)} times.")
    read = [_read_one(name, condition, text) for text in values]
    if len(condition.fields) > 1:
        return {condition.fields[0 if is_least else 1]: bound for is_least, bound in read}
    return {first: tuple(dict.fromkeys(read)) if condition.several else read[0]}


def _read_one(name: str, condition: Condition, text: str) -> Any:
    if len(text) > MAX_TEXT:
        raise ValueError(f"{name} is at most {MAX_TEXT} characters long, not {len(text)}.")
    if not can_be_stored(text):
        raise ValueError(f"{name} has a NUL or half of a surrogate pair: {_shown(text)}.")
    try:
        return condition.read(text)
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None


def _contradiction(read: RunFilter) -> str:
    for first, second in (("since", "until"), ("enqueued_since", "enqueued_until")):
        begin, end = getattr(read, first), getattr(read, second)
        if begin is not None and end is not None and _is_after(begin, end):
            return f"Nothing is both {_as_moment(begin)} or later and before {_as_moment(end)}."
    return ""


def _is_after(begin: Moment, end: Moment) -> bool:
    now = clock.as_stored(timezone.now())
    begin, end = (
        clock.later(now, -one) if isinstance(one, timedelta) else one for one in (begin, end)
    )
    return bool(begin and end and begin >= end)


def _shown(text: str) -> str:
    return repr(text[:MAX_SHOWN] + ("..." if len(text) > MAX_SHOWN else ""))


# Each reads a text, or raises ValueError with how a sentence goes on that begins with its name.


def _state(text: str) -> RunState:
    try:
        return RunState(text)
    except ValueError:
        raise ValueError(
            f"has {_shown(text)}, which is not the state of a run."
            f"{nearest(text[:MAX_SHOWN], RunState.values)}"
        ) from None


def _id(text: str) -> UUID:
    try:
        return UUID(text.strip())
    except ValueError:
        raise ValueError(
            f"must be a full id, such as 01a1f8df-5ec6-7cde-b965-e85c13a6d376, not {_shown(text)}."
        ) from None


def _task(text: str) -> str:
    """The path of a task, or the name of one that is offered."""
    offered = offered_task(text)
    return offered.module_path if offered else _name(MAX_TASK_PATH)(text)


def _name(longest: int) -> Callable[[str], str]:
    def read(text: str) -> str:
        if not is_name(text, longest):
            raise ValueError(
                f"must be 1 to {longest} printable characters without surrounding spaces, "
                f"not {_shown(text)}."
            )
        return text

    return read


def _group(text: str) -> str:
    if len(text) != 16 or not {*text} <= {*"0123456789abcdef"}:
        raise ValueError(
            f"must be the 16 digits of a group, as in the list of failures, not {_shown(text)}."
        )
    return text


def _text(text: str) -> str:
    return text


def _moment(text: str) -> datetime | timedelta:
    """How long ago, or when, in TIME_ZONE if that is not said."""
    try:
        return _not_too_long(durations.of_text(text))
    except ValueError:
        pass
    try:
        return _date_and_time(text)
    except (ValueError, OverflowError):
        raise ValueError(
            "must be how long ago, such as 90s, 15m, 2h, 3d or 2w, or a date and time, such as "
            f"2026-11-20T12:30, not {_shown(text)}."
        ) from None


def _date_and_time(text: str) -> datetime:
    day = parse_date(text)
    moment = datetime(day.year, day.month, day.day) if day else parse_datetime(text)  # noqa: DTZ001
    if moment is None or not 1900 <= moment.year <= 9000:
        raise ValueError
    if timezone.is_naive(moment):
        return timezone.make_aware(moment) if settings.USE_TZ else moment
    # In UTC, because PostgreSQL does not know offsets of 16 hours and more.
    return clock.as_stored(moment.astimezone(UTC))


def _took(text: str) -> tuple[bool, timedelta]:
    is_least, rest = _bound(text)
    try:
        return is_least, _not_too_long(durations.of_text(rest))
    except ValueError:
        raise ValueError(
            f"must be a duration such as 30s or 5m, or <30s for less, not {_shown(text)}."
        ) from None


def _attempts(text: str) -> tuple[bool, int]:
    is_least, rest = _bound(text)
    if not (rest.isascii() and rest.isdecimal() and len(rest) < 10):
        raise ValueError(f"must be a number such as 2, or <2 for fewer, not {_shown(text)}.")
    return is_least, int(rest)


def _bound(text: str) -> tuple[bool, str]:
    """Return whether it is the least, and the text of the bound: "<5" is fewer than 5."""
    return not text.startswith("<"), text.removeprefix("<").strip()


def _not_too_long(duration: timedelta) -> timedelta:
    if duration > LONGEST:
        raise ValueError
    return duration


def _argument(text: str) -> Argument:
    path, sign, value = text.partition("=")
    path = path.strip()
    if not sign or not all(path.split(".")):
        raise ValueError(f"must be such as customer=17 or order.country=CH, not {_shown(text)}.")
    return Argument(path, value)


NAMES: dict[str, Condition] = {
    "id": Condition(_id, ("ids",)),
    "state": Condition(_state, ("states",)),
    "task": Condition(_task, ("tasks",)),
    "queue": Condition(_name(MAX_QUEUE_NAME), ("queues",)),
    "backend": Condition(_name(MAX_ALIAS), ("backends",)),
    "worker": Condition(_name(64), ("workers",)),
    "schedule": Condition(_name(255), ("schedules",)),
    "owner": Condition(_name(255), ("owner",), several=False),
    "workflow": Condition(_id, ("workflow",), several=False),
    "group": Condition(_group, ("group",), several=False),
    "error": Condition(_text, ("errors",)),
    "since": Condition(_moment, ("since",), several=False),
    "until": Condition(_moment, ("until",), several=False),
    "enqueued-since": Condition(_moment, ("enqueued_since",), several=False),
    "enqueued-until": Condition(_moment, ("enqueued_until",), several=False),
    "took": Condition(_took, ("took_at_least", "took_less_than")),
    "attempts": Condition(_attempts, ("attempts_at_least", "attempts_less_than")),
    "arg": Condition(_argument, ("arguments",)),
}


# Write.


def _written(condition: Condition, meant: RunFilter) -> list[str]:
    values = [getattr(meant, name) for name in condition.fields]
    if len(values) > 1:
        signs = ("", "<")
        pairs = zip(signs, values, strict=True)
        return [f"{sign}{_as_text(value)}" for sign, value in pairs if value is not None]
    [value] = values
    if condition.several:
        return [_as_text(one) for one in value]
    return [] if value is None else [_as_moment(value)]


def _as_text(value: Any) -> str:
    return as_duration(value) if isinstance(value, timedelta) else str(value)


def _as_moment(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else _as_text(value)


def as_duration(duration: timedelta) -> str:
    """Return a duration as it is written in a filter."""
    seconds = duration.total_seconds()
    for unit, size in (("w", 604_800), ("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:f}".rstrip("0").rstrip(".") + "s"
