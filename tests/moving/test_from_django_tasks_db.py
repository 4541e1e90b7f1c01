"""``manage.py taskworks move --from django-tasks-db``, with the table of the real package."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, models, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from taskworks import default_task_backend
from taskworks.models import TaskRun
from taskworks.moving import move as moving
from taskworks.moving.django_tasks_db import DjangoTasksDB
from tests import tasks
from tests.behavior import run_worker
from tests.connections import begin_elsewhere, held_elsewhere
from tests.moving import counts, refusal, required, taskworks
from tests.moving.killed import ROOT, move_and_be_killed
from tests.processes.conftest import test_database as environment
from tests.settings import DATABASE
from tests.waiting import wait_for

django_tasks_db = required("django_tasks_db")

pytestmark = pytest.mark.django_db(transaction=True)
MOVE = ("move", "--from", "django-tasks-db")
HERE = "taskworks.moving.django_tasks_db.DjangoTasksDB"
STORED = "taskworks.store.verbs.Store.take_over"
thorough_on_servers = pytest.mark.thorough_on_servers
on_sqlite = pytest.mark.skipif(DATABASE != "sqlite", reason="a server refuses such a row")
not_on_postgresql = pytest.mark.skipif(DATABASE == "postgresql", reason="it refuses such a row")


def rows() -> Any:
    from django_tasks_db.models import DBTaskResult

    return DBTaskResult.objects


def enqueued_there(
    task: Any, *args: Any, backend: str = "default", changes: Any = None, **options: Any
) -> UUID:
    """Write a row as the package does, then change it behind its back; return its id."""
    theirs = django_tasks_db.DatabaseBackend(backend, {"QUEUES": []})
    row = theirs._task_to_db_task(task.using(**options), args, {})
    rows().filter(id=row.id).update(**changes or {})
    id_: UUID = row.id
    return id_


def test_a_run_keeps_what_it_has() -> None:
    id_ = enqueued_there(tasks.send_mail, "Ada", priority=7)
    there = rows().get()
    assert taskworks(*MOVE).splitlines() == [
        "TASK                   MOVED  LEFT",
        "tests.tasks.send_mail  1      0",
    ]
    assert not rows().exists()
    run = TaskRun.objects.get()
    assert (run.id, run.backend, run.queue_name, run.priority) == (id_, "default", "mail", 7)
    assert (run.args, run.kwargs, run.state, run.attempts) == (["Ada"], {}, "ready", 0)
    assert (run.run_after, run.enqueued_at) == (None, there.enqueued_at)
    run_worker()
    assert default_task_backend.get_result(str(id_)).return_value == "sent to Ada"
    assert taskworks(*MOVE) == "Nothing waits in django-tasks-db for the backend 'default'.\n"


def test_a_run_waits_for_its_time() -> None:
    due = timezone.now().replace(microsecond=5) + timedelta(hours=1)
    enqueued_there(tasks.noop, run_after=due)
    enqueued_there(tasks.noop, run_after=due - timedelta(hours=2))
    taskworks(*MOVE)
    later, earlier = TaskRun.objects.order_by("-run_after")
    assert (later.state, later.run_after, later.available_at) == ("scheduled", due, due)
    assert (earlier.state, earlier.available_at) == ("ready", earlier.enqueued_at)


def test_runs_keep_their_order(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    for index, priority in enumerate([0, 0, 5, -5, 0]):
        past = timezone.now() - timedelta(minutes=10 - index)
        enqueued_there(
            tasks.note, str(ledger), str(index), priority=priority, changes={"enqueued_at": past}
        )
    tasks.note.enqueue(str(ledger), "new")
    taskworks(*MOVE)
    run_worker("--threads", "1")
    assert ledger.read_text().split() == ["2", "0", "1", "4", "new", "3"]


def test_a_clock_that_was_ahead_puts_nothing_off() -> None:
    enqueued_there(tasks.noop, changes={"enqueued_at": timezone.now() + timedelta(days=1)})
    taskworks(*MOVE)
    run = TaskRun.objects.get()
    assert (run.state, run.available_at) == ("ready", run.enqueued_at)
    assert run.enqueued_at < timezone.now() + timedelta(hours=1)


def test_a_limit_on_waiting_counts_from_the_move(settings: Any) -> None:
    options = {"TASK_DEFAULTS": {"expires": 3600}}
    settings.TASKS = {"default": {**settings.TASKS["default"], "OPTIONS": options}}
    enqueued_there(tasks.add, 1, 2, changes={"enqueued_at": timezone.now() - timedelta(days=3)})
    taskworks(*MOVE)
    run_worker()
    assert TaskRun.objects.get().return_value == 3


def test_a_dry_run_writes_nothing() -> None:
    enqueued_there(tasks.add, 1, 2)
    enqueued_there(tasks.add, 1)
    before = [*rows().order_by("id").values()]
    printed = taskworks(*MOVE, "--dry-run").splitlines()
    assert [*rows().order_by("id").values()] == before
    assert not TaskRun.objects.exists()
    assert printed[:2] == ["TASK             WOULD MOVE  LEFT", "tests.tasks.add  1           1"]
    assert printed[-1] == "1: Would leave 1 run in django-tasks-db."
    moved = taskworks(*MOVE).splitlines()
    assert moved[1].split() == printed[1].split()
    assert moved[2:-1] == printed[2:-1]
    assert moved[-1] == "1: Left 1 run in django-tasks-db."


@thorough_on_servers
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"task_path": "absent.tasks.x"}, "It cannot be imported: ModuleNotFoundError: No module"),
        ({"task_path": "tests.tasks.gate"}, "'tests.tasks.gate' is not a task: it is of type"),
        ({"task_path": ""}, "It cannot be imported: "),
        (
            {"args_kwargs": {"args": [1], "kwargs": {}}},
            "The arguments do not fit the task: missing",
        ),
        ({"args_kwargs": {"args": [1, 2], "kwargs": {"c": 3}}}, "got an unexpected keyword"),
        ({"args_kwargs": {"args": [1, 2**70], "kwargs": {}}}, "args[1]"),
        pytest.param(
            {"args_kwargs": {"args": [1, "\0"], "kwargs": {}}}, "args[1]", marks=not_on_postgresql
        ),
        ({"args_kwargs": {"args": 5}}, "Its row is not one of django-tasks-db: args_kwargs={"),
        ({"args_kwargs": "text"}, "Its row is not one of django-tasks-db: args_kwargs='text'"),
        ({"queue_name": "absent"}, "Queue 'absent' is not valid for backend."),
        ({"queue_name": ""}, "Queue '' is not valid for backend."),
        (
            {
                "task_path": "tests.typed.declared.ship",
                "args_kwargs": {"args": [], "kwargs": {"shipment": 5}},
            },
            "shipment",
        ),
    ],
)
def test_what_does_not_fit_is_left(changes: dict[str, Any], reason: str) -> None:
    other, left = enqueued_there(tasks.add, 1, 2), enqueued_there(tasks.add, 1, 2, changes=changes)
    before = rows().filter(id=left).values().get()
    *_, about, ids, end = taskworks(*MOVE).splitlines()
    assert about.startswith("Left: ")
    assert reason in about
    assert (ids.strip(), end) == (str(left), "1: Left 1 run in django-tasks-db.")
    assert rows().values().get() == before
    assert TaskRun.objects.get().id == other


@on_sqlite
@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("id", "nonsense", "Its id is not a UUID: 'nonsense'."),
        ("args_kwargs", "{", "Its row is not one of django-tasks-db: args_kwargs='{'"),
        ("args_kwargs", "[" * 100_000, "Its row cannot be read: RecursionError: "),
        ("run_after", "never", "run_after=None"),
        ("run_after", "2026-13-13 00:00:00", "Its row cannot be read: ValueError: "),
        ("enqueued_at", "never", "Its row is not one of django-tasks-db: "),
        ("task_path", b"\xff", "Its row "),
        ("priority", "high", "priority must be a whole number"),
    ],
)
def test_a_malformed_row_is_left(column: str, value: Any, reason: str) -> None:
    enqueued_there(tasks.noop)
    bad = enqueued_there(tasks.noop)
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA ignore_check_constraints = ON")
        statement = f"UPDATE django_tasks_database_dbtaskresult SET {column} = %s WHERE id = %s"
        cursor.execute(statement, [value, bad.hex])
        cursor.execute("PRAGMA ignore_check_constraints = OFF")
        assert cursor.rowcount
    printed = taskworks(*MOVE)
    assert reason in printed
    assert printed.endswith("1: Left 1 run in django-tasks-db.\n")
    assert TaskRun.objects.count() == 1
    with connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM django_tasks_database_dbtaskresult")
        assert cursor.fetchone() == (1,)


@thorough_on_servers
def test_many_that_are_left_are_summed_up() -> None:
    for number in range(5):
        enqueued_there(tasks.add, number)
    _, row, about, ids, _ = taskworks(*MOVE).splitlines()
    assert row.split() == ["tests.tasks.add", "0", "5"]
    assert about.startswith("Left: tests.tasks.add: The arguments do not fit the task: missing")
    assert ids.endswith(", and 2 more")


def test_what_has_run_or_runs_stays() -> None:
    for status in ("SUCCESSFUL", "FAILED", "RUNNING"):
        enqueued_there(tasks.noop, changes={"status": status})
    enqueued_there(tasks.noop)
    remark = (
        "1 more is marked as running. If no db_worker lives, it was interrupted: move it with "
        "--include-running."
    )
    assert taskworks(*MOVE).splitlines()[-1] == remark
    assert TaskRun.objects.count() == 1
    assert counts(*MOVE, "--include-running") == {"tests.tasks.noop": (1, 0)}
    assert {row.status for row in rows().all()} == {"SUCCESSFUL", "FAILED"}


def test_other_backends_are_named() -> None:
    enqueued_there(tasks.noop, backend="mails")
    assert taskworks(*MOVE).splitlines() == [
        "Nothing waits in django-tasks-db for the backend 'default'.",
        "1 more of the backend 'mails': use --from-backend mails.",
    ]
    assert counts(*MOVE, "--from-backend", "mails", "--backend", "other") == {
        "tests.tasks.noop": (1, 0)
    }
    assert TaskRun.objects.get().backend == "other"


def test_queues_and_a_number_may_be_chosen() -> None:
    for _ in range(3):
        enqueued_there(tasks.noop)
        enqueued_there(tasks.send_mail, "Ada")
        enqueued_there(tasks.add, 1)
    chosen = ("--queues", "mail", "--limit", "2")
    assert counts(*MOVE, *chosen, "--dry-run") == {"tests.tasks.send_mail": (2, 0)}
    assert counts(*MOVE, *chosen) == {"tests.tasks.send_mail": (2, 0)}
    assert counts(*MOVE, "--queues", "mail,imports") == {"tests.tasks.send_mail": (1, 0)}
    assert counts(*MOVE)["tests.tasks.noop"] == (3, 0)


@thorough_on_servers
def test_a_limit_passes_over_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "AT_A_TIME", 2)
    for _ in range(3):
        enqueued_there(tasks.add, 1)
    for _ in range(3):
        enqueued_there(tasks.noop)
    assert counts(*MOVE, "--limit", "2")["tests.tasks.noop"] == (2, 0)


def test_a_run_that_is_here_is_not_stored_again() -> None:
    id_ = enqueued_there(tasks.add, 1, 2)
    row = rows().values().get()
    taskworks(*MOVE)
    run_worker()
    rows().create(**row)  # as from a backup
    assert counts(*MOVE) == {"tests.tasks.add": (1, 0)}
    assert not rows().exists()
    run = TaskRun.objects.get()
    assert (run.id, run.state, run.return_value) == (id_, "successful", 3)


def test_the_id_of_another_task_is_not_taken() -> None:
    id_ = enqueued_there(tasks.add, 1, 2)
    result = tasks.noop.enqueue()
    TaskRun.objects.filter(id=result.id).update(id=id_)
    assert "A run of another task has its id here." in taskworks(*MOVE)
    assert rows().get().id == id_
    assert TaskRun.objects.get().task_path == "tests.tasks.noop"


def test_large_arguments_take_several_statements(monkeypatch: pytest.MonkeyPatch) -> None:
    """MariaDB refuses a statement of 16 MiB."""
    monkeypatch.setattr("taskworks.store.statements.MAX_BYTES_PER_STATEMENT", 1000)
    for _ in range(4):
        enqueued_there(tasks.noop, "x" * 400)
    with CaptureQueriesContext(connection) as queries:
        assert counts(*MOVE) == {"tests.tasks.noop": (4, 0)}
    assert sum("INSERT" in query["sql"] for query in queries) == 2


# Races and deaths


def test_a_row_that_a_worker_claims_is_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        enqueued_there(tasks.noop)
    about_to_lock = Event()
    holding = DjangoTasksDB.holding

    @contextmanager
    def noticed(self: DjangoTasksDB, found: Any) -> Iterator[set[str]]:
        about_to_lock.set()
        with holding(self, found) as held:
            yield held

    monkeypatch.setattr(DjangoTasksDB, "holding", noticed)

    def claim() -> UUID:
        row = rows().ready().get_locked()
        row.claim("an old worker")
        id_: UUID = row.id
        return id_

    with held_elsewhere(claim) as claimed:
        moved = begin_elsewhere(lambda: counts(*MOVE))
        assert about_to_lock.wait(60)
    assert moved.result(60) == {"tests.tasks.noop": (2, 0)}
    assert rows().get().id == claimed
    assert claimed not in TaskRun.objects.values_list("id", flat=True)


def test_two_at_once_move_each_run_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "AT_A_TIME", 3)
    ids = {enqueued_there(tasks.noop) for _ in range(30)}
    both = [begin_elsewhere(lambda: counts(*MOVE)) for _ in range(2)]
    numbers = [one.result(60).get("tests.tasks.noop", (0, 0)) for one in both]
    assert [sum(column) for column in zip(*numbers, strict=True)] == [30, 0]
    assert {*TaskRun.objects.values_list("id", flat=True)} == ids
    assert not rows().exists()


@pytest.mark.parametrize("place", [STORED, f"{HERE}.remove"])
@thorough_on_servers
@pytest.mark.not_every_day
def test_it_goes_on_after_it_was_killed(place: str) -> None:
    ids = {enqueued_there(tasks.noop) for _ in range(5)}
    move_and_be_killed(place, 2, *MOVE, **environment())
    assert (TaskRun.objects.count(), rows().count()) == (2, 3)
    assert counts(*MOVE) == {"tests.tasks.noop": (3, 0)}
    assert {*TaskRun.objects.values_list("id", flat=True)} == ids
    assert not rows().exists()


@pytest.mark.django_db(transaction=True, databases=["default", "queue"])
def test_the_tables_may_be_in_two_databases(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.DATABASE_ROUTERS = ["tests.behavior.test_on_commit.ToTheQueue"]
    ids = {enqueued_there(tasks.noop) for _ in range(3)}

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(DjangoTasksDB, "remove", die)
        with pytest.raises(KeyboardInterrupt):
            taskworks(*MOVE)
    assert {*TaskRun.objects.using("queue").values_list("id", flat=True)} == ids
    assert rows().filter(status="READY").count() == 3
    run_worker()
    assert counts(*MOVE) == {"tests.tasks.noop": (3, 0)}
    assert not rows().exists()
    assert TaskRun.objects.using("queue").filter(state="successful").count() == 3


@thorough_on_servers
def test_an_old_worker_and_a_move_share_the_work(tmp_path: Path) -> None:
    """The whole way: the old project enqueues, and its worker lives while the runs are moved."""
    ledger, number = tmp_path / "ledger", 200
    before = {
        **os.environ,
        **environment(),
        "DJANGO_SETTINGS_MODULE": "tests.moving.before",
        "MOVING_BACKEND": "django_tasks_db.DatabaseBackend",
    }
    enqueue = [sys.executable, "-m", "tests.moving.before", str(ledger), str(number)]
    subprocess.run(enqueue, cwd=ROOT, env=before, check=True, timeout=120)
    command = [sys.executable, "manage.py", "db_worker", "--batch", "--no-startup-delay"]
    worker = subprocess.Popen(command, cwd=ROOT, env=before, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(ledger.exists, "the old worker has begun")
        printed = taskworks(*MOVE)
        assert worker.wait(60) == 0, worker.stderr and worker.stderr.read()
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.communicate()
    assert "Left" not in printed
    run_worker()
    assert sorted(map(int, ledger.read_text().split())) == [*range(number)]
    ids = {UUID(line) for line in ledger.with_suffix(".ids").read_text().split()}
    done_there = {*rows().filter(status="SUCCESSFUL").values_list("id", flat=True)}
    done_here = {*TaskRun.objects.filter(state="successful").values_list("id", flat=True)}
    assert done_there | done_here == ids
    assert not done_there & done_here


# Bad input


@thorough_on_servers
def test_the_package_must_be_installed(settings: Any) -> None:
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "django_tasks_db"]
    assert refusal(*MOVE) == (
        2,
        "The rows of django-tasks-db can only be read while 'django_tasks_db' is in "
        "INSTALLED_APPS. Keep it there, and the package installed, until everything is moved.",
    )


def test_the_table_must_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows().model._meta, "db_table", "absent_table")
    code, sentence = refusal(*MOVE)
    assert code == 1
    assert sentence.startswith(
        "The table of django-tasks-db in the database 'default' cannot be read. Run 'manage.py "
        "migrate django_tasks_database'. ("
    )


@thorough_on_servers
def test_a_row_that_others_refer_to_is_not_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    relation = models.ForeignObjectRel(
        models.ForeignKey("auth.User", models.CASCADE, name="result"), rows().model
    )
    relation.related_model = TaskRun
    monkeypatch.setattr(rows().model._meta, "related_objects", (relation,))
    assert refusal(*MOVE) == (
        2,
        "TaskRun.result refers to the rows that this would delete. Make it a UUIDField first: a "
        "run that is moved keeps its id.",
    )


@thorough_on_servers
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--backend", "immediate"), "The backend 'immediate' in TASKS must be a taskworks."),
        (("--backend", "absent"), "TASKS has no backend 'absent'."),
        (("--limit", "0"), "must be a positive integer, not '0'"),
        (("--queues", ""), "contains an empty name"),
    ],
)
def test_a_wrong_argument_is_refused(arguments: tuple[str, ...], sentence: str) -> None:
    assert sentence in refusal(*MOVE, *arguments)[1]


def test_a_database_that_refuses_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    enqueued_there(tasks.noop)

    def refuse(*_: Any) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT absent")

    monkeypatch.setattr(DjangoTasksDB, "remove", refuse)
    code, sentence = refusal(*MOVE)
    assert code == 1
    assert sentence.startswith("Moving from django-tasks-db was interrupted: ")
    assert sentence.endswith("Run the command again: it goes on where it ended.")
    assert (rows().count(), TaskRun.objects.count()) == (1, 0)
