"""Tasks, limits and keys are paused, resumed and cleared."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection

from taskworks import Debounce, TaskResult, control, task
from taskworks.actions import scopes
from taskworks.control import clear, pause, pauses, resume
from taskworks.framework import task_backends
from taskworks.models import Edge, Limit, Pause, TaskRun
from taskworks.schedules import Schedule
from taskworks.schedules.firing import fire_some
from taskworks.signals import task_cancelled, task_finished
from taskworks.store import store
from taskworks.testing import run_tasks
from tests import limited, tasks
from tests.behavior import database_now, received, rewrite, run_of, run_worker
from tests.connections import elsewhere

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)
NOOP = "tests.tasks.noop"


@pytest.fixture(autouse=True)
def _no_limits_left() -> Iterator[None]:
    yield
    Limit.objects.all().delete()


def states(*results: TaskResult) -> list[str]:
    return [run_of(result).state for result in results]


# A task.


def test_a_paused_task_waits_in_its_place_until_it_is_resumed() -> None:
    first = tasks.noop.enqueue()
    place = run_of(first).available_at
    paused = pause(task=tasks.noop, reason="It is broken", by="anna")
    assert (paused.kind, paused.name, paused.backend, paused.key) == ("task", NOOP, "", "")
    other, second = tasks.add.enqueue(1, 2), tasks.noop.using(queue_name="mail").enqueue()
    for _ in range(2):  # the second one as after a restart
        run_worker()
        assert states(first, other, second) == ["blocked", "successful", "blocked"]
    assert run_of(first).attempts == 0
    assert Edge.objects.count() == 2
    assert pauses() == [paused]
    assert resume(task=NOOP) is True
    run_worker()
    assert states(first, second) == ["successful"] * 2
    assert run_of(first).available_at == place
    assert run_of(first).attempts == 1
    assert not Edge.objects.exists()
    assert resume(task=tasks.noop) is False


def test_runs_of_a_task_that_was_paused_are_executed_in_their_old_order() -> None:
    pause(task=tasks.echo)
    results = [tasks.echo.using(priority=number % 3).enqueue(number) for number in range(6)]
    run_worker()
    assert states(*results) == ["blocked"] * 6
    last = tasks.echo.using(priority=0).enqueue(6)
    resume(task=tasks.echo)
    executed = run_tasks()
    assert [result.args[0] for result in executed] == [2, 5, 1, 4, 0, 3, 6]
    assert states(last) == ["successful"]


def test_a_task_is_paused_on_every_backend() -> None:
    pause(task=tasks.noop)
    result = tasks.noop.using(backend="other").enqueue()
    run_worker("--backend", "other")
    assert states(result) == ["blocked"]


@pytest.mark.parametrize("how", ["until", "by hand"])
def test_it_ends_by_itself_and_when_its_row_is_gone(how: str) -> None:
    result = tasks.noop.enqueue()
    pause(task=tasks.noop, until=HOUR)
    run_worker()
    assert states(result) == ["blocked"]
    if how == "until":
        Pause.objects.update(until=database_now())
    else:
        Pause.objects.all().delete()
    run_worker()
    assert states(result) == ["successful"]


def test_what_is_parked_can_be_cancelled_retried_and_cleared() -> None:
    pause(task=tasks.noop)
    first, second = tasks.noop.enqueue(), tasks.noop.enqueue()
    run_worker()
    backend: Any = task_backends["default"]
    assert first.cancel()
    assert states(first, second) == ["cancelled", "blocked"]
    assert backend.retry(first.id)
    run_worker()
    assert states(first, second) == ["blocked", "blocked"]
    assert clear(task=tasks.noop) == 2
    assert states(first, second) == ["cancelled"] * 2
    resume(task=tasks.noop)
    run_worker()
    assert states(first, second) == ["cancelled"] * 2
    assert not Edge.objects.exists()


def test_what_is_parked_expires_when_it_is_resumed() -> None:
    pause(task=tasks.noop)
    result = tasks.noop.using(expires=60).enqueue()
    run_worker()
    rewrite(result, expires_at=database_now())
    run_worker()
    assert states(result) == ["blocked"]
    resume(task=tasks.noop)
    run_worker()
    assert states(result) == ["failed"]
    assert "TaskExpired" in run_of(result).errors[0]["exception_class_path"]


def test_a_task_whose_module_cannot_be_imported_is_parked_too() -> None:
    """Workers need not know it: the pause is of the path."""
    result = tasks.noop.enqueue()
    rewrite(result, task_path="not_deployed.tasks.send")
    pause(task="not_deployed.tasks.send")
    run_worker()
    assert states(result) == ["blocked"]
    assert run_of(result).missing_since is None
    resume(task="not_deployed.tasks.send")
    run_worker()
    assert states(result) == ["scheduled"]


def test_an_attempt_that_waits_to_be_repeated_is_parked_with_its_counts() -> None:
    result = tasks.noop.enqueue()
    rewrite(result, attempts=1, failures=1, worker_ids=["one"])
    pause(task=tasks.noop)
    run_worker()
    run = run_of(result)
    assert (run.state, run.attempts, run.failures, run.worker_ids) == ("blocked", 1, 1, ["one"])


def test_what_a_schedule_calls_can_be_paused_although_it_is_no_task() -> None:
    schedule = Schedule(label="fires", path="tests.schedules.bell.noop", cron="* * * * *")
    schedule.save()
    pause(task="tests.schedules.bell.noop")
    Schedule.objects.update(next_run=database_now(), due_at=database_now())
    fire_some(store(), [schedule.pk])
    run_worker()
    assert TaskRun.objects.get().state == "blocked"


def test_run_tasks_heeds_it_and_counts_no_attempt() -> None:
    pause(task=tasks.noop)
    results = [tasks.noop.enqueue(), tasks.noop.enqueue(), tasks.add.enqueue(1, 2)]
    assert [result.id for result in run_tasks(limit=1)] == [results[2].id]
    assert states(*results) == ["blocked", "blocked", "successful"]
    resume(task=tasks.noop)
    assert len(run_tasks()) == 2


@task(unique=Debounce("number", wait=60, longest=600))
def index(number: int, text: str = "") -> str:
    return text


def test_a_debounced_run_that_is_parked_gets_its_new_arguments_and_its_new_time() -> None:
    first = index.enqueue(1, "old")
    rewrite(first, state="ready", available_at=database_now())
    pause(task=index)
    run_worker()
    assert states(first) == ["blocked"]
    second = index.enqueue(1, "new")
    assert second.id == first.id
    assert states(first) == ["blocked"]
    resume(task=index)
    run_worker()
    run = run_of(first)
    assert run.state == "scheduled"
    assert timedelta(seconds=0) < run.available_at - store().read_clock() <= timedelta(seconds=60)
    assert run.args == [1, "new"]


def test_it_can_wait_for_the_runs_in_hand() -> None:
    busy = tasks.noop.enqueue()
    rewrite(busy, state="running")
    with pytest.raises(TimeoutError, match=f"The task '{NOOP}' is paused, but workers still have"):
        pause(task=tasks.noop, wait=True, timeout=0)
    rewrite(busy, state="successful")
    pause(task=tasks.noop, wait=True, timeout=60)


@task
def pause_oneself(what: str) -> None:
    scope = {"task": pause_oneself} if what == "task" else {"limit": "mailer"}
    control.pause(**scope, wait=True, timeout=0)


def test_no_run_waits_for_its_own_end() -> None:
    result = pause_oneself.enqueue("task")
    run_worker()
    assert "is in the task 'tests.behavior" in run_of(result).errors[0]["traceback"]
    assert pauses() == []


# A limit, and a key of it.


def test_a_paused_limit_is_not_claimed_from() -> None:
    imports = [limited.import_file.enqueue(tenant) for tenant in ("acme", "globex")]
    sent, plain = limited.send.enqueue("ada"), tasks.noop.enqueue()
    paused = pause(limit="intake")
    assert (paused.kind, paused.name, paused.backend, paused.key) == ("limit", "intake", "", "")
    run_worker()
    assert states(*imports, sent, plain) == ["ready", "ready", "successful", "successful"]
    assert run_tasks() == []
    assert resume(limit="intake") is True
    run_worker()
    assert states(*imports) == ["successful"] * 2


def test_a_paused_key_is_as_a_full_lane() -> None:
    acme = [limited.import_file.enqueue("acme") for _ in range(5)]
    globex, nobody = limited.import_file.enqueue("globex"), limited.import_file.enqueue(None)
    paused = pause(limit="intake", key="acme")
    assert (paused.kind, paused.name, paused.key) == ("limit", "intake", "acme")
    pause(limit="intake", key=None)
    run_worker()
    assert states(*acme, globex, nobody) == ["ready"] * 5 + ["successful", "ready"]
    assert run_tasks() == []
    resume(limit="intake", key=None)
    run_worker()
    assert states(*acme, nobody) == ["ready"] * 5 + ["successful"]
    assert resume(limit="intake") is False
    resume(limit="intake", key="acme")
    run_worker()
    assert states(*acme) == ["successful"] * 5


@pytest.mark.parametrize("key", ["*", "%", "it's", "päus 📨", "x" * 500, 7, ["a", 1], "(none)"])
def test_a_key_may_be_any_that_a_run_can_have(key: Any) -> None:
    held, other = limited.import_file.enqueue(key), limited.import_file.enqueue("another")
    pause(limit="intake", key=key)
    run_worker()
    assert states(held, other) == ["ready", "successful"]
    assert clear(limit="intake", key=key) == 1
    assert resume(limit="intake", key=key)


def test_many_keys_may_be_paused_but_not_any_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scopes, "MAX_PAUSED_KEYS", 3)
    for number in range(3):
        pause(limit="intake", key=number)
    pause(limit="intake", key=1, by="anna")  # takes the place of another
    pause(limit="rotation", key="a")
    pause(limit="intake")
    with pytest.raises(ValueError, match="3 keys of the limit 'intake' are paused"):
        pause(limit="intake", key=3)
    assert Pause.objects.count() == 5


def test_a_task_with_a_limit_frees_its_place_when_it_is_parked() -> None:
    first, second = limited.send.enqueue("ada"), limited.send.enqueue("eve")
    pause(task=limited.send)
    run_worker()
    assert states(first, second) == ["blocked"] * 2
    assert store().slots_in_use("mailer") == 0
    resume(task=limited.send)
    run_worker()
    assert states(first, second) == ["successful"] * 2


def test_what_waits_is_cleared_by_task_limit_and_key() -> None:
    acme, globex = limited.import_file.enqueue("acme"), limited.import_file.enqueue("globex")
    other, plain = limited.import_and_tell.enqueue("acme"), tasks.noop.enqueue()
    later = tasks.noop.using(run_after=HOUR).enqueue()
    with received(task_cancelled) as cancelled, received(task_finished) as finished:
        assert clear(limit="intake", key="globex") == 1
        assert clear(task=limited.import_file) == 1
        assert states(acme, globex, other) == ["cancelled", "cancelled", "ready"]
        assert clear(limit="intake") == 1
        assert clear(task=NOOP) == 2
    assert states(other, plain, later) == ["cancelled"] * 3
    assert len(cancelled) == len(finished) == 5
    assert "when its key was cleared" in run_of(globex).errors[0]["traceback"]
    assert "when its task was cleared" in run_of(plain).errors[0]["traceback"]


# Bad input.


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({}, "Name one of a queue, a task and a limit, not none of them"),
        ({"queue": "mail", "task": NOOP}, "not queue and task"),
        ({"queue": "mail", "task": NOOP, "limit": "x"}, "not queue and task and limit"),
        ({"queue": "mail", "key": "a"}, "name the limit, not a queue"),
        ({"task": NOOP, "key": None}, "name the limit, not a task"),
        ({"task": NOOP, "backend": "default"}, "A task is that of every backend"),
        ({"limit": "intake", "backend": "default"}, "A limit is that of every backend"),
        ({"task": ""}, "must be a task or its path, 1 to 512 printable characters, not ''"),
        ({"task": "a\0b"}, "must be a task or its path"),
        ({"task": "t" * 513}, "must be a task or its path"),
        ({"task": 5}, "must be a task or its path"),
        ({"limit": "l" * 65}, "must be 1 to 64 printable characters"),
        ({"limit": "a\0"}, "must be 1 to 64 printable characters"),
        ({"limit": 5}, "must be 1 to 64 printable characters"),
        ({"limit": "intake", "key": ""}, "must not be ''"),
        ({"limit": "intake", "key": object()}, "JSON"),
        ({"limit": "intake", "key": "a\0"}, "NUL"),
        ({"limit": "mailer", "key": "a"}, "has no keys, because it is declared without 'by'"),
    ],
    ids=str,
)
@pytest.mark.parametrize("function", [pause, resume, clear])
def test_what_names_nothing_is_refused(function: Any, named: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        function(**named)
    assert not Pause.objects.exists()


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"limit": "intakes"}, "declare a limit 'intakes'.* Did you mean 'intake'"),
        ({"limit": "intakes", "key": "a"}, "declare a limit 'intakes'"),
        ({"task": "tests.tasks.nop"}, "no task 'tests.tasks.nop': .*Neither is there a run"),
        ({"task": "tests.tasks"}, "no task 'tests.tasks': 'tests.tasks' is not a task"),
    ],
    ids=str,
)
@pytest.mark.parametrize("function", [pause, clear])
def test_what_is_not_there_is_refused(function: Any, named: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        function(**named)
    assert not Pause.objects.exists()
    assert resume(**named) is False


def test_a_limit_that_is_only_in_the_database_can_be_paused() -> None:
    Limit.objects.create(name="of other code")
    assert pause(limit="of other code", key="a").key == "a"


def test_a_pause_in_the_past_is_refused() -> None:
    with pytest.raises(ValueError, match="must be in the future"):
        pause(task=tasks.noop, until=timedelta(0))


def test_the_asynchronous_twins_do_the_same() -> None:
    result = tasks.noop.enqueue()
    assert async_to_sync(control.apause)(task=tasks.noop).name == NOOP
    assert async_to_sync(control.aclear)(task=tasks.noop) == 1
    assert async_to_sync(control.aresume)(task=tasks.noop) is True
    assert states(result) == ["cancelled"]


def test_a_row_with_nonsense_ends_no_worker() -> None:
    if connection.vendor != "sqlite":
        pytest.skip("Others refuse it.")
    result = tasks.noop.enqueue()
    pause(task=tasks.noop)
    elsewhere(_write_nonsense)
    run_worker()
    assert states(result) == ["successful"]


def _write_nonsense() -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE taskworks_pause SET id = 'soon'")
