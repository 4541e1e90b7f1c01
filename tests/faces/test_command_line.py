"""``manage.py taskworks status | list | show | run | retry | cancel``."""

import json
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from threading import Event, Thread
from typing import Any
from unittest.mock import patch

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections
from django.db.utils import OperationalError
from django.test.utils import CaptureQueriesContext

from taskworks.management.commands.taskworks import Command
from taskworks.management.output import DETAILS, SUMMARY
from taskworks.models import RunState, TaskRun, Worker
from taskworks.models.run import new_run_id
from taskworks.signals import task_cancelled
from taskworks.store import census, store
from tests.behavior import raising, received, run_worker, unique
from tests.behavior.test_worker import refusal
from tests.faces.conftest import MakeRun

pytestmark = pytest.mark.django_db
Capture = pytest.CaptureFixture[str]


def taskworks(*arguments: object, **options: Any) -> str:
    """What a subcommand prints."""
    output = StringIO()
    call_command("taskworks", *map(str, arguments), stdout=output, **options)
    return output.getvalue()


def taskworks_json(*arguments: object) -> Any:
    return json.loads(taskworks(*arguments, "--json"))


def failing(code: int, *arguments: object) -> tuple[str, str]:
    """What a subcommand that ends with this exit code prints, and its last sentence."""
    output = StringIO()
    with pytest.raises(CommandError) as error:
        call_command("taskworks", *map(str, arguments), stdout=output)
    assert error.value.returncode == code
    return output.getvalue(), str(error.value)


def change(run: TaskRun, **columns: Any) -> None:
    assert TaskRun.objects.filter(id=run.id).update(**columns) == 1


