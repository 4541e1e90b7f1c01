"""``manage.py taskworks worker``, in this process."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command, load_command_class
from django.db import connection
from django.test import override_settings

from taskworks.models import RunState, TaskRun, Worker
from taskworks.store import store
from taskworks.worker import Worker as Loop
from tests import tasks
from tests.behavior import (
    DATABASE_BACKEND,
    Settings,
    not_with_celery,
    rewrite,
    run_of,
    run_worker,
)

ROOT = Path(__file__).resolve().parents[2]
with_database = pytest.mark.django_db(transaction=True)
of_the_command = not_with_celery("the command has options of its own, and prints other lines")


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What the command line says to arguments that it refuses with exit code 2."""
    with pytest.raises(SystemExit) as exit_:
        load_command_class("taskworks", "taskworks").run_from_argv(
            ["manage.py", "taskworks", *arguments]
        )
    assert exit_.value.code == 2
    return capsys.readouterr().err


def a_worker() -> Worker:
    """Another worker, as far as the tables know."""
    worker = Worker(label="other", hostname="", pid=1)
    store().register(worker)
    return worker


def states() -> list[str]:
    return list(TaskRun.objects.order_by("enqueued_at").values_list("state", flat=True))


@with_database
class TestQueues:
    @pytest.fixture(autouse=True)
    def runs(self) -> dict[str, Any]:
        queues = ("default", "mail", "imports")
        return {queue: tasks.noop.using(queue_name=queue).enqueue() for queue in queues}

    def done(self) -> set[str]:
        return set(TaskRun.objects.successful().values_list("queue_name", flat=True))

    def test_are_all_taken_unless_some_are_named(self) -> None:
        run_worker()
        assert self.done() == {"default", "mail", "imports"}

    @of_the_command
    @pytest.mark.parametrize(
        ("named", "taken"),
        [
            ("*", {"default", "mail", "imports"}),
            ("mail", {"mail"}),
            ("mail,imports", {"mail", "imports"}),
            ("mail, imports", {"mail", "imports"}),
            ("mail,*", {"default", "mail", "imports"}),
            ("nowhere", set()),
        ],
    )
    def test_that_are_named_are_taken_alone(self, named: str, taken: set[str]) -> None:
        run_worker("--queues", named)
        assert self.done() == taken
        assert TaskRun.objects.ready().count() == 3 - len(taken)

    @pytest.mark.parametrize(
        ("excluded", "taken"),
        [
            ("mail", {"default", "imports"}),
            ("mail,imports", {"default"}),
            ("nowhere", {"default", "mail", "imports"}),
        ],
    )
    def test_that_are_excluded_are_left(self, excluded: str, taken: set[str]) -> None:
        run_worker("--exclude-queues", excluded)
        assert self.done() == taken

    def test_can_be_given_by_keyword(self) -> None:
        run_worker(queues="mail,imports")
        assert self.done() == {"mail", "imports"}


@with_database
@pytest.mark.parametrize("alike", ["Mail", "mäil"])
def test_queues_whose_names_are_alike_are_two(settings: Settings, alike: str) -> None:
    settings.TASKS = {"default": {"BACKEND": DATABASE_BACKEND, "QUEUES": []}}
    mail, other = [tasks.noop.using(queue_name=name).enqueue() for name in ("mail", alike)]
    run_worker("--queues", "mail")
    assert (run_of(mail).state, run_of(other).state) == ("successful", "ready")
    mail = tasks.noop.using(queue_name="mail").enqueue()
    run_worker("--exclude-queues", "mail")
    assert (run_of(mail).state, run_of(other).state) == ("ready", "successful")


@with_database
def test_six_hundred_queues_are_no_more_than_one_claim_takes(settings: Settings) -> None:
    # Asked of the store, since a worker takes a refused statement for bad weather, and waits.
    settings.TASKS = {"default": {"BACKEND": DATABASE_BACKEND, "QUEUES": []}}
    for number in range(600):
        tasks.noop.using(queue_name=f"tenant-{number}").enqueue()
    queues = store().ready_queues("default")
    assert len(queues) == 600
    assert len(store().claim(a_worker().id, "default", queues, {"thread": 1000})) == 600


@with_database
def test_only_the_runs_of_its_backend_are_taken() -> None:
    ours, other = tasks.noop.enqueue(), tasks.noop.using(backend="other").enqueue()
    run_worker("--backend", "other")
    assert (run_of(ours).state, run_of(other).state) == ("ready", "successful")
    run_worker()
    assert run_of(ours).state == "successful"


