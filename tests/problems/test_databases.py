"""What is wrong with the database, and with the way to it: each of it is really so."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
import time_machine
from django.core.management import call_command
from django.db import Error as DatabaseError
from django.db import connection, connections
from django.db.migrations.recorder import MigrationRecorder
from django.test.utils import CaptureQueriesContext

from taskworks.models import TaskRun
from taskworks.problems import RULES, Severity, look, looking, of_databases
from taskworks.store import Store
from taskworks.store.server_state import dead_rows
from tests.connections import elsewhere, held_elsewhere
from tests.faults.pooler import pooler
from tests.problems.conftest import Enqueue, Register, asked, the_one
from tests.redis_server import redis_server
from tests.waiting import wait_for

IS_SQLITE = connection.vendor == "sqlite"
IS_POSTGRESQL = connection.vendor == "postgresql"


@pytest.fixture
def unmigrated() -> Iterator[None]:
    recorder = MigrationRecorder(connection)
    recorder.record_unapplied("taskworks", "0001_initial")
    try:
        yield
    finally:
        recorder.record_applied("taskworks", "0001_initial")


def test_nothing_is_wrong(store: Store) -> None:
    assert looking.look(store, thoroughly=True) == ([], [])


@pytest.mark.usefixtures("unmigrated")
def test_a_migration_is_missing(store: Store, enqueue: Enqueue) -> None:
    enqueue()
    findings = look(store)
    assert [problem.sentence for problem in findings.problems] == [
        "The database 'default' lacks 1 migration of Taskworks: 0001_initial."
    ]  # and nobody reads tables that may not be there
    assert findings.problems[0].severity is Severity.CRITICAL
    output = StringIO()
    call_command("check", "--deploy", "--database", "default", stdout=output, stderr=output)
    assert "taskworks.unmigrated" in output.getvalue()
    assert "lacks 1 migration" in output.getvalue()
    call_command("check", "--database", "default", stdout=(plain := StringIO()), stderr=plain)
    assert "taskworks.unmigrated" not in plain.getvalue()


@pytest.mark.parametrize(
    ("alias", "command"),
    [
        ("default", "manage.py migrate taskworks"),
        ("queue", "manage.py migrate taskworks --database queue"),
    ],
)
def test_the_remedy_migrates_the_database_that_lacks_it(
    alias: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MigrationRecorder, "applied_migrations", lambda self: {})
    there: Any = SimpleNamespace(store=SimpleNamespace(alias=alias))
    [problem] = of_databases.unmigrated(there)
    assert problem.remedy == f"Apply them: {command}"


@pytest.mark.skipif(IS_SQLITE, reason="it does not know other sessions")
def test_a_transaction_that_stays_open(
    store: Store, enqueue: Enqueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue()
    was_ended = False
    with suppress(DatabaseError), held_elsewhere(lambda: TaskRun.objects.update(rank=1)):
        assert asked("stuck_transaction") == []
        monkeypatch.setattr(of_databases, "STUCK", timedelta())
        problem = wait_for(lambda: [*_of(asked("stuck_transaction"), "idle")], "it is idle")[0]
        assert problem.severity is Severity.CRITICAL
        assert "has been open for" in problem.sentence
        kind = "pg_terminate_backend(" if IS_POSTGRESQL else "KILL "
        assert kind in problem.remedy
        # What it says to do helps.
        elsewhere(lambda: _execute(problem.remedy.partition(": ")[2]))
        was_ended = True
    assert was_ended
    assert [*_of(asked("stuck_transaction"), "idle")] == []


def _of(problems: list[Any], word: str) -> Iterator[Any]:
    return (problem for problem in problems if f"is {word}." in problem.sentence)


def _execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.skipif(not IS_SQLITE, reason="the others have no such lock")
def test_somebody_keeps_the_write_lock(
    enqueue: Enqueue, monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    monkeypatch.setattr(of_databases, "STUCK_ON_SQLITE", 0.05)
    enqueue()
    assert asked("stuck_transaction", thoroughly=True) == []
    with held_elsewhere(lambda: TaskRun.objects.update(rank=1)):
        assert asked("stuck_transaction") == []  # a page does not take the lock
        problem = the_one("stuck_transaction", thoroughly=True)
        assert "The write lock of the database could not be had for 0.05 s" in problem.sentence


@pytest.mark.skipif(IS_SQLITE, reason="its clock is that of Python")
@pytest.mark.parametrize(("hours", "words"), [(1, "behind"), (-1, "ahead of")])
def test_clocks_differ(store: Store, hours: int, words: str) -> None:
    there = store.read_clock()
    with time_machine.travel(there + timedelta(hours=hours), tick=True):
        sentence = the_one("clock_skew").sentence
    assert f"{words} the one of this machine." in sentence
    assert "h 0 min" in sentence or "59 min" in sentence


def test_the_clock_was_set_back(register: Register) -> None:
    register("w", ago=-20)
    assert asked("clock_skew") == []
    register("v", ago=-7200)
    sentence = the_one("clock_skew").sentence
    assert sentence.startswith("A worker has sent a heartbeat that lies")
    assert sentence.endswith("ahead of the database's clock, which somebody has set back.")


@pytest.mark.skipif(not IS_POSTGRESQL, reason="the others have no vacuum")
def test_dead_rows_pile_up(store: Store, enqueue: Enqueue, monkeypatch: pytest.MonkeyPatch) -> None:
    enqueue(20)
    monkeypatch.setattr(of_databases, "MANY_DEAD", 40)
    monkeypatch.setattr(of_databases, "VACUUMED_WITHIN", timedelta())
    _execute("ALTER TABLE taskworks_taskrun SET (autovacuum_enabled = false)")
    try:
        for rank in range(1, 8):
            TaskRun.objects.update(rank=rank)
        _execute("SELECT pg_stat_force_next_flush()")
        problem = wait_for(lambda: asked("not_vacuumed"), "the server counts them")[0]
        assert "dead rows beside" in problem.sentence
        assert "Switch autovacuum on for the table" in problem.remedy
        _execute(problem.remedy.partition(": ")[2])
        _execute("VACUUM taskworks_taskrun")
        wait_for(lambda: not asked("not_vacuumed"), "what it says helps")
        monkeypatch.setattr(of_databases, "VACUUMED_WITHIN", timedelta(minutes=10))
        for rank in range(1, 8):
            TaskRun.objects.update(rank=rank)
        _execute("SELECT pg_stat_force_next_flush()")
        wait_for(lambda: many_dead(store), "the server counts them again")
        assert asked("not_vacuumed") == []  # a busy table, which was vacuumed a moment ago
    finally:
        _execute("ALTER TABLE taskworks_taskrun RESET (autovacuum_enabled)")


def many_dead(store: Store) -> bool:
    rows = dead_rows(store)
    return rows is not None and rows.dead > 40


@pytest.mark.skipif(not IS_POSTGRESQL, reason="the others send no notifications")
def test_notifications_arrive(settings: Any) -> None:
    assert asked("notifications_do_not_arrive", thoroughly=True) == []
    assert asked("notifications_do_not_arrive") == []
    settings.TASKWORKS = {**settings.TASKWORKS, "NOTIFY": False}
    assert asked("notifications_do_not_arrive", thoroughly=True) == []


@pytest.mark.not_every_day
@pytest.mark.skipif(not IS_POSTGRESQL, reason="the others send no notifications")
def test_notifications_do_not_arrive_through_a_pooler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_databases, "ARRIVES_WITHIN", 0.5)
    with pooler() as pool, _connecting(HOST="127.0.0.1", PORT=str(pool.port)):
        problem = the_one("notifications_do_not_arrive", thoroughly=True)
    assert "did not arrive within 0.5 s" in problem.sentence


def test_redis_wakes_workers(settings: Any) -> None:
    assert asked("wake_ups_do_not_arrive", thoroughly=True) == []
    with redis_server("--requirepass", "hunter2") as server:
        address = server.address.replace("//", "//:hunter2@")
        settings.TASKWORKS = {**settings.TASKWORKS, "WAKEUP": address}
        assert asked("wake_ups_do_not_arrive", thoroughly=True) == []
        settings.TASKWORKS = {**settings.TASKWORKS, "WAKEUP": address.replace("2@", "3@")}
        refused = the_one("wake_ups_do_not_arrive", thoroughly=True)
    gone = the_one("wake_ups_do_not_arrive", thoroughly=True)
    assert "so they poll, and begin runs later: " in gone.sentence
    assert "hunter" not in f"{refused}{gone}"
    assert asked("wake_ups_do_not_arrive") == []


@contextmanager
def _connecting(**changed: str) -> Iterator[None]:
    """This thread's connections are to somewhere else within the block."""
    given = connections["default"].settings_dict
    before = {name: given[name] for name in changed}
    connections["default"].close()
    given.update(changed)
    try:
        yield
    finally:
        connections["default"].close()
        given.update(before)


