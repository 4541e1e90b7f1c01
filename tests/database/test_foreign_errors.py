"""Whatever opening or using a connection of ours raises is a database error, and an outage."""

import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.exceptions import SynchronousOnlyOperation
from django.core.management.base import CommandError
from django.db import DataError, OperationalError, connection, connections

from taskworks.database.connections import copy_of
from taskworks.database.notifications import Notification
from taskworks.execution import Attempt, Postponed
from taskworks.execution.transaction import in_transaction
from taskworks.framework import task_backends
from taskworks.management.reach import check_reachable
from taskworks.models import TaskRun
from taskworks.schedules.sync import synchronize_if_possible
from taskworks.store import Store, store
from taskworks.worker import Options, Queues, Worker
from taskworks.worker.supervision import supervisor
from tests import tasks

pytestmark = pytest.mark.django_db(transaction=True)


class NoTokenError(Exception):
    """What a provider of password tokens raises."""


@pytest.fixture
def breaking(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Exception]]:
    """Let a method of this thread's connections raise each of these errors once."""

    def breaking(method: str, *errors: Exception) -> list[Exception]:
        kind, thread, left = type(connections["default"]), threading.get_ident(), [*errors]
        whole = getattr(kind, method)

        def broken(self: Any, *args: Any, **kwargs: Any) -> Any:
            if left and threading.get_ident() == thread:
                raise left.pop(0)
            return whole(self, *args, **kwargs)

        monkeypatch.setattr(kind, method, broken)
        return left

    return breaking


@pytest.mark.parametrize(
    ("method", "errors"),
    [
        (
            "get_connection_params",
            [NoTokenError("expired"), KeyError("token"), ValueError("no JSON")],
        ),
        ("create_cursor", [NoTokenError("the pool is empty"), TimeoutError("of the pool")]),
    ],
)
def test_a_worker_waits_it_out(
    breaking: Callable[..., list[Exception]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    method: str,
    errors: list[Exception],
) -> None:
    result = tasks.add.enqueue(1, 2)
    claim, log, left = type(store()).claim, list[str](), list[list[Exception]]()

    def failing_once(self: Store, *args: Any, **kwargs: Any) -> Any:
        if not log:
            log.append("the connection is closed while the worker waits")
            left.append(breaking(method, *errors))
            raise OperationalError("gone")
        return claim(self, *args, **kwargs)

    monkeypatch.setattr(type(store()), "claim", failing_once)
    Worker(task_backends["default"], Options(queues=Queues(), batch=True, interval=0.02)).run()
    assert left == [[]]
    run = TaskRun.objects.get(id=result.id)
    assert (run.state, run.return_value, run.attempts) == ("successful", 3, 1)
    assert "The database answers again: claiming and recording runs." in caplog.text


def test_a_foreign_error_says_what_it_is(breaking: Callable[..., list[Exception]]) -> None:
    breaking("get_connection_params", NoTokenError("expired"))
    with pytest.raises(OperationalError, match="NoTokenError: expired") as raised:
        copy_of(connections["default"]).ensure_connection()
    assert isinstance(raised.value.__cause__, NoTokenError)


@pytest.mark.parametrize(
    "error", [TypeError("odd"), OverflowError("large"), SynchronousOnlyOperation(), DataError()]
)
def test_errors_about_a_value_and_our_own_stay_what_they_are(error: Exception) -> None:
    copied = copy_of(connections["default"])
    copied.ensure_connection()
    try:
        with pytest.raises(type(error)), copied.wrap_database_errors:
            raise error
    finally:
        copied.close()


def test_a_command_says_it_in_a_sentence(breaking: Callable[..., list[Exception]]) -> None:
    connection.close()
    breaking("get_connection_params", NoTokenError("expired"))
    with pytest.raises(CommandError, match="'default' cannot be reached: NoTokenError: expired"):
        check_reachable()


def test_a_worker_starts_without_declaring_schedules(
    breaking: Callable[..., list[Exception]], caplog: pytest.LogCaptureFixture
) -> None:
    connection.close()
    breaking("get_connection_params", *[NoTokenError("expired")] * 9)
    synchronize_if_possible()
    assert "declared in code could not be updated: NoTokenError: expired" in caplog.text


def test_a_run_that_was_stored_is_no_error_if_no_worker_can_be_notified(
    breaking: Callable[..., list[Exception]], caplog: pytest.LogCaptureFixture
) -> None:
    breaking("create_cursor", NoTokenError("the pool is empty"))

    def send(payload: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")

    Notification("default", None, None, send)()
    assert "Workers could not be notified of a run: NoTokenError: the pool is empty" in caplog.text


def test_a_run_whose_transaction_cannot_begin_is_postponed(
    breaking: Callable[..., list[Exception]],
) -> None:
    result = tasks.add.enqueue(1, 2)
    attempt = Attempt(TaskRun.objects.get(id=result.id), "of a test")
    attempt.finisher = store()
    connection.close()
    breaking("get_connection_params", NoTokenError("expired"))
    assert isinstance(in_transaction(attempt, lambda: None), Postponed)


def test_a_supervisor_forgets_no_dead_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    errors, given_up = [NoTokenError("expired")], list[UUID]()

    def give_up_dead(store: Store, worker: UUID) -> None:
        if errors:
            raise errors.pop()
        given_up.append(worker)

    monkeypatch.setattr(supervisor, "give_up_dead", give_up_dead)
    rescuer, worker = supervisor.Rescuer(store()), uuid4()
    rescuer.add(worker)
    rescuer.try_step()
    rescuer.try_step()
    assert given_up == [worker]


@pytest.mark.any_database
def test_a_copy_is_outside_of_every_pool_that_can_be_left(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = connections["default"]
    pools = {"pool": True, "pool_name": "p", "pool_size": 3, "pool_reset_session": True}
    monkeypatch.setitem(usual.settings_dict, "OPTIONS", {**pools, "other": 1})
    options = copy_of(usual).settings_dict["OPTIONS"]
    assert options["other"] == 1
    assert not options.keys() & pools.keys()
