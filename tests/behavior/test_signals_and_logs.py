"""What the world is told of a run: signals, and lines in the log with structured extras."""

import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from taskworks import Retry, Snooze, TaskContext, TaskResultStatus, task
from taskworks.exceptions import TaskCancelled
from taskworks.framework import LOGGER_NAME
from taskworks.models import RunState
from taskworks.signals import (
    task_cancelled,
    task_enqueued,
    task_finished,
    task_retried,
    task_started,
)
from tests import tasks
from tests.behavior import (
    backend_class,
    database_now,
    executed,
    not_in_celerys_child,
    received,
    rewrite,
    run_of,
    run_worker,
)

pytestmark = [pytest.mark.thorough_on_servers, pytest.mark.django_db(transaction=True)]

SIGNALS = {
    "enqueued": task_enqueued,
    "started": task_started,
    "retried": task_retried,
    "finished": task_finished,
    "cancelled": task_cancelled,
}
EXTRAS = {
    "task_id",
    "task_path",
    "task_queue",
    "task_attempt",
    "task_duration",
    "task_worker",
    "task_state",
}


@task(takes_context=True)
def fail_once(context: TaskContext) -> None:
    if context.attempt == 1:
        raise ValueError("once")


@task(takes_context=True)
async def fail_once_async(context: TaskContext) -> None:
    if context.attempt == 1:
        raise ValueError("once")


@task
def snooze_for_a_minute() -> None:
    tasks.time.sleep(0.05)
    raise Snooze("early", after=60)


@task
def retry_in_a_minute() -> None:
    raise Retry("busy", after=60)


@pytest.fixture
def order() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """The names of the signals that were sent, with what they brought."""
    sent: list[tuple[str, dict[str, Any]]] = []
    receivers: dict[str, Callable[..., None]] = {}
    for name, signal in SIGNALS.items():

        def receive(name: str = name, **kwargs: Any) -> None:
            sent.append((name, kwargs))

        receivers[name] = receive
        signal.connect(receive)
    yield sent
    for name, signal in SIGNALS.items():
        signal.disconnect(receivers[name])


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[logging.LogRecord]]:
    """
    The lines of taskworks.runs, but for runs that a worker has released: on a slow machine it may
    release, and claim again, what did not begin within a tenth of a second.
    """
    caplog.set_level(logging.DEBUG, "taskworks.runs")
    return lambda: [
        record
        for record in caplog.records
        if record.name == "taskworks.runs" and not record.getMessage().endswith(": released.")
    ]


def survives() -> bool:
    """Whether a worker does; pytest could not even print why it did not."""
    try:
        run_worker()
    except BaseException:
        return False
    return True


Order = list[tuple[str, dict[str, Any]]]
Lines = Callable[[], list[logging.LogRecord]]