@pytest.mark.usefixtures("patience")
class TestStatus:
    def test_of_nothing(self) -> None:
        assert taskworks("status").splitlines() == [
            "No runs are waiting or running, and none finished in the last 24 hours.",
            "No runs are ready.",
            "",
            "No workers are running.",
        ]
        assert taskworks_json("status") == {
            "runs": [],
            "finished_within_seconds": 86400,
            "longest_wait_seconds": None,
            "workers": [],
            "pauses": [],
            "unattended_queues": [],
            "problems": [],
        }

    @pytest.mark.usefixtures("worker")
    @pytest.mark.parametrize("state", RunState.values)
    def test_counts_every_state(self, make_run: MakeRun, state: str) -> None:
        make_run(state)
        make_run(state)
        counted = {"backend": "default", "queue_name": "default", "state": state, "count": 2}
        counted["is_capped"] = False
        assert taskworks_json("status")["runs"] == [counted]
        head, row, *_ = taskworks("status").splitlines()
        shown = dict(zip(head.split(), row.split(), strict=True))
        assert shown.pop(state.upper()) == "2"
        assert list(shown.values()) == ["default", "default", *"-------"]

    @pytest.mark.usefixtures("worker")
    def test_counts_each_queue(self, make_run: MakeRun) -> None:
        make_run()
        change(make_run(), queue_name="mail")
        change(make_run("running"), queue_name="mail", backend="other")
        store().register(Worker(label="of the other", hostname="here", pid=78, backend="other"))
        counts = taskworks_json("status")["runs"]
        assert [tuple(count.values()) for count in counts] == [
            ("default", "default", "ready", 1, False),
            ("default", "mail", "ready", 1, False),
            ("other", "mail", "running", 1, False),
        ]

    def test_leaves_out_what_finished_long_ago(self, make_run: MakeRun) -> None:
        run = make_run("successful")
        change(run, finished_at=run.finished_at - timedelta(hours=25))
        assert taskworks_json("status")["runs"] == []

    @pytest.mark.usefixtures("worker")
    def test_tells_how_long_the_oldest_ready_run_has_waited(self, make_run: MakeRun) -> None:
        now = store().read_clock()
        make_run()
        make_run(available_at=now - timedelta(seconds=90))
        make_run("scheduled", available_at=now - timedelta(hours=2))
        assert 90 <= taskworks_json("status")["longest_wait_seconds"] < 150
        assert "The oldest ready run has waited 1 min" in taskworks("status")

    def test_lists_the_workers(self, make_run: MakeRun, worker: Worker) -> None:
        heartbeat = worker.heartbeat_at - timedelta(seconds=12)
        Worker.objects.update(heartbeat_at=heartbeat)
        make_run("running", claimed_by=worker.id)
        make_run("claimed", claimed_by=worker.id)
        make_run("successful", claimed_by=worker.id)
        [told] = taskworks_json("status")["workers"]
        assert 12 <= told.pop("seconds_since_heartbeat") < 60
        assert told == {
            "id": str(worker.id),
            "label": "of a test",
            "hostname": "here",
            "pid": 77,
            "started_at": worker.started_at.isoformat(),
            "heartbeat_at": heartbeat.isoformat(),
            "given_up_at": None,
            "runs_in_hand": 2,
            "silent": False,
        }
        assert taskworks("status").splitlines()[-1].startswith("of a test  here  77   1")

    def test_says_who_was_given_up(self, worker: Worker) -> None:
        Worker.objects.update(given_up_at=worker.heartbeat_at)
        assert "given up" in taskworks("status")

    def test_says_that_a_worker_seems_dead(self, make_run: MakeRun, worker: Worker) -> None:
        make_run("running", claimed_by=worker.id)
        Worker.objects.update(heartbeat_at=worker.heartbeat_at - timedelta(minutes=47))
        output, complaint = failing(4, "status")
        outlook = "its 1 run comes back when another worker has lived 30 s"
        assert "silent for 47 min" in output
        assert outlook in output
        assert "The worker of a test seems to be dead: silent for 47 min" in complaint
        output, _ = failing(4, "status", "--json")
        [told] = json.loads(output)["workers"]
        assert told["silent"] is True

    def test_of_a_silent_worker_without_runs_promises_nothing(self, worker: Worker) -> None:
        Worker.objects.update(heartbeat_at=worker.heartbeat_at - timedelta(minutes=47))
        output, _ = failing(4, "status")
        assert "silent for 47 min" in output
        assert "back" not in output

    @pytest.mark.parametrize("state", ["ready", "claimed", "running"])
    def test_names_queues_that_no_worker_attends(self, make_run: MakeRun, state: str) -> None:
        change(make_run(state), queue_name="mail")
        _, complaint = failing(4, "status")
        assert complaint.startswith(
            "No living worker takes these queues, which have runs to execute: 'mail' (1)"
        )
        output, _ = failing(4, "status", "--json")
        assert json.loads(output)["unattended_queues"] == ["mail"]

    @pytest.mark.parametrize("state", ["scheduled", "successful"])
    def test_does_not_miss_workers_without_work(self, make_run: MakeRun, state: str) -> None:
        make_run(state)
        assert taskworks_json("status")["unattended_queues"] == []

    def test_takes_few_statements(self, make_run: MakeRun, worker: Worker) -> None:
        for state in RunState.values:
            make_run(state, claimed_by=worker.id)
        with CaptureQueriesContext(connection) as captured:
            ready = store().survey()
            census.tallies(store(), ready, timedelta(days=1))
            census.workers(store())
        # Two ask for the time; MySQL and MariaDB find the names of queues one by one.
        assert len(captured) <= {"mysql": 30}.get(connection.vendor, 16)


