"""What Celery's options mean here: those of a task, and those of one call."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from taskworks.celery.not_carried import INSTEAD, PAGE, not_carried
from taskworks.conf import nearest

Classes = tuple[type[BaseException], ...]

HIGHEST_PRIORITY = 9
JSON = ("json", None)
LONGEST = 10 * 366 * 86_400.0  # seconds; a delay above is a mistake
AT_LEAST = 0.001  # seconds; no run may expire at once

# Options of Celery without an effect here: messages, events, and when a worker acknowledges.
OF_A_TASK_WITHOUT_EFFECT = frozenset(
    [
        "acks_late",
        "acks_on_failure",
        "acks_on_timeout",
        "acks_on_failure_or_timeout",
        "reject_on_worker_lost",
        "retry_on_worker_lost",
        "track_started",
        "send_events",
        "trail",
        "store_errors_even_if_ignored",
        "store_eager_result",
        "resultrepr_maxsize",
        "throws",
        "compression",
        "typing",
        "shared",
        "lazy",
        "delivery_mode",
    ]
)
OF_A_CALL_WITHOUT_EFFECT = frozenset(
    [
        "retry",
        "retry_policy",
        "connection",
        "producer",
        "publisher",
        "shadow",
        "compression",
        "add_to_parent",
        "delivery_mode",
        "ignore_result",
        "argsrepr",
        "kwargsrepr",
    ]
)
# Options of Taskworks that the decorator takes as well.
OURS = frozenset(("delivery", "executor", "transactional", "unique", "limit", "metadata"))


@dataclass(frozen=True, slots=True, kw_only=True)
class CeleryOptions:
    """Options that this package follows itself; the others become those of ``taskworks.Task``."""

    name: str
    bind: bool = False
    max_retries: int | None = 3  # None: no limit
    retry_kwargs: tuple[tuple[str, Any], ...] = ()  # arguments of retry() in an autoretry
    default_retry_delay: float = 180  # seconds
    autoretry_for: Classes = ()
    dont_autoretry_for: Classes = ()
    retry_backoff: float = 0  # seconds; 0: none
    retry_backoff_max: int = 600
    retry_jitter: bool = True
    ignore_result: bool = False

    def autoretries(self, *exceptions: BaseException) -> bool:
        """Return whether an attempt that raises one of these is to be followed by another."""
        return any(
            isinstance(one, self.autoretry_for) and not isinstance(one, self.dont_autoretry_for)
            for one in exceptions
        )

    def autoretry(self, retries: int) -> dict[str, Any]:
        """Return the arguments of ``retry`` after so many retries."""
        if not self.retry_backoff:
            return dict(self.retry_kwargs)
        longest = min(self.retry_backoff_max, int(max(1.0, self.retry_backoff)) * 2**retries)
        delay = random.randrange(longest + 1) if self.retry_jitter else longest  # noqa: S311
        return {**dict(self.retry_kwargs), "countdown": delay}


FOLLOWED = frozenset(field.name for field in fields(CeleryOptions))
TRANSLATED = frozenset(("queue", "priority", "expires", "time_limit", "soft_time_limit"))
OF_A_TASK = FOLLOWED | TRANSLATED | OURS | {"serializer"}
OF_A_CALL = TRANSLATED | {"countdown", "eta", "serializer"}


# The options of a task.


def of_task(
    function: Callable[..., Any], given: Mapping[str, Any]
) -> tuple[CeleryOptions, dict[str, Any]]:
    """
    Return what this package follows, and the options of ``taskworks.Task``.

    Raise NotCarried for an option that is not carried, TypeError for an unknown one, TypeError or
    ValueError for a bad value.
    """
    place = f"of the task {function.__module__}.{function.__qualname__}"
    known = _known(given, OF_A_TASK, OF_A_TASK_WITHOUT_EFFECT, place)
    _refuse_serializer(known, place)
    options = CeleryOptions(
        **{
            "name": f"{function.__module__}.{function.__name__}",
            **_followed(known, place),
        }
    )
    ours = {name: value for name, value in known.items() if name in OURS}
    translated = _translated(known, place)
    if "expires" in known and "expires" not in translated:
        raise TypeError(f"expires {place} must be seconds, not {known['expires']!r}.")
    return options, {**ours, **translated}


def _known(
    given: Mapping[str, Any], known: frozenset[str], without_effect: frozenset[str], place: str
) -> dict[str, Any]:
    """Return the options that have an effect, without those that are None; refuse others."""
    options = {}
    for name, value in given.items():
        if name in known and (value is not None or name == "max_retries"):
            options[name] = value
        elif value is None or name in known or name in without_effect:
            continue
        elif name in INSTEAD:
            raise not_carried(f"The option {name}={value!r:.100} {place}", name)
        else:
            raise TypeError(
                f"There is no option {name!r}, given {place}.{nearest(name, sorted(known))} "
                f"See {PAGE}"
            )
    return options


def _refuse_serializer(known: Mapping[str, Any], place: str) -> None:
    if (serializer := known.get("serializer")) not in JSON:
        raise not_carried(f"The option serializer={serializer!r:.100} {place}", "serializer")


def _followed(known: Mapping[str, Any], place: str) -> dict[str, Any]:
    return {
        name: _VALID.get(name, _as_given)(value, name, place)
        for name, value in known.items()
        if name in FOLLOWED
    }


def _translated(known: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Return options of a task or a call as those of ``taskworks.Task``."""
    options: dict[str, Any] = {}
    if "queue" in known:
        options["queue_name"] = _queue(known["queue"], place)
    if "priority" in known:
        options["priority"] = priority_of(known["priority"], place)
    if isinstance(known.get("expires"), int | float | timedelta):
        options["expires"] = _seconds(known["expires"], "expires", place)
    if timeout := _timeout(known, place):
        options["timeout"] = timeout
    return options


