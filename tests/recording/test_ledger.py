"""Where attempts are: phases, outcomes and the verbs that write them."""

from itertools import product
from typing import get_args
from uuid import UUID

import pytest

from taskworks.execution import (
    Attempt,
    Failed,
    InDoubt,
    Phase,
    Retried,
    Settled,
    Succeeded,
    Verb,
    prepare,
)
from taskworks.models import TaskRun, Worker
from taskworks.recording import in_hand
from taskworks.recording.events import Attempts, Subscriber
from taskworks.recording.in_hand import NEXT_PHASES, ImpossiblePhaseError
from taskworks.recording.ledger import WRITERS, Ledger
from taskworks.store import store
from tests import tasks
from tests.recording.in_hand import new_ledger, submit
from tests.recording.outcomes import ENTRY, ERROR, EXAMPLES, MINUTE

pytestmark = pytest.mark.django_db(transaction=True)


class Witness(Subscriber):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.written: list[Attempt] = []
        self.not_written: list[Attempt] = []

    def recorded(self, attempts: Attempts) -> None:
        self.written += attempts

    def refused(self, attempt: Attempt) -> None:
        self.not_written.append(attempt)


def claimed(count: int = 1) -> list[Attempt]:
    tasks.noop.enqueue_many([()] * count)
    worker = Worker(label="of a test", hostname="here", pid=1)
    store().register(worker)
    runs = store().claim(worker.id, "default", ["default"], {"thread": count})
    attempts = [Attempt(run, "of a test") for run in runs]
    for attempt in attempts:
        assert prepare(attempt) is None
    return attempts


def begun(ledger: Ledger, count: int = 1) -> list[Attempt]:
    """Attempts that a pool executes, and whose start is written."""
    attempts = claimed(count)
    submit(ledger, attempts)
    for attempt in attempts:
        attempt.begin()
    store().start([attempt.run for attempt in attempts])
    return attempts


def state_of(run_id: UUID) -> str:
    return TaskRun.objects.get(id=run_id).state


def test_no_outcome_lacks_an_example() -> None:
    assert {type(outcome) for outcome, _ in EXAMPLES} == set(get_args(Settled))


@pytest.mark.parametrize(("outcome", "state"), EXAMPLES, ids=lambda v: type(v).__name__)
def test_every_outcome_is_written_by_its_verb_and_closes_its_attempt(
    outcome: Settled, state: str
) -> None:
    witness = Witness()
    ledger = new_ledger(witness)
    [attempt] = begun(ledger)
    ledger.settle(attempt, outcome)
    ledger.record()
    assert state_of(attempt.run.id) == state
    assert attempt.phase is Phase.CLOSED
    assert len(ledger.in_hand) == 0
    assert [*witness.written, *witness.not_written] == [attempt]


def test_an_outcome_that_comes_second_is_lost() -> None:
    witness = Witness()
    ledger = new_ledger(witness)
    [attempt] = begun(ledger)
    ledger.settle(attempt, Succeeded(1))
    ledger.settle(attempt, Succeeded(2))
    assert witness.not_written == [attempt]
    ledger.record()
    assert TaskRun.objects.get(id=attempt.run.id).return_value == 1


def test_an_uncertain_one_is_settled_by_what_the_database_knows() -> None:
    ledger = new_ledger()
    [attempt] = begun(ledger)
    ledger.settle(attempt, InDoubt(Failed(ERROR, ENTRY)))
    assert attempt.phase is Phase.UNCERTAIN
    assert len(ledger.in_hand) == 1
    ledger.record()
    assert state_of(attempt.run.id) == "failed"


def test_a_stuck_one_is_written_when_the_process_leaves() -> None:
    ledger = new_ledger()
    [attempt] = begun(ledger)
    ledger.settle_after_exit(attempt, Retried(ERROR, ENTRY, MINUTE))
    ledger.record()
    assert (attempt.phase, len(ledger.in_hand)) == (Phase.STUCK, 0)
    assert state_of(attempt.run.id) == "running"
    ledger.give_back()
    assert state_of(attempt.run.id) == "scheduled"


def test_an_older_attempt_at_a_run_that_is_ours_again_is_given_up() -> None:
    witness = Witness()
    ledger = new_ledger(witness)
    [older] = begun(ledger)
    newer = Attempt(older.run, "of a test")
    ledger.in_hand.take([newer])
    ledger.settle(older, Succeeded(1))
    assert (older.phase, newer.phase) == (Phase.CLOSED, Phase.CLAIMED)
    assert witness.not_written == [older]


@pytest.mark.parametrize(
    ("before", "after"),
    [pair for pair in product(Phase, Phase) if pair[1] not in NEXT_PHASES[pair[0]]],
    ids=lambda phase: phase.name,
)
def test_an_impossible_phase_is_an_error(before: Phase, after: Phase) -> None:
    ledger = new_ledger()
    attempt = Attempt(TaskRun(id=UUID(int=1)), "of a test")
    ledger.in_hand.take([attempt])
    attempt.phase = before
    with pytest.raises(
        ImpossiblePhaseError, match=f"{before.name}, and cannot become {after.name}"
    ):
        ledger.in_hand.move([attempt], after)


def test_each_verb_has_a_writer() -> None:
    assert WRITERS.keys() == {*Verb}


def test_the_docstring_draws_every_phase() -> None:
    for phase in Phase:
        assert phase.name in str(in_hand.__doc__)
