"""The commands that act on runs, by their ids or by a filter."""

import json
import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from taskworks.actions import bulk
from taskworks.models import TaskRun
from taskworks.store import store
from tests import tasks
from tests.behavior import run_worker
from tests.faces.conftest import MakeRun

pytestmark = pytest.mark.django_db(transaction=True)

KEY_ERROR = {
    "attempt": 1,
    "at": "2026-01-01T00:00:00+00:00",
    "worker_id": "w",
    "exception_class_path": "builtins.KeyError",
    "traceback": "Traceback (most recent call last):\nKeyError: 'sku'\n",
}
Said = tuple[str, str]  # standard output and standard error


def taskworks(*arguments: Any) -> Said:
    output, errors = StringIO(), StringIO()
    call_command("taskworks", *map(str, arguments), stdout=output, stderr=errors)
    return output.getvalue(), errors.getvalue()


def refused(*arguments: Any) -> str:
    with pytest.raises(CommandError) as error:
        taskworks(*arguments)
    assert error.value.returncode == 2
    return str(error.value)


def states() -> list[str]:
    return sorted(TaskRun.objects.values_list("state", flat=True))


class TestTheNight:
    """Three kinds of failures, of which one is to be retried."""

    @pytest.fixture(autouse=True)
    def _failures(self, make_run: MakeRun) -> None:
        now = store().read_clock()
        for number in range(6):
            keyed = number < 4
            make_run(
                "failed",
                task=tasks.noop if keyed else tasks.fail,
                errors=[KEY_ERROR] if keyed else [],
                finished_at=now - timedelta(hours=number),
            )
        make_run("cancelled")
        make_run("successful")

    def test_a_dry_run_says_what_would_be_done(self) -> None:
        said, _ = taskworks("retry", "--state", "failed", "--since", "150m", "--dry-run")
        first, *others = said.splitlines()
        assert first.startswith("3 runs would be retried: failed runs since 20")
        assert next(line.split() for line in others if "tests.tasks" in line) == [
            "3",
            "tests.tasks.noop",
        ]
        assert any(line.split() == ["3", "builtins.KeyError"] for line in others)
        assert sum("failed" in line for line in others) == 3
        assert others[-1] == "Nothing was changed: this was a dry run."
        assert states() == ["cancelled", *["failed"] * 6, "successful"]

    def test_a_dry_run_for_programs(self) -> None:
        told = json.loads(taskworks("retry", "--error", "KeyError", "--dry-run", "--json")[0])
        assert (told["count"], told["is_capped"]) == (4, False)
        assert told["by_task"] == {"tests.tasks.noop": 4}
        assert told["by_error"] == {"builtins.KeyError": 4}
        assert {run["state"] for run in told["sample"]} == {"failed"}

    def test_the_right_ones_are_retried(self, caplog: pytest.LogCaptureFixture) -> None:
        words = ("--state", "failed", "--task", "tests.tasks.noop", "--error", "KeyError")
        with caplog.at_level(logging.INFO, "taskworks.audit"):
            assert taskworks("retry", *words, "--since", "150m") == ("Retried 3 runs.\n", "")
        assert states() == ["cancelled", *["failed"] * 3, *["ready"] * 3, "successful"]
        [said] = [one for one in caplog.records if one.name == "taskworks.audit"]
        assert (said.action, said.count) == ("retry", 3)  # type: ignore[attr-defined]
        assert taskworks("retry", *words, "--since", "150m")[0] == "No runs match.\n"
        run_worker()
        assert states() == ["cancelled", *["failed"] * 3, *["successful"] * 4]

    def test_the_same_is_listed(self) -> None:
        told = json.loads(taskworks("list", "--error", "KeyError", "--since", "150m", "--json")[0])
        assert [run["state"] for run in told] == ["failed"] * 3
        assert taskworks("list", "--state", "failed", "--queue", "none")[0] == "No runs match.\n"

    def test_what_was_not_possible_is_told_with_an_exit_code(self) -> None:
        TaskRun.objects.filter(state="failed", task_path="tests.tasks.fail").update(backend="gone")
        output = StringIO()
        with pytest.raises(CommandError, match="Not applicable to 2 runs") as error:
            call_command("taskworks", "retry", "--state", "failed", stdout=output)
        assert error.value.returncode == 1
        assert output.getvalue().startswith(
            "Retried 4 runs. Not applicable to 2: Its backend is gone:"
        )

    def test_a_bar_shows_how_far_it_is_on_a_terminal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Terminal(StringIO):
            def isatty(self) -> bool:
                return True

        monkeypatch.setattr(bulk, "CHUNK", 2)
        terminal = Terminal()
        call_command("taskworks", "retry", "--state", "failed", stdout=StringIO(), stderr=terminal)
        shown = terminal.getvalue().split("\r")
        assert shown[1].startswith("[##########....................] 2 of 6 runs")
        assert shown[-1] == f"[{'#' * 30}] 6 of 6 runs \n"

    def test_ctrl_c_stops_it_between_two_chunks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bulk, "CHUNK", 2)

        def interrupted(target: Any, all_of: Callable[..., Any] = bulk.act_on_all) -> Iterator[Any]:
            for number, done in enumerate(all_of(target)):
                yield done
                if number == 1:
                    raise KeyboardInterrupt

        monkeypatch.setattr(bulk, "act_on_all", interrupted)
        with pytest.raises(CommandError, match=r"Stopped\. Retried 4 runs\.") as error:
            taskworks("retry", "--state", "failed")
        assert error.value.returncode == 130
        assert states().count("ready") == 4


