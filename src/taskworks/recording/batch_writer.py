"""Writes the outcomes of many attempts at once, even if the database refuses one of them."""

from collections.abc import Callable, Iterator, Sequence
from uuid import UUID

from django.db import DataError, Error, IntegrityError, InterfaceError, OperationalError

from taskworks.execution import Attempt, copy_without_history, failure, settled_copy
from taskworks.models import TaskRun

MAX_OUTCOMES_PER_STATEMENT = 500

# MySQL's and MariaDB's error for what a trigger raises, which Django takes for an outage.
ER_SIGNAL_EXCEPTION = 1644

Write = Callable[[list[TaskRun]], set[UUID]]


class BatchWriter:
    """
    Halves its batches after each write that failed, in case it was too large for the database, and
    doubles them again after each that did not.
    """

    def __init__(self, fail: Write | None = None) -> None:
        self._fail = fail  # writes failures, if what writes an outcome does not
        self._size = MAX_OUTCOMES_PER_STATEMENT

    def batches(self, attempts: Sequence[Attempt]) -> Iterator[list[Attempt]]:
        """Yield the attempts, as many at a time as may be written at once."""
        start = 0
        while batch := list(attempts[start : start + self._size]):
            start += len(batch)
            yield batch

    def write(self, write: Write, attempts: Sequence[Attempt]) -> set[UUID]:
        """
        Write the outcomes of these attempts; return the ids of the runs that were still ours.

        A row that the database refuses takes no other with it: its run has failed. Raise the
        database's error if it is not about a row.
        """
        try:
            written = write([attempt.run for attempt in attempts])
        except Exception as error:  # also a driver's, or of a value that cannot be converted
            if _is_outage(error):
                self._size = max(1, len(attempts) // 2)
                raise
            if len(attempts) > 1:
                first, second = _halves(attempts)
                return self.write(write, first) | self.write(write, second)
            return _write_refused(self._fail or write, attempts[0], error)
        self._size = min(MAX_OUTCOMES_PER_STATEMENT, self._size * 2)
        return written


def _write_failure(write: Write, run: TaskRun) -> set[UUID]:
    try:
        return write([run])
    except Error:
        raise
    except Exception as error:  # of a run that has only values of ours
        raise DataError(f"Run {run.id} cannot be written: {error}") from error


def write_what_can_be(
    write: Write, attempts: Sequence[Attempt]
) -> tuple[set[UUID], dict[Attempt, Exception]]:
    """
    Write something of these attempts' runs; return the ids of those that were still ours, and the
    attempts whose rows cannot be written, with the reason. Raise the database's error if it is not
    about a row.
    """
    if not attempts:
        return set(), {}
    try:
        return write([attempt.run for attempt in attempts]), {}
    except Exception as error:
        if not _is_about_a_row(error):
            raise
        if len(attempts) == 1:
            return set(), {attempts[0]: error}
    first, second = _halves(attempts)
    written, refused = write_what_can_be(write, first)
    more_written, more_refused = write_what_can_be(write, second)
    return written | more_written, refused | more_refused


def _halves(attempts: Sequence[Attempt]) -> tuple[Sequence[Attempt], Sequence[Attempt]]:
    middle = len(attempts) // 2
    return attempts[:middle], attempts[middle:]


def _is_outage(error: Exception) -> bool:
    outage = isinstance(error, (OperationalError, InterfaceError))
    return outage and error.args[:1] != (ER_SIGNAL_EXCEPTION,)


def _is_about_a_row(error: Exception) -> bool:
    return not isinstance(error, Error) or isinstance(error, (DataError, IntegrityError))


def _write_refused(write: Write, attempt: Attempt, error: Exception) -> set[UUID]:
    """
    Fail the run. If the database refuses that too, as a read-only one does, then the error was not
    about this row, and nothing has changed.
    """
    try:
        failed = settled_copy(attempt, failure(error))
        written = write([failed.run])
    except Exception as again:
        if not _is_about_a_row(again):
            raise
        failed = copy_without_history(attempt, failure(error))
        written = _write_failure(write, failed.run)
    attempt.run, attempt.outcome = failed.run, failed.outcome
    return written
