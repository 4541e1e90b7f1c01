"""Prepared statements of enqueues, claims and outcomes: when, and that nobody notices."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import UUID

import pytest
from django.db import (
    DataError,
    IntegrityError,
    OperationalError,
    connection,
    connections,
    transaction,
)
from django.db.transaction import TransactionManagementError
from django.test.utils import CaptureQueriesContext

from taskworks.database.connections import reserved_connection
from taskworks.database.prepared import SENT_BEFORE_PREPARED
from taskworks.models import RunState, TaskRun
from taskworks.store import Store
from tests.connections import elsewhere
from tests.faults.pooler import pooler
from tests.new_runs import new_runs, stored
from tests.store.conftest import Enqueue

pytestmark = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="Only PostgreSQL is asked to prepare statements."
)


@pytest.fixture(autouse=True)
def _fresh_session(_database: None) -> Iterator[None]:
    """Prepared statements belong to a session."""
    connection.close()
    yield
    connection.close()


def prepared() -> int:
    """How many of our statements this session has prepared."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM pg_prepared_statements WHERE statement ~ 'INSERT'")
        return int(cursor.fetchone()[0])


def send(enqueue: Enqueue, times: int) -> None:
    for _ in range(times):
        enqueue()


def prepare(enqueue: Enqueue) -> None:
    send(enqueue, SENT_BEFORE_PREPARED + 1)
    assert prepared() == 1


# As the connection has sent it for the last time before it looks whose session it has, and after.
AT_EACH_STAGE = pytest.mark.parametrize(
    "sent", [SENT_BEFORE_PREPARED - 1, SENT_BEFORE_PREPARED, SENT_BEFORE_PREPARED + 1]
)


def test_it_is_prepared_once_a_connection_has_sent_it_a_few_times(enqueue: Enqueue) -> None:
    send(enqueue, SENT_BEFORE_PREPARED)
    assert prepared() == 0
    for _ in range(20):
        enqueue(queue_name="mail", rank=5, metadata={"a": [1]}, executor="async")
    assert prepared() == 1
    assert TaskRun.objects.filter(queue_name="mail", rank=5, executor="async").count() == 20


def test_the_row_is_the_same(enqueue: Enqueue, store: Store) -> None:
    options: dict[str, Any] = {"arguments": [["ü", 1, None]], "kwargs": {"a": "%s $1 ? \\"}}
    first = enqueue(**options)
    prepare(enqueue)
    new = new_runs(**options)
    store.enqueue(new)
    second = stored(new)
    assert second.enqueued_at == second.available_at == new.enqueued_at
    names = {f.attname for f in TaskRun._meta.concrete_fields} - {"id"}
    of_their_own = {"enqueued_at", "available_at"}
    for name in names - of_their_own:
        assert getattr(first, name) == getattr(second, name), name
    assert elsewhere(lambda: TaskRun.objects.get(id=second.id).kwargs) == options["kwargs"]


def test_it_is_part_of_the_callers_transaction(enqueue: Enqueue) -> None:
    prepare(enqueue)
    before = TaskRun.objects.count()
    with transaction.atomic():
        enqueue()
        assert elsewhere(TaskRun.objects.count) == before
        transaction.set_rollback(True)
    assert TaskRun.objects.count() == before
    enqueue()
    assert TaskRun.objects.count() == before + 1


def test_a_statement_that_fails_raises_djangos_error_and_the_next_one_works(
    enqueue: Enqueue, store: Store
) -> None:
    prepare(enqueue)
    new = new_runs()
    store.enqueue(new)
    with pytest.raises(IntegrityError):
        store.enqueue(new)
    enqueue()


@AT_EACH_STAGE
def test_a_broken_transaction_refuses_it(enqueue: Enqueue, sent: int) -> None:
    send(enqueue, sent)
    with transaction.atomic():
        with suppress(DataError), connection.cursor() as cursor:
            cursor.execute("SELECT 1 / 0")
        transaction.set_rollback(True)
        with pytest.raises(TransactionManagementError):
            enqueue()


@AT_EACH_STAGE
def test_a_session_that_has_ended_raises_djangos_error(enqueue: Enqueue, sent: int) -> None:
    send(enqueue, sent)
    end_this_session()
    with pytest.raises(OperationalError):
        enqueue()


def test_who_looks_at_statements_sees_it(enqueue: Enqueue) -> None:
    prepare(enqueue)
    with CaptureQueriesContext(connection) as asked:
        enqueue()
    assert [query["sql"].lstrip()[:6] for query in asked][:1] == ["INSERT"]


def test_who_forbids_statements_forbids_it(enqueue: Enqueue) -> None:
    prepare(enqueue)

    def refuse(*_: Any) -> None:
        raise PermissionError("Not now.")

    with connection.execute_wrapper(refuse), pytest.raises(PermissionError):
        enqueue()


def test_it_follows_the_search_path(enqueue: Enqueue) -> None:
    """As tenants that have a schema each set it."""
    prepare(enqueue)
    before = TaskRun.objects.count()
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA a_tenant")
        try:
            cursor.execute("CREATE TABLE a_tenant.taskworks_taskrun (LIKE taskworks_taskrun)")
            cursor.execute("SET search_path = a_tenant")
            enqueue()
            assert TaskRun.objects.count() == 1
            cursor.execute("SET search_path = public")
            assert TaskRun.objects.count() == before
            enqueue()
            assert TaskRun.objects.count() == before + 1
        finally:
            cursor.execute("DROP SCHEMA a_tenant CASCADE")