class TestOtherCommands:
    def test_cancel(self, make_run: MakeRun) -> None:
        runs = [make_run("ready"), make_run("running", claimed_by=uuid4(), claim_token=uuid4())]
        said = taskworks("cancel", "--queue", "default")[0]
        assert said == "Cancelled 2 runs, 1 of which a worker has and will stop.\n"
        assert states() == ["cancelled", "running"]
        assert TaskRun.objects.get(id=runs[1].id).cancel_requested_at

    def test_run_now_and_move(self, make_run: MakeRun) -> None:
        later = store().read_clock() + timedelta(days=1)
        run = make_run("scheduled", available_at=later)
        words = ("--state", "scheduled", "--to-queue", "mail", "--to-priority", "5")
        assert taskworks("move-runs", *words)[0] == "Moved 1 run.\n"
        assert taskworks("run-now", run.id)[0] == f"{run.id} made ready.\n"
        row = TaskRun.objects.get(id=run.id)
        assert (row.state, row.queue_name, row.priority) == ("ready", "mail", 5)
        assert taskworks("move-runs", run.id, "--to-priority", -7)[0] == f"{run.id} moved.\n"
        told = json.loads(taskworks("run-now", "--state", "scheduled", "--json")[0])
        assert told == {"done": 0, "asked_to_stop": 0, "not_applicable": 0, "reason": None}

    def test_delete_asks(self, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
        run = make_run("failed")
        make_run("ready")
        questions: list[str] = []

        def answer(question: str) -> str:
            questions.append(question)
            return "no" if len(questions) == 1 else "yes"

        monkeypatch.setattr("builtins.input", answer)
        with pytest.raises(CommandError, match="Nothing was deleted") as error:
            taskworks("delete", "--queue", "default")
        assert error.value.returncode == 1
        assert questions[0].startswith("1 run would be deleted: successful or failed or cancelled")
        assert "--json requires --no-input" in refused("delete", "--queue", "default", "--json")
        assert taskworks("delete", "--queue", "default")[0] == "Deleted 1 run.\n"
        assert states() == ["ready"]
        assert taskworks("delete", "--queue", "default", "--no-input")[0] == "No runs match.\n"
        assert "There is no run with the id" in refused("delete", run.id)


class TestWithOtherArguments:
    def test_a_run_is_repeated(self, make_run: MakeRun) -> None:
        run = make_run("failed", task=tasks.noop, kwargs={"amount": 30, "order": {"country": "ch"}})
        said, _ = taskworks("retry", run.id, "--set", "amount=3", "--set", "order.country=CH")
        first, *differing = said.splitlines()
        new = TaskRun.objects.exclude(id=run.id).get()
        assert first == f"{new.id} repeats {run.id} with other arguments."
        assert differing == [
            "amount: 30 -> 3",
            "order: {'country': 'ch'} -> {'country': 'CH'}",
        ]
        assert new.kwargs == {"amount": 3, "order": {"country": "CH"}}
        told = json.loads(taskworks("retry", run.id, "--set", "amount=4", "--json")[0])
        assert told["repeats"] == str(run.id)
        assert told["changes"][0] == {"path": "amount", "before": 30, "after": 4}


BAD: dict[str, tuple[list[str], str]] = {
    "neither ids nor a filter": (["retry"], "Say which runs: give their ids, or a filter"),
    "both": (["cancel", str(uuid4()), "--state", "ready"], "ids of runs or a filter, not both"),
    "an unknown id": (["run-now", str(uuid4())], "There is no run with the id"),
    "nonsense": (["retry", "--since", "nonsense"], "--since must be how long ago"),
    "an empty option": (["retry", "--queue", ""], "--queue is empty"),
    "an unknown state": (["delete", "--state", "faild"], "Did you mean 'failed'?"),
    "states that do not fit": (
        ["cancel", "--state", "successful"],
        "Only blocked or scheduled or ready or claimed or running runs can be cancelled, "
        "not successful ones.",
    ),
    "a dry run of ids": (["retry", str(uuid4()), "--dry-run"], "--dry-run goes with a filter"),
    "changes of many": (["retry", "--state", "failed", "--set", "a=1"], "--set goes with the id"),
    "a move to nowhere": (["move-runs", "--state", "ready"], "Say where to move the runs"),
    "a priority that is none": (
        ["move-runs", "--state", "ready", "--to-priority", "101"],
        "priority must be from -100 to 100, not 101",
    ),
    "a queue that is none": (
        ["move-runs", "--state", "ready", "--to-queue", "a\nb"],
        "The name of a queue must be",
    ),
    "a cursor": (["list", "--after", "x"], "'x' is not a cursor of this list"),
    "times in the wrong order": (
        ["list", "--since", "1h", "--until", "2h"],
        "Nothing is both 1h or later and before 2h.",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_named_and_nothing_is_done(case: str, make_run: MakeRun) -> None:
    for state in ("failed", "ready"):
        make_run(state)
    arguments, error = BAD[case]
    assert error in refused(*arguments)
    assert states() == ["failed", "ready"]
