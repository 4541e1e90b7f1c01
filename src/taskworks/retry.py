"""``Backoff``, and the exceptions that a task raises to be attempted again."""

import random
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from taskworks.durations import MAX_DELAY, seconds
from taskworks.exceptions import TaskException

if TYPE_CHECKING:
    from taskworks.result import TaskResult

MAX_HOLD = 31 * 86_400.0  # seconds; a longer hold is a mistake


@dataclass(frozen=True, slots=True)
class Backoff:
    """
    Delays that grow with each failure: ``initial`` seconds after the first, ``factor`` times as
    long after each further one, at most ``maximum`` seconds. ``jitter`` is the share by which a
    delay is randomly shortened or lengthened, so that runs that failed together are not retried
    together.

    Raise ValueError for a number that is out of range.
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
                (0, 1) if field.name == "jitter" else (field.name == "factor", MAX_DELAY)
            )
            if not lowest <= number <= highest:
                raise ValueError(
                    f"Backoff's {field.name} must be from {lowest:d} to {highest:.0f}, "
                    f"not {number!r}."
                )

    def delay(self, failures: int) -> float:
        """Return the seconds to wait after the given number of failures."""
        try:
            delay = min(self.maximum, self.initial * float(self.factor) ** (failures - 1))
        except OverflowError:
            delay = self.maximum if self.initial else 0.0
        return delay * random.uniform(1 - self.jitter, 1 + self.jitter)  # noqa: S311 - not a secret


# Returns the seconds to wait, or None for no further attempt.
BackoffFunction = Callable[[BaseException, "TaskResult[..., Any]"], float | timedelta | None]


class _AttemptAgain(TaskException):
    """Raised by a task to be attempted again."""

    def __init__(self, reason: str = "", *, after: float | timedelta | None = None) -> None:
        super().__init__(reason)
        self.after = None if after is None else seconds(after, f"{type(self).__name__}(after=...)")


class Retry(_AttemptAgain):
    """
    Raised by a task whose attempt has failed and is to be retried ``after`` seconds (a number or a
    timedelta; if None, as ``backoff`` says), unless ``max_attempts`` is reached. ``retry_on`` and
    ``give_up_on`` do not matter.

    Raise ValueError for an ``after`` that is not a delay.
    """


class Snooze(_AttemptAgain):
    """
    Raised by a task that is to be executed again ``after`` seconds (a number or a timedelta),
    because it is too early. This counts neither as an attempt nor as a failure.

    Raise ValueError for an ``after`` that is not a delay.
    """

    _holds_key = False  # whether ``TaskContext.hold`` has raised it

    def __init__(self, reason: str = "", *, after: float | timedelta) -> None:
        super().__init__(reason, after=after)

    @classmethod
    def _of_hold(cls, after: float) -> "Snooze":
        """Return one that also closes the key of the run in its limit."""
        snooze = cls("The key of the run is held.", after=after)
        snooze._holds_key = True
        return snooze
