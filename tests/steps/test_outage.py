"""A step whose record cannot be written waits for the database; what it did is not repeated."""

from typing import Any

import pytest
from django.db import DataError, OperationalError

from taskworks import TaskResult, wait_for
from taskworks.models import StepRecord
from taskworks.steps.requests import Record
from taskworks.store import Store
from tests.behavior import executed
from tests.steps import shelf

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("answer_was_lost", [True, False])
def test_an_outage_while_a_step_is_recorded(
    monkeypatch: pytest.MonkeyPatch, *, answer_was_lost: bool
) -> None:
    answer, failures = Store.answer, [1, 1]

    def failing(store: Store, run: Any, request: Any) -> Any:
        if isinstance(request, Record) and failures:
            failures.pop()
            if answer_was_lost:
                answer(store, run, request)
            raise OperationalError("the server has gone away")
        return answer(store, run, request)

    monkeypatch.setattr(Store, "answer", failing)
    result = shelf.two_steps.enqueue()
    assert executed(result).return_value == ["first", "second"]
    assert result.attempts == 1
    assert shelf.done == ["first", "second"]
    assert StepRecord.objects.count() == 2


def test_a_database_that_refuses_the_row(monkeypatch: pytest.MonkeyPatch, worker: None) -> None:
    def refuse(*given: Any) -> Any:
        raise DataError("value too long")

    monkeypatch.setattr(Store, "record_step", refuse)
    result: TaskResult = shelf.sleeps.enqueue(5)
    wait_for([result], timeout=60)
    assert "The step could not be recorded: value too long" in result.errors[0].traceback
