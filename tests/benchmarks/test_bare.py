"""
The statements that the benchmark sends without the store: recorded ones must work on other runs,
and be what the store sends; fixed ones must work on the table of today.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.db import connection

from benchmarks import bare, fixed, growth
from benchmarks.place import Place
from benchmarks.systems.bare import Bare, BareToday
from benchmarks.systems.taskworks import Taskworks
from taskworks.models import RunState, TaskRun
from taskworks.options.policy import THREAD
from taskworks.store import store
from tests import tasks

pytestmark = pytest.mark.django_db(transaction=True)

# Computed when they were compared with what the code of that commit sends.
TEXTS_OF_094DB0B = {
    "postgresql": "c3fb99169f63",
    "mariadb": "d17df6889896",
    "sqlite": "4e82e171702e",
}


@pytest.fixture
def system() -> Taskworks:
    """Return the system as in its producer, but on the database of the tests."""
    return opened(Taskworks)


@pytest.fixture(params=[Bare, BareToday], ids=lambda system: system.name)
def either(request: pytest.FixtureRequest) -> Bare:
    """Return each of the rows without a task system."""
    return opened(request.param)


def opened(system: type[Taskworks]) -> Any:
    made = system(Place(system=system.name, store=connection.vendor, files=""))
    made.noop = tasks.noop
    return made


@pytest.fixture
def driver() -> bare.Driver:
    return bare.Driver()


def test_the_claim_and_finish_work_on_other_runs(either: Bare, driver: bare.Driver) -> None:
    claim, finish = either.verbs()
    either.clear()
    bare.register(either)
    either.fill(2 * bare.BATCH)
    for _ in range(2):
        claimed = claim.send(driver)
        assert len({*claimed}) == bare.BATCH
        finish.send(driver, claimed)
    assert claim.send(driver) == []
    assert TaskRun.objects.successful().count() == 2 * bare.BATCH


def test_a_claim_within_a_transaction_can_be_taken_back(
    system: Taskworks, driver: bare.Driver
) -> None:
    claim, _ = bare.verbs(system)
    system.fill(bare.BATCH)
    driver.begin()
    assert len(claim.send(driver, within=True)) == bare.BATCH
    driver.roll_back()
    assert TaskRun.objects.ready().count() == bare.BATCH


@pytest.mark.parametrize("size", [1, 3_000])
def test_the_inserts_insert_other_runs(either: Bare, driver: bare.Driver, size: int) -> None:
    insert = either.insertion(size)
    for _ in range(2):
        insert.send(driver, insert.fresh_ids())
    assert TaskRun.objects.ready().count() == 2 * size


def test_the_fixed_insert_stores_what_enqueue_stores(driver: bare.Driver) -> None:
    insert = opened(Bare).insertion(1)
    insert.send(driver, insert.fresh_ids())
    tasks.noop.enqueue(0, "hello-world")
    theirs, ours = TaskRun.objects.order_by("enqueued_at")
    differing = {"id", "task_path", "enqueued_at", "available_at"}
    for field in TaskRun._meta.concrete_fields:
        if field.attname not in differing:
            assert getattr(theirs, field.attname) == getattr(ours, field.attname)


@pytest.mark.skipif(settings.DATABASE == "mysql", reason="none were recorded on MySQL")
def test_the_fixed_statements_are_those_of_their_commit() -> None:
    ids, vendor = [UUID(int=n) for n in range(2)], connection.vendor
    statements = [*fixed.CLAIMS[vendor](ids, ids[0]), *fixed.FINISHES[vendor](ids, ids[0])]
    texts = [one.text for one in statements]
    texts += [fixed.INSERTS[vendor](ids)[0]]
    if vendor == "postgresql":
        texts += [fixed.insert_one_into_postgresql(ids[0]).text]
    digest = sha256("\0".join(texts).encode()).hexdigest()
    assert digest[:12] == TEXTS_OF_094DB0B[settings.DATABASE]


def test_the_row_of_today_enqueues_as_the_store_does(driver: bare.Driver) -> None:
    insert = opened(BareToday).insertion(1)
    for _ in range(10):  # then PostgreSQL has it prepared
        tasks.noop.enqueue(0, "hello-world")
        insert.send(driver, insert.fresh_ids())
    with tapped() as of_store:
        tasks.noop.enqueue(0, "hello-world")
    with tapped() as of_row:
        insert.send(driver, insert.fresh_ids())
    [sent] = of_row
    assert of_store.count(sent) == 1
    assert ("Bind" if connection.vendor == "postgresql" else "INSERT INTO") in sent


def test_the_row_of_today_claims_and_finishes_as_the_store_does(driver: bare.Driver) -> None:
    row = opened(BareToday)
    claim, finish = row.verbs()
    row.clear()
    worker = bare.register(row)
    row.fill(2 * bare.BATCH)
    with tapped() as of_store:
        runs = store().claim(worker, "default", ["default"], {THREAD: bare.BATCH})
        for number, run in enumerate(runs):
            bare._succeed(run, number)
        assert len(store().finish(runs)) == bare.BATCH
    with tapped() as of_row:
        ids = claim.send(driver)
        finish.send(driver, ids)
    assert without_transactions(of_row) == without_transactions(of_store)
    assert TaskRun.objects.successful().count() == 2 * bare.BATCH


@contextmanager
def tapped() -> Iterator[list[str]]:
    """Yield the list of what the driver sends in the block, with ? for all values."""
    connection.ensure_connection()
    taps: dict[str, Callable[[Any], Any]] = {
        "postgresql": _tapped_postgresql,
        "mysql": _tapped_mysql,
        "sqlite": _tapped_sqlite,
    }
    sent: list[str] = []
    with taps[connection.vendor](sent):
        yield sent
    sent[:] = [_without_values(text) for text in sent]


@contextmanager
def _tapped_postgresql(sent: list[str]) -> Iterator[None]:
    pgconn = connection.connection.pgconn
    with Path("/dev/shm", f"tap-{connection.settings_dict['NAME']}").open("w+b") as file:
        Path(file.name).unlink()
        pgconn.trace(file.fileno())
        yield
        pgconn.untrace()
        file.seek(0)
        lines = re.split(r"^(?=[^\n]*\t[FB]\t)", file.read().decode(), flags=re.MULTILINE)
    # Not the times at which they were sent.
    messages = [line.split("\t", 1)[1] for line in lines if "\t" in line]
    sent += [message for message in messages if re.match(r"F\t\d+\t(Query|Parse|Bind)", message)]


@contextmanager
def _tapped_mysql(sent: list[str]) -> Iterator[None]:
    from MySQLdb.connections import Connection

    query = Connection.query

    def note(self: Any, text: Any) -> Any:
        sent.append(bytes(text).decode())
        return query(self, text)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Connection, "query", note)
        yield


@contextmanager
def _tapped_sqlite(sent: list[str]) -> Iterator[None]:
    connection.connection.set_trace_callback(sent.append)
    yield
    connection.connection.set_trace_callback(None)


def _without_values(text: str) -> str:
    return re.sub(r"'(?:[^']|'')*'|(?<![\w])-?\d+(?:\.\d+)?|NULL|%s", "?", text)


def without_transactions(sent: Sequence[str]) -> list[str]:
    """Return the statements that neither begin nor end a transaction."""
    return [text for text in sent if not re.search(r'^\W*(F\t.*")?(BEGIN|COMMIT)\b', text)]


def test_a_table_grows_and_shrinks_again(
    system: Taskworks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growth, "ROWS_PER_STATEMENT", 30)
    monkeypatch.setattr(growth.databases, "settle", lambda place: None)
    growth.fill(system, 50, 40)
    system.fill(10)
    states = TaskRun.objects.values_list("state", flat=True)
    assert [*states].count(RunState.SUCCESSFUL) == 50
    assert [*states].count(RunState.SCHEDULED) == 40
    growth.forget_backlog(system)
    assert TaskRun.objects.count() == 90


def test_the_end_of_a_drain_is_seen_without_counting(
    system: Taskworks, driver: bare.Driver, django_assert_max_num_queries: Any
) -> None:
    claim, finish = bare.verbs(system)
    system.clear()
    bare.register(system)
    system.fill(bare.BATCH)
    assert not system.is_done(bare.BATCH)
    ids = claim.send(driver)
    assert not system.is_done(bare.BATCH)
    finish.send(driver, ids)
    with django_assert_max_num_queries(2) as queries:
        assert system.is_done(bare.BATCH)
    assert not any("COUNT" in query["sql"] for query in queries.captured_queries)
    assert system.await_done(bare.BATCH, patience=0.1) is not None
    assert system.await_done(bare.BATCH + 1, patience=0.1) is None
