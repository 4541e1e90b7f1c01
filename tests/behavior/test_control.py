"""Queues are paused, resumed, cleared and drained."""

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from inspect import iscoroutinefunction
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction

from taskworks import TaskResult, control, task, task_backends
from taskworks.actions import clearing
from taskworks.backends.database import DatabaseBackend
from taskworks.control import clear, drain, pause, pauses, resume
from taskworks.database.clock import DatabaseClock
from taskworks.duties.tidy import tidy
from taskworks.framework import LOGGER_NAME
from taskworks.models import Pause, TaskRun
from taskworks.schedules import Schedule
from taskworks.schedules.firing import fire_some
from taskworks.signals import task_cancelled, task_finished
from taskworks.store import store
from tests import tasks
from tests.behavior import Settings, database_now, received, rewrite, run_of, run_worker
from tests.connections import begin_elsewhere, elsewhere, held_elsewhere
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)
mail = tasks.noop.using(queue_name="mail")
other_mail = tasks.noop.using(queue_name="mail", backend="other")


@pytest.fixture(params=["sync", "async"], autouse=True)
def _both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What this module calls is the function, or its asynchronous twin."""
    if request.param == "async":
        for name in ("pause", "resume", "clear", "drain", "pauses"):
            twin = getattr(control, f"a{name}")
            assert iscoroutinefunction(twin)
            monkeypatch.setitem(globals(), name, async_to_sync(twin))


once = pytest.mark.parametrize("_both_ways", ["sync"], indirect=True)


def states(*results: TaskResult) -> list[str]:
    return [run_of(result).state for result in results]


# Pause and resume


def test_a_paused_queue_waits_whatever_is_started_until_it_is_resumed() -> None:
    waiting, other = mail.enqueue(), tasks.noop.enqueue()
    pause("mail", reason="The provider is down.", by="anna")
    run_worker()
    assert states(waiting, other) == ["ready", "successful"]
    run_worker()  # another worker, as after a restart
    assert states(waiting) == ["ready"]
    [paused] = pauses()
    assert (paused.backend, paused.name, paused.until) == ("default", "mail", None)
    assert (paused.reason, paused.by) == ("The provider is down.", "anna")
    assert abs(store().read_clock() - paused.at) < timedelta(minutes=1)
    assert resume("mail") is True
    assert pauses() == []
    run_worker()
    assert states(waiting) == ["successful"]
    assert resume("mail") is False


def test_the_later_of_two_pauses_takes_the_place_of_the_first() -> None:
    pause("mail", until=HOUR, reason="one", by="anna")
    paused = pause("mail", reason="two")
    assert (paused.until, paused.reason, paused.by) == (None, "two", "")
    assert pauses() == [paused]


@pytest.mark.parametrize("aware", [False, True], ids=["timedelta", "datetime"])
def test_a_pause_ends_by_itself(aware: bool) -> None:
    waiting = mail.enqueue()
    now = store().read_clock()
    paused = pause("mail", until=now + HOUR if aware else HOUR)
    assert timedelta(0) <= paused.until - now - HOUR < timedelta(minutes=1)
    run_worker()
    assert states(waiting) == ["ready"]
    Pause.objects.update(until=database_now())
    assert pauses() == []
    assert resume("mail") is False
    run_worker()
    assert states(waiting) == ["successful"]


def test_the_clock_is_that_of_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DatabaseClock, "moved", timedelta(days=-1000))
    until = datetime.now(UTC) - timedelta(days=999)
    assert pause("mail", until=until).until == until
    assert len(pauses()) == 1
    monkeypatch.undo()
    assert pauses() == []


@once
def test_what_is_paused_is_promoted_fired_and_expires(settings: Settings) -> None:
    pause("mail")
    due = mail.using(run_after=HOUR).enqueue()
    expired = mail.using(expires=60).enqueue()
    rewrite(due, available_at=database_now())
    rewrite(expired, expires_at=database_now())
    schedule = Schedule(label="fires", path="tests.tasks.noop", cron="* * * * *")
    schedule.options = {"queue_name": "mail"}
    schedule.save()
    Schedule.objects.update(next_run=database_now(), due_at=database_now())
    fire_some(store(), [schedule.pk])
    run_worker()
    assert [*TaskRun.objects.values_list("state", flat=True)] == ["ready"] * 3
    resume("mail")
    run_worker()
    assert states(due, expired) == ["successful", "failed"]
    assert TaskRun.objects.successful().count() == 2


def test_in_a_transaction_a_pause_counts_from_the_commit() -> None:
    waiting = mail.enqueue()
    with held_elsewhere(lambda: control.pause("mail")) as paused:
        assert paused.name == "mail"
        if connection.vendor != "sqlite":  # which lets nobody write meanwhile
            run_worker()
            assert states(waiting) == ["successful"]
    assert len(pauses()) == 1


@once
def test_a_pause_that_is_rolled_back_was_never_there() -> None:
    with transaction.atomic():
        control.pause("mail")
        transaction.set_rollback(True)
    assert control.pauses() == []


@once
def test_many_may_pause_and_resume_at_once() -> None:
    start = threading.Barrier(8)

    def press(number: int) -> None:
        start.wait(timeout=30)
        for turn in range(10):
            control.pause("mail", by=f"{number}")
            if turn % 3 == number % 3:
                control.resume("mail")

    for pressing in [begin_elsewhere(lambda number=number: press(number)) for number in range(8)]:
        pressing.result(timeout=60)
    assert Pause.objects.count() <= 1
    control.pause("mail", by="the last")
    assert Pause.objects.get().by == "the last"


def test_it_can_wait_for_the_runs_in_hand() -> None:
    busy = mail.enqueue()
    rewrite(busy, state="running")
    with pytest.raises(TimeoutError, match="'mail' of the backend 'default' is paused, but"):
        pause("mail", wait=True, timeout=0)
    assert len(pauses()) == 1
    pausing = begin_elsewhere(lambda: control.pause("mail", wait=True, timeout=60))
    rewrite(busy, state="successful")
    assert pausing.result(timeout=60).name == "mail"
    mail.enqueue()
    pause("mail", wait=True, timeout=60)  # what is ready is not in hand


def test_a_pause_that_has_ended_is_tidied_up() -> None:
    pause("mail")
    pause("default", until=HOUR)
    Pause.objects.filter(name="default").update(until=database_now())
    tidy(store())
    assert [paused.name for paused in Pause.objects.all()] == ["mail"]


# Clear


def test_what_waits_is_cancelled_and_what_is_in_hand_is_spared() -> None:
    ready, scheduled = mail.enqueue(), mail.using(run_after=HOUR).enqueue()
    claimed, running, done = mail.enqueue(), mail.enqueue(), mail.enqueue()
    retried, others = mail.enqueue(), [tasks.noop.enqueue(), other_mail.enqueue()]
    blocked = task_backends["default"].enqueue_after(mail, (), {}, after=scheduled)
    error = {"exception_class_path": "builtins.OSError", "traceback": "", "attempt": 1}
    error |= {"at": "2026-01-01T00:00:00+00:00", "worker_id": "one"}
    rewrite(retried, attempts=1, failures=1, errors=[error])
    for result, state in ((claimed, "claimed"), (running, "running"), (done, "successful")):
        rewrite(result, state=state)
    assert clear("mail") == 4
    assert {*states(ready, scheduled, blocked, retried)} == {"cancelled"}
    assert states(claimed, running, done) == ["claimed", "running", "successful"]
    assert states(*others) == ["ready", "ready"]
    run = run_of(ready)
    [entry] = run.errors
    assert entry["traceback"].endswith("The run was cancelled when its queue was cleared.\n")
    assert (entry["attempt"], entry["worker_id"]) == (0, None)
    assert run.finished_at
    assert run.cancel_requested_at
    assert [entry["attempt"] for entry in run_of(retried).errors] == [1, 1]
    assert clear("mail") == 0
    assert ready.retry()
    assert states(ready) == ["ready"]


def test_each_of_those_cancelled_is_announced() -> None:
    results = [mail.enqueue(), mail.using(run_after=HOUR).enqueue()]
    with received(task_finished) as finished, received(task_cancelled) as cancelled:
        clear("mail")
    for sent in (finished, cancelled):
        assert {one["task_result"].id for one in sent} == {result.id for result in results}
        assert all(one["task_result"].is_cancelled for one in sent)
        assert {one["sender"] for one in sent} == {type(task_backends["default"])}


@once
def test_runs_are_not_loaded_for_log_lines_that_nobody_reads(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line of a cancellation has the level INFO."""
    for signal in (task_finished, task_cancelled):  # modules of other tests may listen
        monkeypatch.setattr(signal, "receivers", [])
    mail.enqueue()
    loaded: list[Any] = []
    monkeypatch.setattr(DatabaseBackend, "get_results", lambda self, ids: loaded.append(ids) or {})
    with caplog.at_level(logging.WARNING, logger=LOGGER_NAME):
        assert clear("mail") == 1
    assert not loaded