def _timeout(known: Mapping[str, Any], place: str) -> float | None:
    """Return the smaller of the limits, because a task is interrupted only once here."""
    limits = {name: known[name] for name in ("soft_time_limit", "time_limit") if name in known}
    if not limits:
        return None
    given = {name: _seconds(value, name, place) for name, value in limits.items()}
    if len(given) > 1 and given["soft_time_limit"] > given["time_limit"]:
        raise ValueError(
            f"soft_time_limit {place} must be less than or equal to time_limit: "
            f"{limits['soft_time_limit']!r} and {limits['time_limit']!r}."
        )
    return min(given.values()) or None


def priority_of(given: Any, place: str) -> int:
    """
    Return Celery's priority as one of ours. A task without a priority has 0 in both, and 9 is the
    first in both, as with RabbitMQ. Raise ValueError for what is not an integer from 0 to 9.
    """
    if not isinstance(given, int) or isinstance(given, bool) or not 0 <= given <= HIGHEST_PRIORITY:
        raise ValueError(f"priority {place} must be an integer from 0 to 9, not {given!r}.")
    return round(given * 100 / HIGHEST_PRIORITY)


def _queue(given: Any, place: str) -> str:
    if not isinstance(given, str):
        raise not_carried(f"The queue {given!r:.100} {place}, which is not a name,", "exchange")
    return given


def _classes(given: Any, name: str, place: str) -> Classes:
    classes = (given,) if isinstance(given, type) else tuple(given)
    for one in classes:
        if not isinstance(one, type) or not issubclass(one, BaseException):
            raise TypeError(f"{name} {place} must be exception classes, not {one!r}.")
    return classes


def _count(given: Any, name: str, place: str) -> int | None:
    if given is None:
        return None
    if not isinstance(given, int) or isinstance(given, bool) or given < 0:
        raise ValueError(f"{name} {place} must be an integer of 0 or more, or None, not {given!r}.")
    return given