@with_database
class TestBatch:
    def test_drains_what_is_ready_failures_included(self) -> None:
        tasks.noop.enqueue()
        tasks.fail.enqueue()
        tasks.add_async.enqueue(1, 2)
        tasks.add.enqueue(1, 2)
        run_worker()
        assert states() == ["successful", "failed", "successful", "successful"]

    def test_that_finds_nothing_ends(self) -> None:
        run_worker()
        assert states() == []

    def test_takes_what_its_runs_enqueue(self) -> None:
        tasks.enqueue_noop.enqueue()
        run_worker("--threads", "1")
        assert states() == ["successful"] * 2

    def test_takes_more_than_fits_at_once(self) -> None:
        for number in range(20):
            tasks.noop.enqueue(number)
        run_worker("--threads", "2")
        assert states() == ["successful"] * 20

    def test_leaves_what_others_have_in_hand(self) -> None:
        result = tasks.noop.enqueue()
        [run] = store().claim(a_worker().id, "default", ["default"], {"thread": 1})
        with override_settings(TASKWORKS={"WORKER_TIMEOUT": 600}):  # nobody is silent so soon
            run_worker()
        assert (run_of(result).state, run_of(result).claim_token) == ("claimed", run.claim_token)

    @pytest.mark.parametrize("interval", ["0", "0.01", "1.5"])
    def test_takes_any_interval(self, interval: str) -> None:
        tasks.noop.enqueue()
        run_worker("--interval", interval)
        assert states() == ["successful"]


@with_database
@pytest.mark.parametrize("batch", [True, False])
def test_max_tasks_leaves_the_rest_ready(batch: bool) -> None:
    for number in range(5):
        tasks.noop.enqueue(number)
    run_worker("--max-tasks", "2", batch=batch)
    assert states() == ["successful"] * 2 + ["ready"] * 3