class TestSignals:
    @not_in_celerys_child
    def test_of_a_success_are_three(self, order: Order) -> None:
        executed(tasks.add.enqueue(1, 2))
        assert [name for name, _ in order] == ["enqueued", "started", "finished"]

    @not_in_celerys_child
    @pytest.mark.parametrize("made", [fail_once, fail_once_async])
    def test_of_a_retry_come_between_two_starts(self, order: Order, made: Any) -> None:
        result = executed(made.using(max_attempts=2, backoff=0).enqueue())
        names = [name for name, _ in order]
        assert names == ["enqueued", "started", "retried", "started", "finished"]
        assert {kwargs["task_result"].id for _, kwargs in order} == {result.id}

    def test_of_a_retry_say_when(self, order: Order) -> None:
        result = executed(retry_in_a_minute.using(max_attempts=2).enqueue())
        name, kwargs = order[-1]
        assert name == "retried"
        assert kwargs["sender"] is backend_class()
        assert kwargs["delay"] == timedelta(seconds=60)
        told = kwargs["task_result"]
        assert (told.status, told.attempts, len(told.errors)) == (TaskResultStatus.READY, 1, 1)
        assert told == result

    def test_of_a_retry_are_sent_once_it_is_stored(self) -> None:
        states: list[str] = []

        def look(task_result: Any, **kwargs: Any) -> None:
            states.append(run_of(task_result).state)

        task_retried.connect(look)
        try:
            executed(retry_in_a_minute.using(max_attempts=2).enqueue())
        finally:
            task_retried.disconnect(look)
        assert states == [RunState.SCHEDULED]

    @not_in_celerys_child
    def test_of_a_last_failure_have_no_retry(self, order: Order) -> None:
        executed(tasks.fail.using(max_attempts=2, backoff=0).enqueue())
        names = [name for name, _ in order]
        assert names == ["enqueued", "started", "retried", "started", "finished"]

    @not_in_celerys_child
    def test_of_a_snooze_are_a_start_alone(self, order: Order) -> None:
        executed(snooze_for_a_minute.enqueue())
        assert [name for name, _ in order] == ["enqueued", "started"]

    def test_of_a_cancellation_say_that_it_finished_first(self, order: Order) -> None:
        tasks.noop.enqueue().cancel()
        assert [name for name, _ in order] == ["enqueued", "finished", "cancelled"]

    @pytest.mark.parametrize("signal", [task_retried, task_cancelled, task_finished])
    def test_may_be_received_by_coroutines(self, signal: Any) -> None:
        heard: list[str] = []

        async def receive(task_result: Any, **kwargs: Any) -> None:
            heard.append(task_result.id)

        signal.connect(receive)
        try:
            result = executed(fail_once.using(max_attempts=2, backoff=0).enqueue())
            cancelled = tasks.noop.enqueue()
            cancelled.cancel()
        finally:
            signal.disconnect(receive)
        assert (
            heard
            == {
                task_retried: [result.id],
                task_cancelled: [cancelled.id],
                task_finished: [result.id, cancelled.id],
            }[signal]
        )

    @pytest.mark.parametrize("error", [RuntimeError, SystemExit, KeyboardInterrupt])
    def test_may_be_received_by_what_breaks(self, error: type[BaseException]) -> None:
        def receive(**kwargs: Any) -> None:
            raise error

        for signal in (task_retried, task_finished, task_started):
            signal.connect(receive)
        try:
            result = executed(fail_once.using(max_attempts=2, backoff=0).enqueue())
        finally:
            for signal in (task_retried, task_finished, task_started):
                signal.disconnect(receive)
        assert (result.status, result.attempts) == (TaskResultStatus.SUCCESSFUL, 2)

    def test_of_a_cancellation_may_break_too(self) -> None:
        def receive(**kwargs: Any) -> None:
            raise RuntimeError

        task_cancelled.connect(receive)
        try:
            result = tasks.noop.enqueue()
            assert result.cancel()
        finally:
            task_cancelled.disconnect(receive)
        assert result.is_cancelled


