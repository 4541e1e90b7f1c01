"""One ordered list of subscribers, told of everything that is written."""

import pytest

from taskworks.execution import Attempt, Settled
from taskworks.models import TaskRun
from taskworks.recording.events import Attempts, RunEvents, Subscriber
from tests.recording.outcomes import EXAMPLES
from tests.recording.test_ledger import begun, new_ledger

ATTEMPT = Attempt(TaskRun(), "of a test")


class Scribe(Subscriber):
    def __init__(self, name: str, notes: list[str]) -> None:
        self._name, self._notes = name, notes

    def recorded(self, attempts: Attempts) -> None:
        self._notes.append(f"{self._name} is told of {len(attempts)}")


class Broken(Subscriber):
    def recorded(self, attempts: Attempts) -> None:
        raise ValueError("no luck")


def test_subscribers_are_told_in_order_and_one_that_raises_stops_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    notes: list[str] = []
    events = RunEvents([Scribe("the first", notes), Broken(), Scribe("the last", notes)])
    events.recorded([ATTEMPT, ATTEMPT])
    assert notes == ["the first is told of 2", "the last is told of 2"]
    assert "A subscriber of run events failed." in caplog.text


def test_a_subscriber_hears_only_what_it_wants_to() -> None:
    notes: list[str] = []
    events = RunEvents([Scribe("the first", notes)])
    for tell in (events.started, events.progressed):
        tell([ATTEMPT])
    for tell_of_one in (events.refused, events.stuck):
        tell_of_one(ATTEMPT)
    assert notes == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("outcome", [outcome for outcome, _ in EXAMPLES])
def test_log_and_signals_know_every_outcome(
    outcome: Settled, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="taskworks.runs")
    ledger = new_ledger()
    [attempt] = begun(ledger)
    ledger.settle(attempt, outcome)
    ledger.record()
    assert str(attempt.run.id) in caplog.text
    assert "A subscriber of run events failed." not in caplog.text