def test_a_column_that_is_added_meanwhile_does_no_harm(enqueue: Enqueue) -> None:
    prepare(enqueue)

    def alter(what: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE taskworks_taskrun {what}")

    elsewhere(lambda: alter("ADD COLUMN of_tomorrow int NOT NULL DEFAULT 1"))
    try:
        enqueue()
    finally:
        elsewhere(lambda: alter("DROP COLUMN of_tomorrow"))
    enqueue()


def test_behind_a_pooler_nothing_is_prepared(store: Store) -> None:
    """It gives each transaction whichever session is free."""
    with pooler(sessions=2) as one:
        where = {"HOST": "127.0.0.1", "PORT": str(one.port), "CONN_MAX_AGE": None}
        with connected(store.alias, **where):
            for _ in range(SENT_BEFORE_PREPARED * 3):
                store.enqueue(new_runs())
            assert prepared() == 0
    assert TaskRun.objects.count() == SENT_BEFORE_PREPARED * 3


def test_with_djangos_setting_for_poolers_nothing_is_prepared(
    enqueue: Enqueue, store: Store
) -> None:
    with connected(store.alias, DISABLE_SERVER_SIDE_CURSORS=True):
        send(enqueue, SENT_BEFORE_PREPARED * 3)
        assert prepared() == 0


# Claims and outcomes, over a connection of a worker's own.


TURNS = SENT_BEFORE_PREPARED * 2


@pytest.fixture
def own_session(store: Store) -> Iterator[None]:
    with reserved_connection(store.alias):
        yield


def claimed(store: Store, worker: UUID) -> list[TaskRun]:
    return store.claim(worker, "default", ["default"], {"thread": 10})


def finished(store: Store, runs: list[TaskRun]) -> set[UUID]:
    for run in runs:
        run.state, run.attempts, run.worker_ids = RunState.SUCCESSFUL, 1, ["here"]
        run.started_at = run.last_attempted_at = run.claimed_at
        run.finished_at, run.return_value = run.claimed_at, {"a": ["%s", None, "ü"]}
    return store.finish(runs)


def updates() -> tuple[int, str]:
    """How many updates of runs this session has prepared, and when it plans them."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM pg_prepared_statements WHERE statement ~ 'UPDATE'")
        [number] = cursor.fetchone()
        cursor.execute("SHOW plan_cache_mode")
        [mode] = cursor.fetchone()
        return number, mode


def take_turns(store: Store, worker: UUID, enqueue: Enqueue) -> None:
    for _ in range(TURNS):
        ids = {enqueue().id for _ in range(3)}
        runs = claimed(store, worker)
        assert {run.id for run in runs} == ids
        assert finished(store, runs) == ids


@pytest.mark.usefixtures("own_session")
def test_claims_and_outcomes_of_a_worker_are_prepared_and_planned_each_time(
    store: Store, worker: UUID, enqueue: Enqueue
) -> None:
    take_turns(store, worker, enqueue)
    assert updates() == (2, "force_custom_plan")
    values = TaskRun.objects.values_list("state", "return_value").distinct()
    assert [*values] == [("successful", {"a": ["%s", None, "ü"]})]


@pytest.mark.usefixtures("own_session")
def test_the_session_keeps_that_if_a_transaction_is_rolled_back(
    store: Store, worker: UUID, enqueue: Enqueue
) -> None:
    runs = [elsewhere(enqueue) for _ in range(TURNS)]
    assert len(claimed(store, worker)) == TURNS
    with suppress(ZeroDivisionError), transaction.atomic():
        for run in runs:
            finished(store, [TaskRun.objects.get(id=run.id)])
        raise ZeroDivisionError
    assert updates() == (0, "auto")
    take_turns(store, worker, enqueue)
    assert updates() == (2, "force_custom_plan")


def test_over_a_connection_of_the_project_s_they_are_not(
    store: Store, worker: UUID, enqueue: Enqueue
) -> None:
    take_turns(store, worker, enqueue)
    assert updates() == (0, "auto")


@pytest.mark.usefixtures("own_session")
def test_a_prepared_claim_is_fenced(
    store: Store, worker: UUID, new_worker: Callable[[], UUID], enqueue: Enqueue
) -> None:
    take_turns(store, worker, enqueue)
    run = enqueue()
    elsewhere(lambda: store.workers.filter(id=worker).update(given_up_at=run.enqueued_at))
    assert claimed(store, worker) == []
    other = new_worker()
    [mine] = claimed(store, other)
    [again] = TaskRun.objects.filter(id=mine.id)
    again.claim_token = UUID(int=1)
    assert finished(store, [again]) == set()
    assert finished(store, [mine]) == {mine.id}


@pytest.mark.usefixtures("own_session")
def test_runs_that_another_session_has_locked_are_passed_by(
    store: Store, worker: UUID, enqueue: Enqueue
) -> None:
    take_turns(store, worker, enqueue)
    first, second = enqueue(), enqueue()
    with connections[store.alias].copy().cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT id FROM taskworks_taskrun WHERE id = %s FOR UPDATE", [first.id])
        assert [run.id for run in claimed(store, worker)] == [second.id]
        cursor.execute("ROLLBACK")
        cursor.connection.close()
    assert [run.id for run in claimed(store, worker)] == [first.id]


def end_this_session() -> None:
    def end(pid: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 60000)", [pid])  # and wait for that
            assert cursor.fetchone() == (True,)

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        [pid] = cursor.fetchone()
    elsewhere(lambda: end(pid))


@contextmanager
def connected(alias: str, **settings: Any) -> Iterator[None]:
    """With other settings of the connection."""
    usual = connections[alias]
    connections[alias] = other = type(usual)({**usual.settings_dict, **settings}, alias)
    try:
        yield
    finally:
        other.close()
        connections[alias] = usual