class TestList:
    def test_may_be_empty(self) -> None:
        assert taskworks("list") == "No runs match.\n"
        assert taskworks_json("list") == []

    def test_has_a_row_a_run(self, make_run: MakeRun) -> None:
        run = make_run("running", target=30, progress=12, attempts=2)
        head, row = taskworks("list").splitlines()
        assert head.split()[:4] == ["ID", "STATE", "TASK", "QUEUE"]
        for shown in (str(run.id), "running", "tests.tasks.noop", "default", "12 of 30"):
            assert shown in row

    def test_has_stable_keys(self, make_run: MakeRun) -> None:
        run = make_run("failed")
        [told] = taskworks_json("list")
        assert tuple(told) == SUMMARY
        assert (told["id"], told["state"], told["status"]) == (str(run.id), "failed", "FAILED")
        assert told["enqueued_at"] == run.enqueued_at.isoformat()

    def test_has_the_newest_first_and_no_more_than_its_limit(self, make_run: MakeRun) -> None:
        newest = sorted([str(make_run().id) for _ in range(4)], reverse=True)
        assert [run["id"] for run in taskworks_json("list", "--limit", 3)] == newest[:3]

    @pytest.mark.parametrize(
        ("option", "value", "column"),
        [
            ("--state", "failed", "state"),
            ("--queue", "mail", "queue_name"),
            ("--task", "gone.tasks.gone", "task_path"),
            ("--backend", "gone", "backend"),
        ],
    )
    def test_is_filtered(self, make_run: MakeRun, option: str, value: str, column: str) -> None:
        make_run()
        run = make_run()
        ended = {"finished_at": run.enqueued_at} if option == "--state" else {}
        change(run, **{column: value}, **ended)
        assert [told["id"] for told in taskworks_json("list", option, value)] == [str(run.id)]

    def test_is_one_statement_without_large_columns(self, make_run: MakeRun) -> None:
        for _ in range(3):
            make_run()
        with CaptureQueriesContext(connection) as captured:
            taskworks("list")
        [statement] = [query["sql"] for query in captured if "task_path" in query["sql"]]
        assert "errors" not in statement
        assert len(captured) <= 3

    def test_refuses_an_unknown_state(self) -> None:
        with pytest.raises(CommandError) as error:
            taskworks("list", "--state", "faild", "--since", "nonsense")
        assert error.value.returncode == 2
        said = str(error.value)
        assert (
            "--state has 'faild', which is not the state of a run. Did you mean 'failed'?" in said
        )
        assert "--since must be how long ago, such as 90s, 15m, 2h" in said

    @pytest.mark.parametrize("limit", ["0", "-1", "many"])
    def test_refuses_a_limit_that_is_none(self, capsys: Capture, limit: str) -> None:
        assert f"must be a positive integer, not {limit!r}" in refusal(
            capsys, "list", f"--limit={limit}"
        )

    def test_refuses_a_keyword_alike(self) -> None:
        with pytest.raises(CommandError, match="is not the state of a run") as error:
            taskworks("list", state="faild")
        assert error.value.returncode == 2


class TestShow:
    def test_tells_all_of_a_run(self, failed_run: TaskRun) -> None:
        told = taskworks_json("show", failed_run.id)
        assert tuple(told) == (*DETAILS, "log_lines", "why_waiting", "steps")
        assert told["errors"] == failed_run.errors
        assert told["args"] == []

    def test_has_no_proof_of_a_claim(self, failed_run: TaskRun) -> None:
        assert "claim_token" not in taskworks_json("show", failed_run.id)

    def test_prints_tracebacks_and_obeys_no_control_characters(self, failed_run: TaskRun) -> None:
        text = taskworks("show", failed_run.id)
        assert f"error of attempt 1, {failed_run.errors[0]['at']}, <b>w</b>\nTraceback:\n" in text
        assert "\x1b" not in text
        assert "ValueError: \\x1b[31mred" in text

    def test_prints_what_a_run_was_given_and_gave(self, make_run: MakeRun) -> None:
        message = {"at": "2020-01-01T10:00:00+00:00", "level": "info", "text": "half\x07"}
        run = make_run(
            "successful",
            args=["ä"],
            kwargs={"to": "Ada"},
            return_value=None,
            messages=[message],
            metadata={"trace": 1},
        )
        lines = taskworks("show", run.id).splitlines()
        told = {name: rest for name, _, rest in (line.partition(" ") for line in lines)}
        assert told["args"].strip() == '["ä"]'
        assert told["kwargs"].strip() == '{"to": "Ada"}'
        assert told["return_value"].strip() == "null"
        assert told["metadata"].strip() == '{"trace": 1}'
        assert "  2020-01-01T10:00:00+00:00 info: half\\x07" in lines
        assert "options" not in told

    def test_of_a_run_that_has_not_ended_has_no_return_value(self, make_run: MakeRun) -> None:
        assert "return_value" not in taskworks("show", make_run().id)

    def test_refuses_an_unknown_id(self) -> None:
        run_id = new_run_id()
        assert failing(2, "show", run_id) == ("", f"There is no run with the id {run_id}.")

    @pytest.mark.parametrize("subcommand", ["show", "retry", "cancel"])
    @pytest.mark.parametrize("run_id", ["01a1f8df", "nothing", ""])
    def test_refuses_what_is_no_id(self, capsys: Capture, subcommand: str, run_id: str) -> None:
        assert f"d376, not {run_id!r}" in refusal(capsys, subcommand, run_id)