@with_database
@pytest.mark.parametrize(
    ("queue", "backend", "limit", "waits"),
    [
        ("default", "default", None, True),
        ("mail", "default", None, False),
        ("default", "other", None, False),
        ("mail", "other", "intake", True),
    ],
)
def test_a_batch_waits_for_the_rescue_of_runs_that_concern_it(
    queue: str, backend: str, limit: str | None, waits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own, and those that take a slot of a limit; a rescue is ten minutes away."""
    silent = Worker(label="silent", hostname="here", pid=1)
    store().register(silent)
    Worker.objects.update(heartbeat_at=store().read_clock() - timedelta(hours=1))
    lost = tasks.noop.enqueue()
    lane = "a" if limit else None
    rewrite(lost, queue_name=queue, backend=backend, limit_name=limit, lane=lane)
    rewrite(lost, state="claimed", claimed_by=silent.id, claim_token=uuid4())
    looks: list[bool] = []
    may_rescue_some = Loop._may_rescue_some

    def seen(loop: Loop) -> bool:
        looks.append(may_rescue_some(loop))
        if looks[-1]:
            Worker.objects.filter(id=silent.id).delete()  # as the rescue does with its runs
            TaskRun.objects.filter(id=lost.id).update(state="cancelled", claim_token=None)
        return looks[-1]

    monkeypatch.setattr(Loop, "_may_rescue_some", seen)
    tasks.noop.enqueue()
    with override_settings(TASKWORKS={"WORKER_TIMEOUT": 600}):
        run_worker("--queues", "default")
    assert looks[0] is waits
    assert run_of(lost).state == ("cancelled" if waits else "claimed")


@with_database
def test_a_failure_counts_for_max_tasks() -> None:
    tasks.fail.enqueue()
    tasks.noop.enqueue()
    run_worker("--max-tasks", "1")
    assert states() == ["failed", "ready"]


@with_database
def test_the_workers_label_is_in_its_runs() -> None:
    result = tasks.noop.enqueue()
    run_worker("--worker-id", "ü" * 64)
    assert run_of(result).worker_ids == ["ü" * 64]


@of_the_command
@with_database
def test_a_worker_without_a_label_makes_one_of_its_process() -> None:
    results = [tasks.noop.enqueue()]
    run_worker()
    results.append(tasks.noop.enqueue())
    run_worker()
    [first], [second] = [run_of(result).worker_ids for result in results]
    assert f"-{os.getpid()}-" in first
    assert first != second


@with_database
def test_a_worker_that_has_ended_leaves_no_row() -> None:
    tasks.noop.enqueue()
    run_worker()
    assert Worker.objects.count() == 0


@of_the_command
@with_database
class TestOutput:
    def test_is_a_line_at_either_end_and_one_a_run(self) -> None:
        good, bad = tasks.noop.using(priority=1).enqueue(), tasks.fail.enqueue()
        lines = run_worker("--worker-id", "me", "--threads", "1").splitlines()
        assert lines[0].startswith("Worker me started; it takes runs from every queue.")
        assert "stopped" in lines[-1]
        assert f" successful tests.tasks.noop {good.id} " in lines[1]
        assert f" failed tests.tasks.fail {bad.id} " in lines[2]
        assert lines[1].endswith(" ms")
        assert len(lines) == 4

    def test_warns_of_a_queue_that_there_is_not(self, capsys: pytest.CaptureFixture[str]) -> None:
        run_worker("--queues", "mial")
        assert capsys.readouterr().err == (
            "Warning: the queue 'mial' is not in TASKS['default']['QUEUES']. Did you mean 'mail'?\n"
        )

    def test_names_the_queues(self) -> None:
        assert "takes runs from mail, imports" in run_worker("--queues", "mail,imports")
        assert "takes runs from every queue except mail" in run_worker("--exclude-queues", "mail")

    def test_is_nothing_at_verbosity_0(self) -> None:
        tasks.noop.enqueue()
        assert run_worker(verbosity=0) == ""
        assert states() == ["successful"]

    def test_has_no_traceback(self) -> None:
        tasks.fail.enqueue()
        assert "Traceback" not in run_worker()


class TestArguments:
    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (["--backend", "nobody"], "'nobody'"),
            (["--backend", "immediate"], "; it is of type ImmediateBackend"),
            (["--backend", "dummy"], "taskworks.backends.database.DatabaseBackend"),
            (["--interval", "-1"], "must be a finite number of seconds, 0 or more, not '-1'"),
            (["--interval", "inf"], "seconds, 0 or more, not 'inf'"),
            (["--interval", "nan"], "seconds, 0 or more, not 'nan'"),
            (["--interval", "soon"], "seconds, 0 or more, not 'soon'"),
            (["--max-tasks", "0"], "must be a positive integer, not '0'"),
            (["--max-tasks", "-1"], "must be a positive integer, not '-1'"),
            (["--max-tasks", "1.5"], "must be a positive integer, not '1.5'"),
            (["--max-tasks", "²"], "must be a positive integer, not '²'"),
            (["--threads", "-1"], "must be a non-negative integer, not '-1'"),
            (["--task-processes", "x"], "must be a non-negative integer, not 'x'"),
            (["--max-tasks-per-child", "0"], "must be a positive integer, not '0'"),
            (
                ["--threads", "0", "--async-slots", "0", "--task-processes", "0"],
                "--threads, --async-slots and --task-processes must not all be 0.",
            ),
            (["--worker-id", ""], "must be 1 to 64 printable characters, not ''"),
            (["--worker-id", "x" * 65], "must be 1 to 64 printable characters, not 'xxx"),
            (["--worker-id", "a\nb"], r"must be 1 to 64 printable characters, not 'a\nb'"),
            (["--queues", ""], "contains an empty name: ''"),
            (["--queues", "a,,b"], "contains an empty name: 'a,,b'"),
            (["--queues", "mail", "--exclude-queues", "mail"], "be used with --queues '*'"),
            (["--bogus"], "unrecognized arguments: --bogus"),
        ],
        ids=lambda value: " ".join(value).replace("\n", "") if isinstance(value, list) else "",
    )
    def test_that_do_not_fit_are_refused(
        self, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
    ) -> None:
        assert sentence in refusal(capsys, "worker", *arguments)

    def test_begin_with_a_subcommand(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert "SUBCOMMAND" in refusal(capsys)
        assert "'bogus'" in refusal(capsys, "bogus")

    @pytest.mark.parametrize(
        "options",
        [
            {"interval": -1},
            {"max_tasks": 0},
            {"worker_id": ""},
            {"backend": "nobody"},
            {"threads": 1.5},
            {"queues": "mail", "exclude_queues": "mail"},
        ],
        ids=str,
    )
    def test_given_by_keyword_are_refused_alike(self, options: dict[str, Any]) -> None:
        with pytest.raises(CommandError) as error:
            call_command("taskworks", "worker", batch=True, **options)
        assert error.value.returncode == 2


@of_the_command
class TestADatabase:
    def test_that_cannot_be_reached_is_told_in_a_sentence(self, tmp_path: Path) -> None:
        nowhere = {
            "PGPORT": "1",
            "MARIADB_PORT": "1",
            "MYSQL_PORT": "1",
            "TASKWORKS_TEST_FILES": str(tmp_path / "nowhere"),
        }
        ended = subprocess.run(
            [sys.executable, "manage.py", "taskworks", "worker", "--batch"],
            cwd=ROOT,
            env={**os.environ, **nowhere},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 1
        assert "CommandError: The database 'default' cannot be reached: " in ended.stderr
        assert "Traceback" not in ended.stderr
        assert ended.stdout == ""

    @with_database
    def test_without_our_tables_is_told_what_to_do(self) -> None:
        table = connection.ops.quote_name(TaskRun._meta.db_table)
        away = connection.ops.quote_name("taskworks_away")
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {table} RENAME TO {away}")
            try:
                with pytest.raises(CommandError, match=r"Run 'manage\.py migrate taskworks'"):
                    run_worker()
            finally:
                cursor.execute(f"ALTER TABLE {away} RENAME TO {table}")

    @with_database
    def test_is_left_as_it_was_by_a_refused_command(self) -> None:
        tasks.noop.enqueue()
        with pytest.raises(CommandError):
            run_worker(max_tasks=0)
        assert states() == [RunState.READY]
        assert Worker.objects.count() == 0
