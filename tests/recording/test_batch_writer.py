"""Many outcomes in one statement: a row that is refused, a statement that is too large."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from django.db import DataError, IntegrityError, InterfaceError, OperationalError

from taskworks.execution import Attempt, Failed, Succeeded, settle
from taskworks.models import TaskRun
from taskworks.recording.batch_writer import MAX_OUTCOMES_PER_STATEMENT, BatchWriter


def succeeded(count: int) -> list[Attempt]:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    runs = [TaskRun(id=uuid4(), claimed_at=now, state="claimed", errors=[]) for _ in range(count)]
    attempts = [Attempt(run, "of a test") for run in runs]
    for attempt in attempts:
        attempt.begin()
        settle(attempt, Succeeded(None))
    return attempts


class Table:
    """Takes what is written to it, but for the success of some runs."""

    def __init__(self, refused: Sequence[Attempt] = (), error: type[Exception] = DataError) -> None:
        self._refused, self._error = {attempt.run.id for attempt in refused}, error
        self.states: dict[UUID, str] = {}

    def write(self, runs: list[TaskRun]) -> set[UUID]:
        if any(run.id in self._refused and run.state == "successful" for run in runs):
            raise self._error("this row is refused")
        self.states |= {run.id: run.state for run in runs}
        return {run.id for run in runs}


@pytest.mark.parametrize("error", [DataError, IntegrityError, ValueError, OverflowError])
@pytest.mark.parametrize("places", [[0], [7], [0, 1, 19], range(20)])
def test_a_refused_row_takes_no_other_along(error: type[Exception], places: Sequence[int]) -> None:
    attempts = succeeded(20)
    refused = [attempts[place] for place in places]
    table = Table(refused, error)
    assert BatchWriter().write(table.write, attempts) == {attempt.run.id for attempt in attempts}
    for attempt in attempts:
        is_refused = attempt in refused
        assert table.states[attempt.run.id] == ("failed" if is_refused else "successful")
        assert isinstance(attempt.outcome, Failed if is_refused else Succeeded)
    assert "this row is refused" in refused[0].run.errors[0]["traceback"]


def test_a_trigger_that_refuses_a_row_on_mysql_is_no_outage() -> None:
    attempts = succeeded(3)

    def write(runs: list[TaskRun]) -> set[UUID]:
        if any(run is attempts[1].run for run in runs) and attempts[1].run.state == "successful":
            raise OperationalError(1644, "refused by a trigger")
        return {run.id for run in runs}

    assert len(BatchWriter().write(write, attempts)) == 3
    assert [attempt.run.state for attempt in attempts] == ["successful", "failed", "successful"]


def test_a_database_that_takes_nothing_blames_no_run() -> None:
    attempts = succeeded(4)

    def write(runs: list[TaskRun]) -> set[UUID]:
        raise DataError("nothing is taken")

    with pytest.raises(DataError):
        BatchWriter().write(write, attempts)
    assert {attempt.run.state for attempt in attempts} == {"successful"}


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_after_an_outage_fewer_are_written_at_once_and_then_more_again(
    error: type[Exception],
) -> None:
    batch, attempts = BatchWriter(), succeeded(MAX_OUTCOMES_PER_STATEMENT + 100)

    def first() -> list[Attempt]:
        return next(batch.batches(attempts))

    def fail(runs: list[TaskRun]) -> set[UUID]:
        raise error("the statement is too large, or nobody is there")

    for expected in (MAX_OUTCOMES_PER_STATEMENT, MAX_OUTCOMES_PER_STATEMENT // 2):
        assert len(first()) == expected
        with pytest.raises(error):
            batch.write(fail, first())
    for expected in (MAX_OUTCOMES_PER_STATEMENT // 4, MAX_OUTCOMES_PER_STATEMENT // 2):
        assert len(first()) == expected
        batch.write(Table().write, first())
    batch.write(Table().write, first())
    assert [len(some) for some in batch.batches(attempts)] == [MAX_OUTCOMES_PER_STATEMENT, 100]