@pytest.mark.django_db(transaction=True)
class TestRun:
    def test_enqueues(self) -> None:
        text = taskworks("run", "tests.tasks.add", "--args", "[1, 2]")
        run = TaskRun.objects.get()
        assert text == f"{run.id} enqueued.\n"
        assert (run.task_path, run.args, run.kwargs) == ("tests.tasks.add", [1, 2], {})

    def test_one_that_is_unique_is_said_to_be_there(self) -> None:
        path = unique.sync.module_path
        taskworks("run", path, "--args", "[1]")
        run = TaskRun.objects.get()
        assert taskworks("run", path, "--args", "[1]") == f"{run.id} was enqueued before.\n"

    def test_one_that_is_refused_is_a_sentence(self) -> None:
        path = unique.refused.module_path
        taskworks("run", path, "--args", "[1]")
        run = TaskRun.objects.get()
        _, error = failing(2, "run", path, "--args", "[1]")
        assert f"A run with the same unique key was enqueued before: {run.id}." in error

    def test_takes_keywords_and_options(self) -> None:
        told = taskworks_json(
            *("run", "tests.tasks.add", "--kwargs", '{"a": 1, "b": 2}'),
            *("--queue-name", "mail", "--priority", "-5", "--run-after", "60"),
        )
        run = TaskRun.objects.get()
        assert told["id"] == str(run.id)
        assert (told["status"], told["return_value"], told["errors"]) == ("READY", None, [])
        assert (run.kwargs, run.queue_name, run.priority) == ({"a": 1, "b": 2}, "mail", -5)
        assert run.state == "scheduled"
        assert run.run_after - run.enqueued_at == timedelta(seconds=60)

    @pytest.mark.parametrize(
        ("given", "utc"),
        [
            ("2100-07-01T12:30", "2100-07-01T10:30:00+00:00"),
            ("2100-07-01T12:30:00Z", "2100-07-01T12:30:00+00:00"),
        ],
    )
    def test_takes_a_date_and_time(self, given: str, utc: str) -> None:
        taskworks("run", "tests.tasks.noop", "--run-after", given)
        assert TaskRun.objects.get().run_after.isoformat() == utc

    def test_waits_for_the_end(self, working: None) -> None:
        text = taskworks("run", "tests.tasks.add", "--args", "[1, 2]", "--wait")
        run = TaskRun.objects.get()
        assert text.splitlines() == [f"{run.id} enqueued.", f"{run.id} successful: 3"]

    def test_waits_and_tells_it_to_programs(self, working: None) -> None:
        told = taskworks_json("run", "tests.tasks.add", "--args", "[1, 2]", "--wait")
        assert (told["status"], told["return_value"], told["attempts"]) == ("SUCCESSFUL", 3, 1)

    def test_that_fails_exits_with_1(self, working: None) -> None:
        output, error = failing(1, "run", "tests.tasks.fail", "--wait", "--json")
        assert error == f"Run {TaskRun.objects.get().id} failed: ValueError: no luck"
        told = json.loads(output)
        assert told["status"] == "FAILED"
        assert told["errors"][0]["exception_class_path"] == "builtins.ValueError"

    def test_that_fails_with_several_errors_says_so(self, working: None) -> None:
        _, error = failing(1, "run", raising.fail_with_group.module_path, "--args=[7]", "--wait")
        summary = "ExceptionGroup: both (2 sub-exceptions)"
        assert error == f"Run {TaskRun.objects.get().id} failed: {summary}"

    def test_that_does_not_end_in_time_exits_with_3(self) -> None:
        output, error = failing(3, "run", "tests.tasks.noop", "--wait", "--timeout", "0")
        run = TaskRun.objects.get()
        assert output == f"{run.id} enqueued.\n"
        assert error == f"Run {run.id} has not finished after 0 s. It continues."

    def test_may_be_executed_at_once(self) -> None:
        with patch("tests.tasks.add", _immediate()):
            text = taskworks("run", "tests.tasks.add", "--args", "[1, 2]", "--wait")
        assert text.endswith("successful: 3\n")

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (["tests.tasks.ad"], "'tests.tasks.ad' cannot be imported: ImportError"),
            (["noop"], "'noop' cannot be imported"),
            (["tests.broken_path.x"], "'tests.broken_path.x' cannot be imported"),
            (["tests.tasks.Path"], "'tests.tasks.Path' is not a task: it is of type type."),
            (["tests.typed.declared.Sum"], "Its task is 'tests.typed.declared.Sum.task'."),
            (["tests.tasks.add", "--args", "[1,"], "], not '[1,': Expecting value"),
            (["tests.tasks.add", "--args", '{"a": 1}'], "must be a JSON array such as"),
            (["tests.tasks.add", "--args", "[" * 100_000], "must be a JSON array such as"),
            (["tests.tasks.add", "--kwargs", "[1]"], "must be a JSON object such as"),
            (["tests.tasks.add", "--priority", "high"], "must be an integer, not 'high'"),
            (["tests.tasks.add", "--run-after", "soon"], "seconds from now, not 'soon'"),
            (["tests.tasks.add", "--run-after", "nan"], "seconds from now, not 'nan'"),
            (["tests.tasks.add", "--run-after", "2026-02-30T10:00"], "must be a date and time"),
            (["tests.tasks.add", "--timeout", "-1"], "seconds, 0 or more, not '-1'"),
        ],
    )
    def test_refuses_in_a_sentence(
        self, capsys: Capture, arguments: list[str], sentence: str
    ) -> None:
        assert sentence in refusal(capsys, "run", *arguments)
        assert not TaskRun.objects.exists()

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (["--priority", "1000"], "priority must be a whole number between -100 and 100"),
            (["--queue-name", "nowhere"], "Queue 'nowhere' is not valid"),
            (["--args", "[NaN]"], "args[0]"),
            (["--args", f"[{2**70}]"], "more than 64 bits at args[0]"),
            (["--run-after", "1e12"], "run_after is out of range"),
            (["--timeout", "1"], "--timeout requires --wait."),
        ],
    )
    def test_refuses_what_the_backend_refuses(self, arguments: list[str], sentence: str) -> None:
        assert sentence in failing(2, "run", "tests.tasks.noop", *arguments)[1]
        assert not TaskRun.objects.exists()