def test_a_database_that_is_down(store: Store) -> None:
    nowhere = {"NAME": "/no/such/folder/db"} if IS_SQLITE else {"HOST": "127.0.0.1", "PORT": "1"}
    with _connecting(**nowhere), pytest.raises(DatabaseError):
        look(store)


def test_what_takes_too_long_is_unknown_and_the_rest_is_asked(
    store: Store, enqueue: Enqueue, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    register("dead", ago=900)
    enqueue(2)

    def slow(situation: Any) -> Iterator[Any]:
        _execute(SLOW[connection.vendor])
        yield from ()

    rules = [looking.Rule("slow", slow, "it is slow"), *RULES]
    monkeypatch.setattr(looking, "READ_FOR", 0.1)
    findings = look(store, rules=rules)
    [unknown] = [one for one in findings.unknown if one.id == "slow"]
    assert "in time" in unknown.sentence
    assert {"silent_worker", "queue_without_worker"} <= {one.id for one in findings.problems}


SLOW = {
    "postgresql": "SELECT PG_SLEEP(30)",
    "mysql": "SELECT SLEEP(30) FROM taskworks_taskrun",
    "sqlite": """
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
        SELECT COUNT(*) FROM n LIMIT 1""",
}


def test_a_rule_that_fails_is_unknown(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    def broken(situation: Any) -> list[Any]:
        raise KeyError("it")

    findings = look(store, rules=[looking.Rule("broken", broken, "it is broken")])
    assert findings.unknown[0].sentence == "broken has failed: KeyError('it')"
    assert "The rule broken of problems has failed." in caplog.text


def test_a_look_takes_few_statements(store: Store, enqueue: Enqueue, register: Register) -> None:
    register()
    enqueue(3)
    enqueue(3, "other")
    with CaptureQueriesContext(connection) as captured:
        look(store)
    assert len(captured) <= (18 if IS_SQLITE else 28)


@pytest.mark.any_database
def test_each_rule_has_an_id_that_others_may_use() -> None:
    assert all(rule.id.isidentifier() and rule.id.islower() and rule.title for rule in RULES)
