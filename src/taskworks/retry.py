"""Again, and when: ``Backoff``, and what a task raises to be run again."""

import random
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from taskworks.exceptions import TaskException

if TYPE_CHECKING:
    from taskworks.result import TaskResult

LONGEST_DELAY = 10 * 366 * 86_400.0  # seconds; a longer wait is a mistake


@dataclass(frozen=True, slots=True)
class Backoff:
    """
    Waits that grow: ``initial`` seconds after the first failure, ``factor`` times as long after
    each further one, ``maximum`` seconds at most; ``jitter`` is the share of a wait by which
    chance makes it shorter or longer, so that runs that failed together do not come back together.

    Raise ValueError for a number that makes no wait.
    """

    initial: float = 10.0
    factor: float = 2.0
    maximum: float = 3600.0
    jitter: float = 0.1

    def __post_init__(self) -> None:
        for field in fields(self):
            number = getattr(self, field.name)
            if isinstance(number, bool) or not isinstance(number, int | float):
                raise ValueError(f"Backoff's {field.name} must be a number, not {number!r}.")
            lowest, highest = (
                (0, 1) if field.name == "jitter" else (field.name == "factor", LONGEST_DELAY)
            )
            if not lowest <= number <= highest:
                raise ValueError(
                    f"Backoff's {field.name} must be {lowest:d} to {highest:.0f}, not {number!r}."
                )

    def delay(self, failures: int) -> float:
        """Seconds to wait after so many failures."""
        try:
            wait = min(self.maximum, self.initial * float(self.factor) ** (failures - 1))
        except OverflowError:
            wait = self.maximum if self.initial else 0.0
        return wait * random.uniform(1 - self.jitter, 1 + self.jitter)  # noqa: S311 - no secret


# A callable gives the seconds to wait, or None to stop.
AskedForDelay = Callable[[BaseException, "TaskResult[..., Any]"], float | timedelta | None]


class _Again(TaskException):
    """Raised by a task to be run again."""

    def __init__(self, reason: str = "", *, after: float | timedelta | None = None) -> None:
        super().__init__(reason)
        self.after = None if after is None else seconds(after, f"{type(self).__name__}(after=...)")


class Retry(_Again):
    """
    Raised by a task: this attempt has failed, try again ``after`` seconds (a number or a
    timedelta; None: as the task's ``backoff`` says), unless it was the last of ``max_attempts``.
    ``retry_on`` and ``give_up_on`` are not asked.

    Raise ValueError for an ``after`` that is no time to wait.
    """


class Snooze(_Again):
    """
    Raised by a task: it is too early, come back ``after`` seconds (a number or a timedelta). The
    attempt is given back: it counts neither as an attempt nor as a failure.

    Raise ValueError for an ``after`` that is no time to wait.
    """

    def __init__(self, reason: str = "", *, after: float | timedelta) -> None:
        super().__init__(reason, after=after)


def seconds(given: Any, name: str) -> float:
    """A number of seconds, or a timedelta, as a float; ValueError for what is no time to wait."""
    number = given.total_seconds() if isinstance(given, timedelta) else given
    is_number = isinstance(number, int | float) and not isinstance(number, bool)
    if not is_number or not 0 <= number <= LONGEST_DELAY:
        raise ValueError(
            f"{name} must be seconds or a timedelta, from 0 to ten years, not {given!r}."
        )
    return float(number)