class TestRetry:
    def test_makes_failed_and_cancelled_runs_ready(self, make_run: MakeRun) -> None:
        failed, cancelled = make_run("failed"), make_run("cancelled")
        text = taskworks("retry", failed.id, cancelled.id)
        assert text.splitlines() == [f"{failed.id} retried.", f"{cancelled.id} retried."]
        assert TaskRun.objects.ready().count() == 2

    def test_exits_with_1_if_one_was_neither(self, make_run: MakeRun) -> None:
        failed, ready = make_run("failed"), make_run()
        output, error = failing(1, "retry", failed.id, ready.id, "--json")
        assert json.loads(output) == [
            {"id": str(failed.id), "verdict": "retried", "reason": None},
            {
                "id": str(ready.id),
                "verdict": "not applicable",
                "reason": "Only a failed or cancelled run can be retried.",
            },
        ]
        assert error == "Not applicable to 1 of 2 runs."

    def test_of_an_unknown_run_touches_none(self, make_run: MakeRun) -> None:
        failed, unknown = make_run("failed"), new_run_id()
        _, error = failing(2, "retry", failed.id, unknown)
        assert error == f"There is no run with the id {unknown}."
        assert TaskRun.objects.get().state == "failed"

    def test_takes_a_run_once(self, make_run: MakeRun) -> None:
        failed = make_run("failed")
        assert taskworks("retry", failed.id, failed.id) == f"{failed.id} retried.\n"