def _seconds(given: Any, name: str, place: str) -> float:
    number = given.total_seconds() if isinstance(given, timedelta) else given
    if not isinstance(number, int | float) or not 0 <= number <= LONGEST:
        raise ValueError(
            f"{name} {place} must be seconds, from 0 to ten years, or a timedelta, not {given!r}."
        )
    return number


def _retry_kwargs(given: Any, name: str, place: str) -> tuple[tuple[str, Any], ...]:
    valid = {"max_retries": _count, "countdown": _seconds}
    for key in given:
        if key not in valid:
            raise not_carried(f"The key {key!r} in {name} {place}", key)
    return tuple((key, valid[key](value, key, place)) for key, value in given.items())


def _whole_seconds(given: Any, name: str, place: str) -> int:
    return int(_seconds(given, name, place))


def _flag(given: Any, name: str, place: str) -> bool:
    return bool(given)


def _as_given(given: Any, name: str, place: str) -> Any:
    return given


_VALID: dict[str, Callable[[Any, str, str], Any]] = {
    "bind": _flag,
    "max_retries": _count,
    "default_retry_delay": _seconds,
    "retry_kwargs": _retry_kwargs,
    "autoretry_for": _classes,
    "dont_autoretry_for": _classes,
    "retry_backoff": _seconds,
    "retry_backoff_max": _whole_seconds,
    "retry_jitter": _flag,
    "ignore_result": _flag,
}


# The options of one call.


def of_call(name: str, given: Mapping[str, Any], expires: Any = None) -> dict[str, Any]:
    """
    Return the options of a call as ``using()`` takes them; ``expires`` is that of the task. Raise
    as ``of_task``, and ValueError for a moment without a time zone.
    """
    place = f"of a call of {name}"
    known = _known(given, OF_A_CALL, OF_A_CALL_WITHOUT_EFFECT, place)
    _refuse_serializer(known, place)
    options = _translated(known, place)
    delay = _delay(known, place)
    if delay is not None:
        options["run_after"] = delay
        known.setdefault("expires", expires)
    if known.get("expires") is not None:
        options["expires"] = _expiry(known["expires"], delay, place)
    return options


def _delay(known: Mapping[str, Any], place: str) -> datetime | timedelta | None:
    """Return when the run becomes ready; a moment in the past is now, as it is for Celery."""
    if "countdown" in known:
        countdown = known["countdown"]
        if isinstance(countdown, int | float) and countdown < 0:
            return None
        return timedelta(seconds=_seconds(countdown, "countdown", place)) or None
    if "eta" not in known:
        return None
    eta = moment_of(known["eta"], "eta", place)
    return eta if eta > _now() else None


def _expiry(given: Any, delay: datetime | timedelta | None, place: str) -> float:
    """Return the seconds that a run may wait; those of Celery count from the call."""
    if isinstance(given, int | float | timedelta):
        seconds = _seconds(given, "expires", place)
    else:
        seconds = (moment_of(given, "expires", place) - _now()).total_seconds()
    waits = delay - _now() if isinstance(delay, datetime) else delay or timedelta()
    return min(LONGEST, max(AT_LEAST, seconds - waits.total_seconds()))


def moment_of(given: Any, name: str, place: str) -> datetime:
    """Return a moment, which may be written as ISO 8601; raise TypeError or ValueError."""
    try:
        moment = datetime.fromisoformat(given) if isinstance(given, str) else given
    except ValueError as error:
        raise ValueError(f"{name} {place} is not a moment: {error}.") from error
    if not isinstance(moment, datetime):
        raise TypeError(f"{name} {place} must be a datetime, not {given!r}.")
    if timezone.is_naive(moment) and settings.USE_TZ:
        raise ValueError(
            f"{name} {place} has no time zone: {moment.isoformat()}. Celery would take it for the "
            "time of its own time zone. Use django.utils.timezone.now() or make_aware()."
        )
    if timezone.is_aware(moment) and not settings.USE_TZ:
        return timezone.make_naive(moment)
    return moment


def _now() -> datetime:
    return timezone.now()
