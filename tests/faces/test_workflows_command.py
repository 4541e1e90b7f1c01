"""``manage.py taskworks workflows`` and ``send``, and ``retry --fresh``."""

import json
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError
from django.db import connection
from django.test.utils import CaptureQueriesContext

from taskworks import TaskContext, Workflow, WorkflowResult, task
from taskworks.actions import workflows_shown
from taskworks.models import Event, RunState, Step, StepRecord, TaskRun
from taskworks.models import Workflow as Row
from taskworks.testing.running import run_tasks
from tests.faces.test_command_line import failing, taskworks, taskworks_json
from tests.workflows import tasks
from tests.workflows.tasks import step

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_fails() -> Any:
    yield
    tasks.executed.clear()
    tasks.failing.clear()


def nightly(**options: Any) -> WorkflowResult:
    month = Workflow("month")
    month.add("sum", step, "sum")
    flow = Workflow("nightly", **options)
    extract = flow.add("extract", step, "extract")
    parts = flow.each("transform", step, [["t1"], ["t2"]], after=extract)
    flow.add("load", step, "load", after=parts)
    flow.add("month", month, after="load")
    flow.add("tidy", step, "tidy", after="load", any_end=True)
    return flow.enqueue()


def work() -> None:
    run_tasks(raise_failures=False)


def steps_of(result: WorkflowResult) -> dict[str, Any]:
    return {one["name"]: one for one in taskworks_json("workflows", result.id)["steps"]}


def test_a_list_has_the_newest_first_and_counts_what_has_not_ended() -> None:
    assert taskworks("workflows") == "No workflows match.\n"
    ended, other = nightly(), Workflow("other").enqueue()
    work()
    running = nightly()
    lines = taskworks("workflows").splitlines()
    assert lines[0].split() == ["ID", "NAME", "STATUS", "PROGRESS", "CREATED", "FINISHED"]
    assert [line.split()[0] for line in lines[1:]] == [running.id, other.id, ended.id]
    assert lines[1].split()[1:6] == ["nightly", "running", "0", "of", "6"]
    assert lines[3].split()[1:4] == ["nightly", "successful", "-"]
    first, _, last = taskworks_json("workflows")
    assert (first["counts"], first["ended"]) == ({"ready": 1, "blocked": 5}, 0)
    assert (last["status"], last["total"]) == ("successful", None)
    assert [one["id"] for one in taskworks_json("workflows", "--limit", 1)] == [running.id]
    assert [one["id"] for one in taskworks_json("workflows", "--name", "other")] == [other.id]
    assert len(taskworks_json("workflows", "--status", "successful")) == 2
    assert len(taskworks_json("workflows", "--status", "running")) == 1
    assert taskworks_json("workflows", "--status", "stopping") == []


def test_one_is_shown_with_its_steps_indented_and_what_each_waits_for() -> None:
    result = nightly()
    text = taskworks("workflows", result.id)
    assert "progress     0 of 6 runs: 5 blocked, 1 ready\n" in text
    rows = text.splitlines()[text.splitlines().index("") + 2 :]
    assert [row[: row.index("  ", 4)] for row in rows] == [
        *("extract", "transform", "load", "month", "  sum", "tidy"),
    ]
    assert rows[0].endswith("ready    -         It waits for a worker.")
    assert rows[1].endswith("blocked  0 of 2    It waits for 'extract'.")
    assert rows[2].endswith("It waits for 'transform'.")
    assert rows[4].endswith("It waits for 'load'.")
    assert rows[5].endswith("It waits for the end of 'load'.")


def test_one_is_shown_for_programs() -> None:
    tasks.failing.add("load")
    result = nightly(metadata={"day": 7})
    work()
    shown = taskworks_json("workflows", result.id)
    assert (shown["status"], shown["metadata"], shown["on_failure"]) == (
        *("failed", {"day": 7}, "wait"),
    )
    assert (shown["ended"], shown["total"], shown["has_more_steps"]) == (5, 6, False)
    steps = steps_of(result)
    assert (steps["transform"]["kind"], steps["transform"]["counts"]) == (
        *("group", {"successful": 2}),
    )
    assert steps["sum"]["waits_for"] == (
        "It waits for 'load', which has failed and can be retried."
    )
    assert steps["sum"]["depth"] == 1
    assert steps["tidy"]["after"] == [{"step": "load", "rule": "any_end"}]
    assert steps["extract"]["task_path"] == "tests.workflows.tasks.step"
    nested = taskworks_json("workflows", steps["month"]["id"])
    assert (nested["parent"], [one["name"] for one in nested["steps"]]) == (result.id, ["sum"])


