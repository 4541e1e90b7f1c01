"""Why a run waits, in words: each cause, as the function, the command and the admin say it."""

from datetime import timedelta
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.html import escape

from taskworks import TaskResult, task_backends
from taskworks.control import awhy_waiting, pause, resume, why_waiting
from taskworks.exceptions import TaskResultDoesNotExist
from taskworks.models import Edge, Pause, TaskRun, Worker
from taskworks.testing import run_tasks
from tests import limited, tasks
from tests.behavior import database_now, rewrite
from tests.faces.test_command_line import taskworks, taskworks_json

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


def in_words(result: TaskResult) -> str:
    return f"{TaskRun.objects.get(id=result.id).available_at:%Y-%m-%d %H:%M:%S %Z}"


def after(*others: TaskResult, any_end: bool = False) -> TaskResult:
    first, *more = others
    enqueue_after = task_backends["default"].enqueue_after
    result = enqueue_after(tasks.noop, (), {}, after=first, any_end=any_end)
    Edge.objects.bulk_create(Edge(run=result.id, after=one.id) for one in more)
    return result


def test_it_is_due_later() -> None:
    result = tasks.noop.using(run_after=HOUR).enqueue()
    assert why_waiting(result) == f"It is due at {in_words(result)}."
    pause("default", by="anna")
    due = f"It is due at {in_words(result)}. Its queue 'default' is paused by anna."
    assert why_waiting(result) == due


def test_it_waits_for_its_next_attempt() -> None:
    result = tasks.noop.using(run_after=HOUR).enqueue()
    rewrite(result, attempts=1, failures=1)
    assert why_waiting(result) == f"It waits for its next attempt, at {in_words(result)}."


def test_its_task_cannot_be_imported() -> None:
    result = tasks.noop.using(run_after=HOUR).enqueue()
    rewrite(result, missing_since=database_now())
    again = f"that is tried again at {in_words(result)}."
    assert why_waiting(result) == f"Its task could not be imported; {again}"


@pytest.mark.parametrize(
    ("state", "what"),
    [
        ("blocked", "is blocked itself"),
        ("scheduled", "is scheduled"),
        ("ready", "waits for a worker"),
        ("claimed", "is about to begin"),
        ("running", "is being executed"),
        ("successful", "has succeeded"),
        ("failed", "has failed: retry that one, or cancel this one"),
        ("cancelled", "was cancelled: retry that one, or cancel this one"),
    ],
)
def test_it_waits_for_another_run(state: str, what: str) -> None:
    first = tasks.noop.enqueue()
    result = after(first)
    rewrite(first, state=state)
    assert why_waiting(result) == f"It waits for the run {first.id} to succeed, which {what}."


def test_it_waits_for_several_runs_and_any_end() -> None:
    runs = [tasks.noop.enqueue() for _ in range(3)]
    result = after(*runs, any_end=True)
    reason = f"It waits for the run {runs[0].id} to end, which waits for a worker."
    assert why_waiting(result) == f"{reason} It waits for 2 more runs after that."


def test_it_waits_for_a_run_that_is_gone_and_for_none() -> None:
    result = after(tasks.noop.enqueue())
    gone = uuid4()
    Edge.objects.update(after=gone)
    reason = f"It waits for the run {gone} to succeed, which does not exist."
    assert why_waiting(result) == reason
    Edge.objects.all().delete()
    reason = "It waits for no other run any more, and becomes ready in a moment."
    assert why_waiting(result) == reason


def test_its_queue_is_paused() -> None:
    result = tasks.noop.enqueue()
    until = pause("default", until=HOUR, by="anna", reason="no space").until
    assert until
    paused = f"is paused until {until:%Y-%m-%d %H:%M:%S %Z} by anna: no space."
    assert why_waiting(result) == f"Its queue 'default' {paused}"


def test_its_task_its_limit_or_its_key_is_paused() -> None:
    result = limited.import_file.enqueue("acme")
    path = "tests.limited.import_file"
    for named, what in (
        ({"task": path}, f"task '{path}'"),
        ({"limit": "intake"}, "limit 'intake'"),
        ({"limit": "intake", "key": "acme"}, "key 'acme' of the limit 'intake'"),
    ):
        pause(**named, by="anna")
        assert why_waiting(result) == f"Its {what} is paused by anna."
        resume(**named)
    pause(limit="intake", key="globex")
    pause(limit="mailer")
    pause(task="tests.tasks.noop")
    assert why_waiting(result) == "No worker is running."


def test_it_is_parked() -> None:
    result = tasks.noop.enqueue()
    paused = pause(task=tasks.noop, by="anna", reason="It is broken")
    assert run_tasks() == []
    reason = "Its task 'tests.tasks.noop' is paused by anna: It is broken."
    assert why_waiting(result) == reason
    assert TaskRun.objects.get().state == "blocked"
    following = after(result)
    what = "which waits for the end of its task's pause"
    assert why_waiting(following) == f"It waits for the run {result.id} to succeed, {what}."
    pause("default", by="eve")  # later, when it is ready again
    assert why_waiting(result) == reason
    Pause.objects.filter(id=paused.id).delete()
    ended = "The pause of its task has ended, and it becomes ready in a moment."
    assert why_waiting(result) == ended
    Edge.objects.filter(run=result.id).delete()
    assert why_waiting(result) == ended