@once
def test_many_are_cancelled_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clearing, "CLEARED_PER_TRANSACTION", 10)
    mail.enqueue_many([()] * 25)
    chunks: list[int] = []
    cancel = type(store()).cancel_waiting

    def counted(self: Any, ids: Any, entry: Any) -> Any:
        chunks.append(len(ids))
        return cancel(self, ids, entry)

    monkeypatch.setattr(type(store()), "cancel_waiting", counted)
    assert control.clear("mail") == 25
    assert chunks == [10, 10, 5]


@once
@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite locks no rows")
def test_a_row_that_somebody_holds_is_spared_or_cancelled_later() -> None:
    held, free = mail.enqueue(), mail.enqueue()
    row = TaskRun.objects.filter(id=held.id).select_for_update()
    with held_elsewhere(lambda: list(row)):
        assert control.clear("mail") == 1
        assert states(held, free) == ["ready", "cancelled"]
    assert control.clear("mail") == 1


@once
def test_a_run_is_either_cancelled_or_claimed() -> None:
    """Whoever comes first: workers claim while the queue is cleared, and its runs are promoted."""
    mail.enqueue_many([()] * 300)
    mail.using(run_after=HOUR).enqueue_many([()] * 100)
    TaskRun.objects.scheduled().update(available_at=database_now())
    working = begin_elsewhere(run_worker_here)
    cleared = control.clear("mail")
    working.result(timeout=60)
    done = TaskRun.objects.successful().count()
    cancelled = TaskRun.objects.filter(state="cancelled")
    assert cancelled.count() == cleared
    assert done + cleared == 400
    assert not cancelled.exclude(attempts=0).exists()