def test_a_step_that_was_deleted_is_named() -> None:
    result = nightly()
    TaskRun.objects.filter(id=result.step("extract").task_result.id).delete()  # type: ignore[union-attr]
    steps = steps_of(result)
    assert (steps["extract"]["kind"], steps["extract"]["state"]) == ("gone", None)
    assert steps["transform"]["waits_for"] == "It waits for 'extract', which was deleted."
    assert "extract  " in taskworks("workflows", result.id)


def test_many_steps_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflows_shown, "MAX_STEPS_SHOWN", 3)
    result = nightly()
    shown = taskworks_json("workflows", result.id)
    assert [one["name"] for one in shown["steps"]] == ["extract", "transform", "load"]
    assert shown["has_more_steps"]
    last = taskworks("workflows", result.id).splitlines()[-1]
    assert last == "It has more than 3 steps. These are the first 3."


def test_the_number_of_queries_does_not_grow_with_the_steps() -> None:
    def queries(number: int) -> int:
        flow = Workflow("many")
        first = flow.add("first", step, "first")
        for index in range(number):
            flow.each(f"group {index}", step, [["a"], ["b"]], after=first)
            flow.add(f"step {index}", step, "c", after=first)
        result = flow.enqueue()
        with CaptureQueriesContext(connection) as captured:
            taskworks("workflows", result.id)
        return len(captured)

    assert queries(2) == queries(40) <= 9


def test_a_step_says_for_which_limit_event_or_pause_it_waits() -> None:
    flow = Workflow("waits")
    flow.add("limited", step, "a")
    flow.add("approved", step, "b")
    flow.add("paused", step, "c")
    flow.add("due", step, "d")
    result = flow.enqueue()
    runs = {one.name: TaskRun.objects.filter(id=one.task_result.id) for one in result.steps()}  # type: ignore[union-attr]
    runs["limited"].update(limit_name="imports", lane="acme")
    runs["approved"].update(state=RunState.SCHEDULED)
    runs["approved"].get()
    runs["paused"].update(state=RunState.BLOCKED, claimed_at="2026-01-01T00:00:00Z")
    runs["due"].update(state=RunState.SCHEDULED)
    Event.objects.create(run=runs["approved"].get().id, name="decision")
    words = {name: one["waits_for"] for name, one in steps_of(result).items()}
    assert words.pop("due").startswith("It is due at 20")
    assert words == {
        "limited": "It waits for a worker, or for a place of the limit 'imports'.",
        "approved": "It waits for the event 'decision'.",
        "paused": "It waits for the end of its task's pause.",
    }


def test_cancel_and_its_exit_codes() -> None:
    result = nightly()
    assert taskworks("workflows", result.id, "--cancel") == f"{result.id} asked to stop.\n"
    work()  # the step that is to run whatever becomes of the others
    assert steps_of(result)["load"]["state"] == "cancelled"
    _, why = failing(1, "workflows", result.id, "--cancel")
    assert why == f"Not applicable to the workflow {result.id}."
    output, _ = failing(1, "workflows", result.id, "--cancel", "--json")
    assert json.loads(output) == {
        "id": result.id,
        "verdict": "not applicable",
        "reason": "It had finished before.",
    }


def test_retry_what_failed_from_a_step_and_all() -> None:
    tasks.failing.add("load")
    result = nightly()
    work()
    tasks.failing.clear()
    assert taskworks("workflows", result.id, "--retry") == f"{result.id} retried, 1 run.\n"
    work()
    assert taskworks_json("workflows", result.id)["status"] == "successful"
    output, _ = failing(1, "workflows", result.id, "--retry")
    assert output == (
        f"{result.id} not applicable. None of its runs has failed or was cancelled.\n"
    )
    output, _ = failing(1, "workflows", result.id, "--retry", "--from", "load")
    assert "None of the runs from the step 'load' on has failed" in output
    retried = taskworks_json("workflows", result.id, "--retry", "--from", "load", "--again")
    assert (retried["verdict"], retried["runs"]) == ("retried", 3)
    work()
    tasks.executed.clear()
    assert taskworks_json("workflows", result.id, "--retry", "--again")["runs"] == 6
    assert steps_of(result)["tidy"]["state"] == "blocked"
    work()
    assert sorted(tasks.executed) == ["extract", "load", "sum", "t1", "t2", "tidy"]
    assert taskworks_json("workflows", result.id)["status"] == "successful"