class TestLog:
    def test_has_a_line_for_each_end_with_what_there_is_to_know(self, lines: Lines) -> None:
        result = executed(tasks.add.using(queue_name="mail").enqueue(1, 2), "--worker-id=me")
        [line] = lines()
        assert {name: getattr(line, name) for name in EXTRAS - {"task_duration"}} == {
            "task_id": result.id,
            "task_path": "tests.tasks.add",
            "task_queue": "mail",
            "task_attempt": 1,
            "task_worker": "me",
            "task_state": "successful",
        }
        assert line.task_duration >= 0
        assert line.levelno == logging.INFO
        assert line.getMessage() == f"Run {result.id} of tests.tasks.add: successful."

    def test_measures_how_long_it_took(self, lines: Lines) -> None:
        began = tasks.time.monotonic()
        executed(tasks.sleep_for.enqueue(0.2))
        [line] = lines()
        assert 0.2 <= line.task_duration <= tasks.time.monotonic() - began

    def test_has_a_warning_with_a_traceback_for_each_retry(self, lines: Lines) -> None:
        result = executed(fail_once.using(max_attempts=2, backoff=0).enqueue())
        retried, finished = lines()
        assert (retried.levelno, finished.levelno) == (logging.WARNING, logging.INFO)
        assert retried.getMessage() == (
            f"Run {result.id} of {fail_once.module_path}: failed, and is retried in 0.0 s."
        )
        assert retried.exc_info is not None
        assert retried.exc_info[0] is ValueError
        assert [line.task_attempt for line in (retried, finished)] == [1, 2]
        assert retried.task_state == "ready"

    def test_has_a_line_for_a_failure(self, lines: Lines) -> None:
        executed(tasks.fail.enqueue())
        [line] = lines()
        assert (line.task_state, line.task_attempt) == ("failed", 1)

    def test_has_a_line_for_a_snooze(self, lines: Lines) -> None:
        executed(snooze_for_a_minute.enqueue())
        [line] = lines()
        assert line.getMessage().endswith(": snoozed for 60.0 s.")
        assert (line.levelno, line.task_state) == (logging.INFO, "scheduled")

    def test_measures_how_long_it_took_to_snooze(self, lines: Lines) -> None:
        began = tasks.time.monotonic()
        executed(snooze_for_a_minute.enqueue())
        [line] = lines()
        assert 0.05 <= line.task_duration <= tasks.time.monotonic() - began

    def test_has_a_line_for_what_is_postponed(self, lines: Lines) -> None:
        result = tasks.noop.enqueue()
        rewrite(result, task_path="nowhere.task")
        executed(result)
        [line] = lines()
        assert line.levelno == logging.WARNING
        assert (
            "postponed for 1.0 s: The task 'nowhere.task' cannot be imported" in line.getMessage()
        )

    def test_has_a_line_for_what_expired(self, lines: Lines) -> None:
        result = tasks.noop.using(expires=60).enqueue()
        rewrite(result, expires_at=database_now() - timedelta(seconds=1))
        executed(result)
        [line] = lines()
        assert (line.task_state, line.task_attempt, line.task_duration) == ("failed", 0, 0)

    def test_survives_an_exception_that_cannot_be_printed(self, lines: Lines) -> None:
        made = tasks.raise_unprintable.using(max_attempts=2, backoff=0)
        result = executed(made.enqueue())
        assert (result.status, result.attempts) == (TaskResultStatus.FAILED, 2)
        assert [line.task_state for line in lines()] == ["ready", "failed"]

    @pytest.mark.parametrize("made", [tasks.raise_odd_notes, tasks.raise_odd_module])
    def test_survives_an_exception_that_ends_who_prints_it(self, made: Any) -> None:
        result = made.using(max_attempts=2, backoff=0).enqueue()
        assert survives()
        assert run_of(result).state == RunState.FAILED

    def test_every_line_has_every_extra(self, lines: Lines) -> None:
        for made in (tasks.fail, tasks.noop, snooze_for_a_minute, retry_in_a_minute, tasks.leave):
            made.using(max_attempts=2).enqueue()
        run_worker()
        assert len(lines()) == 5
        assert all(set(vars(line)) >= EXTRAS for line in lines())


@task
def stop_here() -> None:
    raise TaskCancelled


def test_receivers_hear_of_a_run_once() -> None:
    with received(task_finished) as finished, received(task_cancelled) as cancelled:
        result = tasks.noop.enqueue()
        result.cancel()
        result.cancel()
        run_worker()
    assert len(finished) == len(cancelled) == 1


def test_a_cancellation_is_no_error_and_has_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        waiting = tasks.noop.enqueue()
        waiting.cancel()
    [record] = [record for record in caplog.records if waiting.id in record.getMessage()]
    assert (record.name, record.levelname) == (LOGGER_NAME, "INFO")
    assert record.getMessage() == f"Task id={waiting.id} path=tests.tasks.noop state=CANCELLED"
    assert not record.exc_info


def test_what_fails_while_a_cancellation_is_announced_is_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail_at_once(**kwargs: Any) -> None:
        task_finished.disconnect(fail_at_once)
        tasks.fail.using(backend="immediate").enqueue()

    waiting = tasks.noop.enqueue()
    task_finished.connect(fail_at_once)
    waiting.cancel()
    [error] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert error.name == LOGGER_NAME
    assert "path=tests.tasks.fail state=FAILED" in error.getMessage()


def test_a_cancellation_by_the_task_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        cancelled = stop_here.enqueue()
        run_worker()
    assert run_of(cancelled).state == RunState.CANCELLED
    records = [record for record in caplog.records if cancelled.id in record.getMessage()]
    assert {record.levelname for record in records} == {"INFO"}
    assert not any(record.exc_info for record in records)
