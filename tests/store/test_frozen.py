"""A process that is frozen in the middle of a transaction holds up the others for a while only."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from threading import Event
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import Error as DatabaseError
from django.db import connection, transaction

from taskworks.duties.prune import prune as prune_all
from taskworks.models import Limit, TaskRun
from taskworks.options.retention import Rule
from taskworks.store import Store
from taskworks.store.limiting import Line
from tests.connections import begin_elsewhere, can_end_transactions, held_elsewhere
from tests.store.conftest import Enqueue
from tests.waiting import wait_for

Verb = Callable[[Store, UUID], Any]

SECOND = timedelta(seconds=1)
CLAIMED_BY = uuid4()
TOKEN = uuid4()
WRITES = re.compile(r"\s*(SET STATEMENT .* FOR\s+)?(UPDATE|DELETE)\b")
RULE = Rule("default", "failed", SECOND)


def promote(store: Store, _: UUID) -> int:
    return store.promote(1)


def rescue(store: Store, _: UUID) -> list[TaskRun]:
    return store.rescue(1)


def prune(store: Store, _: UUID) -> int:
    return store.prune(RULE, list(TaskRun.objects.values_list("id", flat=True)))


def unblock(store: Store, _: UUID) -> int:
    return store.unblock(list(TaskRun.objects.values_list("id", flat=True)))


def claim(store: Store, worker: UUID) -> list[TaskRun]:
    return store.claim(worker, "default", ["default"], {"thread": 1})


def claim_limited(store: Store, worker: UUID) -> list[TaskRun]:
    """Case 22."""
    Limit.objects.get_or_create(name="frozen")
    return store.claim_limited(worker, Line("frozen", "default", ("default",), "thread"), 1).runs


def finish(store: Store, _: UUID) -> set[UUID]:
    runs = list(TaskRun.objects.filter(claim_token=TOKEN))
    for run in runs:
        run.state, run.finished_at = "successful", run.enqueued_at
    return store.finish(runs)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskworks.store.base.MAX_SILENCE_WITH_LOCKS", SECOND)


@pytest.mark.parametrize(
    ("verb", "before"),
    [
        (promote, {"state": "scheduled"}),
        (rescue, {"state": "claimed", "claimed_by": CLAIMED_BY, "claim_token": TOKEN}),
        (prune, {"state": "failed"}),
        (unblock, {"state": "blocked"}),
        (claim, {"state": "ready"}),
        (claim_limited, {"state": "ready", "limit_name": "frozen", "lane": "a"}),
        (finish, {"state": "running", "claimed_by": CLAIMED_BY, "claim_token": TOKEN}),
    ],
)
def test_its_locks_end(
    store: Store,
    enqueue: Enqueue,
    worker: UUID,
    verb: Verb,
    before: dict[str, Any],
) -> None:
    if not can_end_transactions():
        pytest.skip("This database does not end the transactions of others.")
    if verb in (claim, finish) and connection.vendor == "postgresql":
        pytest.skip("One statement there, of which the server ends what has begun.")
    run = enqueue()
    finished_at = run.enqueued_at - SECOND
    TaskRun.objects.filter(id=run.id).update(finished_at=finished_at, **before)
    with frozen_before_it_writes(lambda: verb(store, worker)):
        wait_for(lambda: patiently(lambda: verb(store, worker)), "another does it")


def test_a_prune_that_was_frozen_goes_on(store: Store, enqueue: Enqueue) -> None:
    if not can_end_transactions():
        pytest.skip("This database does not end the transactions of others.")
    run = enqueue()
    TaskRun.objects.filter(id=run.id).update(state="failed", finished_at=run.enqueued_at - SECOND)
    pruned: list[int] = []
    with frozen_before_it_writes(lambda: pruned.append(prune_all(store, [RULE]))):
        wait_for(lambda: held_by_nobody(run), "its transaction is ended")
    assert pruned == [1]
    assert not TaskRun.objects.exists()


def held_by_nobody(run: TaskRun) -> bool:
    with transaction.atomic():
        return bool(TaskRun.objects.select_for_update(skip_locked=True).filter(id=run.id))


LIMIT = {
    "postgresql": "SHOW idle_in_transaction_session_timeout",
    "mysql": "SELECT @@SESSION.idle_transaction_timeout",
}


@pytest.mark.parametrize("verb", [promote, rescue, claim, claim_limited])
def test_the_limit_ends_with_its_transaction(
    store: Store, enqueue: Enqueue, worker: UUID, verb: Verb
) -> None:
    if not can_end_transactions():
        pytest.skip("This database does not end the transactions of others.")
    before = limit()
    enqueue()
    verb(store, worker)
    assert limit() == before


@pytest.mark.skipif(connection.vendor != "mysql", reason="a setting of MySQL and MariaDB")
def test_others_wait_for_locks_as_long_as_before(store: Store, enqueue: Enqueue) -> None:
    run = enqueue()
    held = {"state": "running", "claimed_by": CLAIMED_BY, "claim_token": TOKEN}
    TaskRun.objects.filter(id=run.id).update(**held)
    before = longest_wait()
    with held_elsewhere(lambda: list(TaskRun.objects.select_for_update())):
        with pytest.raises(DatabaseError) as error:
            finish(store, CLAIMED_BY)
        assert store.is_lock_timeout(error.value)
        assert longest_wait() == before
    assert finish(store, CLAIMED_BY) == {run.id}
    assert longest_wait() == before > 1


def longest_wait() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@SESSION.innodb_lock_wait_timeout")
        [seconds] = cursor.fetchone()
    return int(seconds)


@pytest.mark.parametrize("autocommit", [True, False])
def test_the_transactions_of_others_have_none(store: Store, autocommit: bool) -> None:
    if not can_end_transactions():
        pytest.skip("This database does not end the transactions of others.")
    before = limit()
    with transaction.atomic() if autocommit else without_autocommit():
        store.promote(1)
        assert limit() == before


def limit() -> Any:
    with connection.cursor() as cursor:
        cursor.execute(LIMIT[connection.vendor])
        return cursor.fetchone()


@contextmanager
def without_autocommit() -> Iterator[None]:
    transaction.set_autocommit(False)
    try:
        yield
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)


def patiently(do: Callable[[], Any]) -> Any:
    """What it returns; None if it has not waited any longer for another session's lock."""
    with suppress(DatabaseError):
        return do()


@contextmanager
def frozen_before_it_writes(do: Callable[[], Any]) -> Iterator[None]:
    """While this lasts, another session has locked what it is to write, and is silent."""
    frozen, wakes = Event(), Event()

    def freeze(execute: Any, sql: str, params: Any, many: Any, context: Any) -> Any:
        if WRITES.match(sql):
            frozen.set()
            wakes.wait(60)
        return execute(sql, params, many, context)

    def begin() -> None:
        with connection.execute_wrapper(freeze):
            do()

    other = begin_elsewhere(begin)
    assert frozen.wait(30)
    try:
        yield
    finally:
        wakes.set()
        with suppress(DatabaseError):
            other.result(timeout=30)