class TestCancel:
    def test_cancels_what_waits_and_asks_for_what_runs(self, make_run: MakeRun) -> None:
        ready, running = make_run(), make_run("running")
        with received(task_cancelled) as sent:
            text = taskworks("cancel", ready.id, running.id)
        assert text.splitlines() == [f"{ready.id} cancelled.", f"{running.id} asked to stop."]
        assert [signal["task_result"].id for signal in sent] == [str(ready.id)]
        running.refresh_from_db()
        assert running.cancel_requested_at is not None

    def test_of_a_finished_run_exits_with_1(self, make_run: MakeRun) -> None:
        run = make_run("successful")
        output, _ = failing(1, "cancel", run.id)
        assert output == f"{run.id} not applicable. It had finished before.\n"

    @pytest.mark.parametrize("subcommand", ["cancel", "retry"])
    def test_says_that_a_backend_is_gone(self, make_run: MakeRun, subcommand: str) -> None:
        run = make_run("failed", backend="gone")
        output, _ = failing(1, subcommand, run.id)
        assert "Its backend is gone: TASKS has no backend 'gone'" in output


@pytest.mark.parametrize("subcommand", ["status", "list"])
def test_a_database_that_does_not_answer_is_a_sentence(subcommand: str) -> None:
    error = OperationalError("no route to host")
    with patch.object(type(store()), "ready_queues", side_effect=error):
        _, sentence = failing(1, subcommand)
    assert sentence == "The database 'default' cannot be reached: no route to host"


@pytest.fixture
def working() -> Iterator[None]:
    """While this lasts, a worker takes what becomes ready."""
    stop = Event()

    def work() -> None:
        try:
            while not stop.wait(timeout=0.02):
                if TaskRun.objects.ready().exists():
                    run_worker(verbosity=0)
        finally:
            connections.close_all()

    thread = Thread(target=work)
    thread.start()
    yield
    stop.set()
    thread.join(timeout=30)


def _immediate() -> Any:
    from tests import tasks

    return tasks.add.using(backend="immediate")


class TestWrongArguments:
    @pytest.mark.parametrize(
        ("arguments", "error", "usage"),
        [
            ("", "the following arguments are required: SUBCOMMAND", "SUBCOMMAND ..."),
            ("works", "argument SUBCOMMAND: invalid choice: 'works'", "SUBCOMMAND ..."),
            ("worker --threads x", "argument --threads: must be a non-negative integer", ""),
            ("prune --failed-min-age-days x", "argument --failed-min-age-days: must be a", ""),
            ("status --jsn", "unrecognized arguments: --jsn. Did you mean '--json'?", ""),
            ("list all", "unrecognized arguments: all.", ""),
            (
                "run tests.tasks.add 1 2",
                'unrecognized arguments: 1 2. A task\'s arguments go into --args \'["1", "2"]\'.',
                "PATH",
            ),
            ("show", "the following arguments are required: ID", "ID"),
            ("run nowhere.task", "argument PATH: 'nowhere.task' cannot be imported", "PATH"),
            ("retry 5", "argument ID: must be the full id of a run", "[ID ...]"),
            ("schedules --preview x", "argument --preview: must be a positive", "[LABEL ...]"),
        ],
    )
    def test_are_named_before_a_short_usage(
        self, capsys: Capture, arguments: str, error: str, usage: str
    ) -> None:
        known = arguments.split()[:1] if arguments != "works" else []
        command = " ".join(["manage.py taskworks", *known])
        first, second, third = refusal(capsys, *arguments.split()).splitlines()
        assert first.startswith(f"{command}: error: {error}")
        assert second == f"usage: {command} [options] {usage}".rstrip()
        assert third == f"'{command} --help' lists the options."

    def test_are_a_command_error_in_code(self) -> None:
        with pytest.raises(CommandError, match="unrecognized arguments: --jsn"):
            call_command("taskworks", "status", "--jsn")


def test_its_parser_is_made_once() -> None:
    call_command("taskworks", "list", "--json", stdout=StringIO())
    with patch.object(Command, "add_arguments") as made:
        assert taskworks_json("list", "--limit", 3) == []
        assert taskworks("list", limit=3) == "No runs match.\n"
    made.assert_not_called()