@pytest.mark.usefixtures("worker")
def test_each_cause_costs_a_few_statements() -> None:
    ready, imported = tasks.noop.enqueue(), limited.import_file.enqueue("acme")
    later, blocked = tasks.noop.using(run_after=HOUR).enqueue(), after(ready)
    parked = tasks.add.enqueue(1, 2)
    TaskRun.objects.filter(id=parked.id).update(state="blocked", claimed_at=database_now())
    for result, most in ((ready, 7), (imported, 12), (later, 5), (blocked, 6), (parked, 5)):
        with CaptureQueriesContext(connection) as queries:
            why_waiting(result)
        assert len(queries) <= most


def test_no_worker_is_running(worker: Worker) -> None:
    result = tasks.noop.enqueue()
    Worker.objects.update(heartbeat_at=database_now() - HOUR)
    assert why_waiting(result) == "No worker is running."
    Worker.objects.all().delete()
    assert why_waiting(result) == "No worker is running."


def test_no_worker_takes_its_queue_or_its_executor(worker: Worker) -> None:
    result = tasks.noop.enqueue()
    Worker.objects.filter(id=worker.id).update(slots={"process": 1})
    assert why_waiting(result) == "No worker of its queue 'default' has slots for 'thread'."
    Worker.objects.filter(id=worker.id).update(queues=["mail"])
    unattended = "No worker that is running takes the queue 'default' of 'default'."
    assert why_waiting(result) == unattended
    Worker.objects.filter(id=worker.id).update(queues=None, excluded_queues=["default"])
    assert why_waiting(result) == unattended
    Worker.objects.filter(id=worker.id).update(excluded_queues=[], asked_to="stop")
    assert why_waiting(result) == "No worker is running."


@pytest.mark.usefixtures("worker", "patience")
def test_it_has_expired() -> None:
    result = tasks.noop.using(expires=60).enqueue()
    rewrite(result, expires_at=database_now())
    assert why_waiting(result) == "It has expired, and fails when a worker comes to it."


@pytest.mark.usefixtures("worker", "patience")
def test_others_are_in_front(monkeypatch: pytest.MonkeyPatch) -> None:
    first = tasks.noop.enqueue()
    tasks.noop.using(priority=5).enqueue()
    tasks.noop.using(queue_name="mail", priority=50).enqueue()
    tasks.add_async.using(priority=50).enqueue(1, 2)
    tasks.noop.using(backend="other", priority=50).enqueue()
    last = tasks.noop.using(priority=-5).enqueue()
    assert why_waiting(first) == "It is ready, with 1 run in front of it in its queue."
    assert why_waiting(last) == "It is ready, with 2 runs in front of it in its queue."
    monkeypatch.setattr("taskworks.actions.waiting.MAX_COUNTED", 2)
    assert why_waiting(last) == "It is ready, with 2 runs or more in front of it in its queue."
    rewrite(first, rank=-6)
    assert why_waiting(first) == "It is ready, with no runs in front of it in its queue."


def test_nonsense_in_a_row_is_no_error() -> None:
    first, late = tasks.noop.enqueue(), tasks.noop.using(run_after=HOUR).enqueue()
    result = after(first)
    rewrite(first, state="asleep")
    assert why_waiting(result) == f"It waits for the run {first.id} to succeed, which is 'asleep'."
    assert why_waiting(first) is None
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("UPDATE taskworks_taskrun SET available_at = 'soon'")
        assert why_waiting(late) == "It is due at an unknown time."


@pytest.mark.parametrize("state", ["claimed", "running", "successful", "failed", "cancelled"])
def test_what_does_not_wait_has_no_reason(state: str) -> None:
    result = tasks.noop.enqueue()
    rewrite(result, state=state)
    assert why_waiting(result) is None


def test_a_run_that_is_not_stored() -> None:
    result = tasks.noop.enqueue()
    TaskRun.objects.all().delete()
    with pytest.raises(TaskResultDoesNotExist):
        why_waiting(result)
    with pytest.raises(NotImplementedError, match="does not store runs"):
        why_waiting(tasks.noop.using(backend="dummy").enqueue())


def test_each_face_says_it(client: Client) -> None:
    result = tasks.noop.enqueue()
    pause("default", by="anna", reason="no\nspace & <b>time</b>")
    reason = "Its queue 'default' is paused by anna: no\nspace & <b>time</b>."
    assert taskworks_json("show", result.id)["why_waiting"] == reason
    assert f"why_waiting          {reason}".replace("\n", "\\n") in taskworks("show", result.id)
    client.force_login(User.objects.create_superuser("root"))
    url = reverse("admin:taskworks_taskrun_change", args=[result.id])
    page = client.get(url).content.decode()
    assert escape(reason) in page.replace("<br>", "\n")


@pytest.mark.django_db(transaction=True)
def test_the_asynchronous_twin_says_the_same() -> None:
    result = tasks.noop.enqueue()
    assert async_to_sync(awhy_waiting)(result) == why_waiting(result)