def run_worker_here() -> None:
    from taskworks.worker import Options, Queues, Worker

    Worker(task_backends["default"], Options(queues=Queues(), batch=True)).run()


# Drain


def test_it_waits_until_nothing_is_ready_or_in_hand() -> None:
    drain("mail", timeout=0)
    mail.using(run_after=HOUR).enqueue()
    other_mail.enqueue()
    tasks.noop.enqueue()
    drain("mail", timeout=0)  # what is scheduled does not count
    result = mail.enqueue()
    for state in ("ready", "claimed", "running"):
        rewrite(result, state=state)
        with pytest.raises(TimeoutError, match="'mail' of the backend 'default' has work after"):
            drain("mail", timeout=0)
    draining = begin_elsewhere(lambda: control.drain("mail", timeout=60))
    rewrite(result, state="successful")
    draining.result(timeout=60)


def test_the_error_of_a_paused_queue_says_so() -> None:
    mail.enqueue()
    pause("mail", by="anna", reason="no disk space")
    with pytest.raises(TimeoutError, match="resume it, because it is paused by anna: no disk"):
        drain("mail", timeout=0)


# Bad input


@pytest.mark.parametrize("name", ["", "n" * 129, "a\0b", " mail", "a\nb", "\ud800", 5])
@pytest.mark.parametrize("function", ["pause", "resume", "clear", "drain"])
def test_a_name_that_no_queue_can_have_is_refused(function: str, name: Any) -> None:
    with pytest.raises(ValueError, match="must be 1 to 128 printable characters"):
        globals()[function](name)
    assert not Pause.objects.exists()


@pytest.mark.parametrize("function", ["pause", "clear", "drain"])
def test_a_queue_that_the_backend_does_not_have_is_refused(function: str) -> None:
    with pytest.raises(ValueError, match=r"has no queue 'mial' in TASKS.*Did you mean 'mail'"):
        globals()[function]("mial")
    assert not Pause.objects.exists()
    result = mail.enqueue()
    rewrite(result, queue_name="mial")  # as if TASKS had had it once
    if function != "drain":
        globals()[function]("mial")


