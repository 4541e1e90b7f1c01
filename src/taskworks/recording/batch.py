"""How many outcomes are written at once, and what if the database refuses one of them."""

from collections.abc import Callable, Iterator, Sequence
from uuid import UUID

from django.db import Error, InterfaceError, OperationalError

from taskworks.execution import Attempt, failure
from taskworks.models import TaskRun

MOST = 500  # outcomes in one statement

# How MySQL and MariaDB report what a trigger raises, which Django takes for an outage.
SIGNALLED = 1644

Write = Callable[[list[TaskRun]], set[UUID]]


class Batch:
    """
    Fewer at once after each write that failed, in case it was too large for the database, and
    more again after each that did not.
    """

    def __init__(self) -> None:
        self._size = MOST

    def of(self, attempts: Sequence[Attempt]) -> Iterator[list[Attempt]]:
        """The attempts, as many at a time as may be written at once."""
        start = 0
        while some := list(attempts[start : start + self._size]):
            start += len(some)
            yield some

    def write(self, write: Write, attempts: Sequence[Attempt]) -> set[UUID]:
        """
        Write what became of these; the ids of the runs that were ours.

        A row that the database refuses takes no other along: its run has failed. Raise the
        database's error if it is not about a row.
        """
        try:
            written = write([attempt.run for attempt in attempts])
        except (Error, ValueError, OverflowError) as error:  # the latter two are a driver's
            if _is_weather(error):
                self._size = max(1, len(attempts) // 2)
                raise
            if len(attempts) > 1:
                half = len(attempts) // 2
                return self.write(write, attempts[:half]) | self.write(write, attempts[half:])
            return _write_refused(write, attempts[0], error)
        self._size = min(MOST, self._size * 2)
        return written


def _is_weather(error: Exception) -> bool:
    outage = isinstance(error, (OperationalError, InterfaceError))
    return outage and error.args[:1] != (SIGNALLED,)


def _write_refused(write: Write, attempt: Attempt, error: Exception) -> set[UUID]:
    """
    Its run has failed, if the database takes that. If it does not, as one that only reads takes
    nothing, then it was not about this row: nothing has changed.
    """
    failed = attempt.ended_by(failure(error))
    written = write([failed.run])
    attempt.run, attempt.outcome = failed.run, failed.outcome
    return written