def test_a_workflow_that_is_being_cancelled_is_not_retried() -> None:
    result = nightly()
    TaskRun.objects.filter(state="ready").update(state=RunState.RUNNING, claim_token=uuid4())
    result.cancel()
    output, _ = failing(1, "workflows", result.id, "--retry")
    assert "is being cancelled: what has failed in it can be retried when that has ended." in output


def test_what_a_backend_that_is_gone_has_is_not_changed() -> None:
    result = nightly()
    Row.objects.update(backend="gone")
    output, _ = failing(1, "workflows", result.id, "--cancel")
    assert "Its backend is gone: " in output


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["x"], "must be the full id of a workflow"),
        ([uuid4()], "There is no workflow with the id"),
        (["--cancel"], "--cancel requires the ID of a workflow."),
        (["--retry"], "--retry requires the ID of a workflow."),
        ([uuid4(), "--from", "a"], "--from requires --retry."),
        ([uuid4(), "--again", "--cancel"], "--again requires --retry."),
        ([uuid4(), "--name", "a"], "--name is for a list, without an ID."),
        (["--limit", "0"], "must be a positive integer"),
    ],
)
def test_bad_input(arguments: list[Any], why: str) -> None:
    with pytest.raises(CommandError, match=why.replace(".", r"\.")):
        taskworks("workflows", *arguments)


@pytest.mark.any_database
def test_a_status_and_a_step_that_are_unknown_are_named() -> None:
    with pytest.raises(CommandError, match="Did you mean 'running'"):
        taskworks("workflows", "--status", "runing")
    result = nightly()
    _, why = failing(2, "workflows", result.id, "--retry", "--from", "lod")
    assert why == "The workflow has no step 'lod'. Did you mean 'load'?"


@task(takes_context=True)
def approve(context: TaskContext) -> Any:
    context.step("draft", tasks.executed.append, "draft")
    answer = context.wait("decision")
    return answer and answer.value


def test_send() -> None:
    result = approve.enqueue()
    work()
    sent = taskworks("send", result.id, "decision", '{"approved": true}')
    assert sent == f"{result.id} sent.\n"
    output, why = failing(1, "send", result.id, "decision", "--json")
    assert json.loads(output)["verdict"] == "not applicable"
    assert why == f"Not sent to {result.id}."
    work()
    result.refresh()
    assert result.return_value == {"approved": True}
    other = approve.enqueue()
    assert taskworks_json("send", other.id, "decision")["verdict"] == "sent"


@pytest.mark.any_database
def test_bad_input_of_send() -> None:
    result = approve.enqueue()
    with pytest.raises(CommandError, match="must be JSON, such as"):
        taskworks("send", result.id, "decision", "yes")
    with pytest.raises(CommandError, match="NaN is not JSON"):
        taskworks("send", result.id, "decision", "NaN")
    _, why = failing(2, "send", result.id, " decision")
    assert why.startswith("The name of a step or an event must be 1 to 128 printable characters")
    assert failing(2, "send", uuid4(), "decision")[1].startswith("There is no run with the id")


def test_retry_fresh_forgets_the_steps() -> None:
    result = approve.enqueue()
    work()
    assert StepRecord.objects.count() == 1
    TaskRun.objects.update(state=RunState.FAILED)
    assert taskworks("retry", result.id, "--fresh") == f"{result.id} retried.\n"
    assert StepRecord.objects.count() == 0


def test_a_row_that_names_itself_in_a_circle_is_shown() -> None:
    flow = Workflow("circle")
    flow.add("a", step, "a")
    flow.add("b", step, "b", after="a")
    result = flow.enqueue()
    a, b = Step.objects.order_by("position")
    Step.objects.filter(id=a.id).update(after=[[b.id.hex, "success"], "nonsense", 7])
    assert [*steps_of(result)] == ["a", "b"]