def test_a_queue_that_tasks_has_no_more_can_be_resumed(settings: Settings) -> None:
    pause("mail")
    settings.TASKS = {"default": {**settings.TASKS["default"], "QUEUES": ["default"]}}
    assert resume("mail") is True
    assert resume("mail", backend="gone") is False


@pytest.mark.parametrize("function", ["pause", "clear", "drain"])
def test_a_backend_that_stores_no_runs_is_refused(function: str) -> None:
    for backend in ("immediate", "dummy"):
        with pytest.raises(NotImplementedError, match="does not store runs"):
            globals()[function]("mail", backend=backend)
    with pytest.raises(ImproperlyConfigured, match=r"no backend 'othr'.* Did you mean 'other'"):
        globals()[function]("mail", backend="othr")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"until": timedelta(0)}, ValueError, "must be in the future, not 0 seconds from now"),
        ({"until": timedelta(seconds=-1)}, ValueError, "must be in the future, not -1 seconds"),
        ({"until": timedelta(days=-30)}, ValueError, "future, not -2592000 seconds from now"),
        ({"until": timedelta(seconds=-1234567)}, ValueError, "future, not -1234567 seconds"),
        ({"until": timedelta(seconds=-1234567.5)}, ValueError, "not -1234567.5 seconds"),
        ({"until": timedelta(microseconds=-1)}, ValueError, "future, not -0.000001 seconds"),
        ({"until": datetime(2020, 1, 1, tzinfo=UTC)}, ValueError, "must be in the future"),
        ({"until": datetime(2999, 1, 1)}, ValueError, "must have a time zone"),
        ({"until": timedelta.max}, ValueError, "before the year 10000"),
        ({"until": 60}, TypeError, "a datetime, a timedelta or None, not 60"),
        ({"reason": "r" * 1001}, ValueError, "reason must be at most 1000 characters"),
        ({"reason": "a\0"}, ValueError, "reason must not contain NUL"),
        ({"reason": None}, TypeError, "reason must be a string"),
        ({"by": "b" * 256}, ValueError, "by must be at most 255 characters"),
        ({"by": "\ud800"}, ValueError, "by must not contain"),
    ],
    ids=str,
)
def test_what_no_pause_can_have_is_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        pause("mail", **options)
    assert not Pause.objects.exists()


@once
def test_nobody_waits_inside_a_transaction() -> None:
    waits: list[Callable[[], Any]] = [
        lambda: control.pause("mail", wait=True),
        lambda: control.drain("mail"),
    ]
    for wait in waits:
        with transaction.atomic(), pytest.raises(RuntimeError, match="inside a transaction"):
            wait()
    assert not Pause.objects.exists()


@task
def wait_for_a_queue(function: str, queue: str) -> None:
    if function == "drain":
        control.drain(queue, timeout=0)
    else:
        control.pause(queue, wait=True, timeout=60)


@once
@pytest.mark.parametrize("function", ["drain", "pause"])
def test_no_run_waits_for_its_own_end(function: str) -> None:
    itself, another = [wait_for_a_queue.enqueue(function, queue) for queue in ("default", "mail")]
    run_worker()
    assert states(itself, another) == ["failed", "successful"]
    assert (
        "is in the queue 'default' of the backend 'default' itself"
        in run_of(itself).errors[0]["traceback"]
    )
    assert [paused.name for paused in pauses()] == (["mail"] if function == "pause" else [])


@once
def test_without_time_zones_a_moment_is_local(settings: Settings) -> None:
    settings.USE_TZ = False
    elsewhere(_pause_until_a_local_moment)


def _pause_until_a_local_moment() -> None:
    until = (store().read_clock() + HOUR).replace(microsecond=0)
    assert control.pause("mail", until=until).until == until
    aware = datetime.now(UTC) + HOUR
    assert abs(control.pause("mail", until=aware).until - until) < timedelta(minutes=1)
    wait_for(lambda: len(control.pauses()) == 1, "it is in force")
