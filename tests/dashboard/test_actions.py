"""What people do: only with the permission, only by POST with a token, and always recorded."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from taskworks import control
from taskworks.dashboard import failures, queues
from taskworks.failures import grouping
from taskworks.models import Failure, FailureGroup, Limit, Pause, Schedule, TaskRun, Worker
from taskworks.store import store
from taskworks.testing import run_tasks
from taskworks.workflows.builder import Workflow
from tests import tasks
from tests.dashboard.conftest import SignIn, place
from tests.faces.conftest import MakeRun

pytestmark = [pytest.mark.django_db, pytest.mark.thorough_on_servers]

FINGERPRINT = "0123456789abcdef"
MAIL = {"queue": "mail", "backend": "default"}


@pytest.fixture
def group(make_run: MakeRun) -> FailureGroup:
    """Two runs that failed alike."""
    runs = [make_run("failed", task_path="tests.tasks.noop") for _ in range(2)]
    now = store().read_clock()
    Failure.objects.bulk_create(
        Failure(run=run.id, fingerprint=FINGERPRINT, at=run.finished_at or now) for run in runs
    )
    return FailureGroup.objects.create(
        fingerprint=FINGERPRINT,
        task_path="tests.tasks.noop",
        exception="builtins.ValueError",
        place="tasks.py:noop",
        sample=runs[0].id,
        first_at=now,
        last_at=now,
        count=2,
    )


@pytest.fixture
def schedule() -> Schedule:
    row = Schedule(label="nightly", path="tests.tasks.noop", cron="@daily")
    row.save()
    return row


@pytest.fixture
def limit() -> Limit:
    return Limit.objects.create(name="couriers", at_once=2, declared={"at_once": 2})


def refused_without(
    permission: str, sign_in: SignIn, address: str, page: str, button: str, **form: Any
) -> Client:
    """
    Show that the button and the action need the permission and the token; return a client who has
    the permission.
    """
    log_entries = LogEntry.objects.count()
    reader, able = sign_in("view_taskrun"), sign_in("view_taskrun", permission)
    assert button not in reader.get(page).content.decode()
    assert reader.post(address, form).status_code == 403
    assert sign_in(permission).post(address, form).status_code == 403
    assert Client().post(address, form).status_code == 403
    assert button in able.get(page).content.decode()
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = able.cookies
    assert strict.post(address, form).status_code == 403
    assert LogEntry.objects.count() == log_entries
    return able


def recorded() -> str:
    return str(LogEntry.objects.latest("id").change_message)


def said(client: Client, page: str) -> str:
    return client.get(page).content.decode()


def test_a_queue_is_paused_and_resumed(sign_in: SignIn) -> None:
    page, pause, resume = place("queues"), place("pause_queue"), place("resume_queue")
    form = {**MAIL, "reason": "The provider <is> down.", "minutes": "60", "next": page}
    able = refused_without("add_pause", sign_in, pause, page, pause, **form)
    assert able.get(pause).status_code == 405
    assert not Pause.objects.exists()
    assert able.post(pause, form)["Location"] == page
    [paused] = control.pauses()
    assert (paused.name, paused.reason) == ("mail", "The provider <is> down.")
    assert paused.until is not None
    assert "paused until" in recorded()
    assert "The queue mail is paused." in said(able, page)
    other = refused_without("delete_pause", sign_in, resume, page, resume, **MAIL)
    other.post(resume, MAIL)
    assert not control.pauses()
    other.post(resume, MAIL)
    assert "was not paused" in said(other, page)


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        ({"queue": ""}, "must be 1 to"),
        ({"queue": "mial"}, "no queue &#x27;mial&#x27;"),
        ({"backend": "nowhere"}, "no backend &#x27;nowhere&#x27;"),
        ({"backend": "dummy"}, "does not store runs"),
        ({"minutes": "7"}, "not a duration"),
        ({"until": "<b>soon"}, "is not a date and time"),
        ({"until": "2020-01-01T00:00"}, "must be in the future"),
        ({"until": "9999-12-31T23:59:59.999999"}, ""),
        ({"reason": "x" * 1001}, "at most 1000 characters"),
        ({"reason": "a\0b"}, "must not contain NUL"),
    ],
)
def test_bad_input_pauses_nothing(root: Client, given: dict[str, str], answer: str) -> None:
    response = root.post(place("pause_queue"), {**MAIL, **given})
    assert response.status_code == 302
    if answer:
        assert not Pause.objects.exists()
        assert answer in said(root, place("queues"))


@pytest.mark.parametrize(
    "wanted", ["//evil.example/", "https://evil.example/", "/\\evil.example", "javascript:alert(1)"]
)
def test_nobody_is_sent_elsewhere(root: Client, wanted: str) -> None:
    response = root.post(place("pause_queue"), {**MAIL, "next": wanted})
    assert response["Location"] == place("queues")


def test_a_queue_is_cleared_once_that_is_confirmed(sign_in: SignIn, make_run: MakeRun) -> None:
    waiting = [make_run(queue_name="mail"), make_run("scheduled", queue_name="mail")]
    running = make_run("running", queue_name="mail")
    clear, page = place("clear_queue"), f"{place('clear_queue')}?queue=mail&backend=default"
    able = sign_in("view_taskrun", "cancel_taskrun")
    assert clear not in said(sign_in("view_taskrun"), place("queues"))
    assert sign_in("view_taskrun").get(page).status_code == 403
    assert sign_in("view_taskrun").post(clear, MAIL).status_code == 403
    assert clear in said(able, place("queues"))
    assert "2 runs would be cancelled" in said(able, page)
    assert {run.state for run in TaskRun.objects.all()} == {"ready", "scheduled", "running"}
    able.post(clear, MAIL)
    states = {run.id: run.state for run in TaskRun.objects.all()}
    assert states == {**{run.id: "cancelled" for run in waiting}, running.id: "running"}
    assert "2 runs cancelled" in recorded()


def test_a_worker_is_asked_to_end(sign_in: SignIn, worker: Worker) -> None:
    page, stop = place("workers"), place("stop_worker", worker.id)
    able = refused_without("stop_worker", sign_in, stop, page, stop, to="drain")
    able.post(stop, {"to": "explode"})
    assert "nothing that a worker can be asked" in said(able, page)
    able.post(stop, {"to": "drain"})
    assert Worker.objects.get().asked_to == "drain"
    assert recorded() == "asked to drain"
    Worker.objects.all().delete()
    able.post(stop, {"to": "stop"})
    assert "This worker has ended." in said(able, page)


def test_a_group_of_failures_is_retried(sign_in: SignIn, group: FailureGroup) -> None:
    retry, page = place("retry_group", FINGERPRINT), place("failure_group", FINGERPRINT)
    able = refused_without("retry_taskrun", sign_in, retry, page, retry)
    assert retry in said(able, place("failures"))
    able.post(retry, {"next": page})
    assert {run.state for run in TaskRun.objects.all()} == {"ready"}
    assert "Retried: 2." in said(able, page)
    assert recorded().startswith("retried: 2 runs")


def test_failures_that_are_in_no_group_yet_are_said(root: Client, make_run: MakeRun) -> None:
    none = "No run has failed for good."
    assert none in said(root, place("failures"))
    make_run("failed")
    assert "One of the runs that failed last is in no group yet." in said(root, place("failures"))
    make_run("failed")
    text = said(root, place("failures"))
    assert "2 of the runs that failed last are in no group yet." in text
    assert none not in text
    grouping.group(store())
    assert "in no group yet" not in said(root, place("failures"))
    FailureGroup.objects.update(muted_until=store().read_clock() + timedelta(hours=1))
    text = said(root, place("failures"))
    assert "All groups of failures are muted." in text
    assert none not in text


def test_a_group_is_muted_and_gets_a_note(sign_in: SignIn, group: FailureGroup) -> None:
    mute, note = place("mute_group", FINGERPRINT), place("annotate_group", FINGERPRINT)
    page = place("failure_group", FINGERPRINT)
    able = refused_without("change_failuregroup", sign_in, mute, page, mute, minutes="60")
    assert sign_in("view_taskrun").post(note, {"note": "x"}).status_code == 403
    able.post(mute, {"minutes": "60"})
    assert "builtins.ValueError" not in said(able, place("failures"))
    assert "builtins.ValueError" in said(able, f"{place('failures')}?muted=1")
    able.post(mute, {"minutes": ""})
    assert "builtins.ValueError" in said(able, place("failures"))
    able.post(note, {"note": "Seen\r\nbefore."})
    assert FailureGroup.objects.get().note == "Seen\nbefore."
    able.post(note, {"note": "x" * 10_001})
    assert "at most 10000 characters" in said(able, page)
    assert able.post(place("mute_group", "nothing"), {"minutes": "60"}).status_code == 404


def test_a_schedule_is_disabled_enabled_and_run(sign_in: SignIn, schedule: Schedule) -> None:
    act, page = place("schedule_action", schedule.id), place("schedules")
    able = refused_without("change_schedule", sign_in, act, page, "Disable", action="disable")
    able.post(act, {"action": "disable"})
    assert not Schedule.objects.get().enabled
    able.post(act, {"action": "enable"})
    assert Schedule.objects.get().enabled
    assert able.post(act, {"action": "run"}).status_code == 403
    able.post(act, {"action": "explode"})
    assert "nothing that can be done" in said(able, page)
    runner = refused_without("run_task", sign_in, act, page, "Run now", action="run")
    runner.post(act, {"action": "run"})
    assert TaskRun.objects.count() == 1
    assert recorded().startswith("enqueued as run")
    Schedule.objects.all().delete()
    runner.post(act, {"action": "run"})
    assert "has been deleted" in said(runner, page)


def test_the_numbers_of_a_limit_are_changed(sign_in: SignIn, limit: Limit) -> None:
    change, page = place("change_limit"), place("limits")
    form = {"limit": "couriers", "at_once": "5", "total": "", "rate": ""}
    able = refused_without("change_limit", sign_in, change, page, change, **form)
    able.post(change, form)
    assert Limit.objects.get(name="couriers").at_once == 5
    assert recorded() == "changed: at_once 5"
    for given, answer in {
        "many": "is not a whole number",
        "5": "No number was changed",
        "0": "must be an integer from 1",
        "9" * 30: "is not a whole number",
    }.items():
        able.post(change, {"limit": "couriers", "at_once": given})
        assert answer in said(able, page), given
    able.post(change, {"limit": "none"})
    assert "no such limit" in said(able, page)


def test_a_workflow_is_cancelled_and_retried(sign_in: SignIn) -> None:
    workflow = Workflow("import")
    first = workflow.add("first", tasks.noop)
    workflow.add("second", tasks.noop, after=[first])
    result = workflow.enqueue()
    page, cancel = place("workflow", result.id), place("cancel_workflow", result.id)
    retry = place("retry_workflow", result.id)
    able = refused_without("cancel_taskrun", sign_in, cancel, page, cancel)
    able.post(cancel)
    assert {run.state for run in TaskRun.objects.all()} == {"cancelled"}
    assert recorded() == "cancelled"
    able.post(cancel)
    assert "had finished before" in said(able, place("workflows"))
    retrier = refused_without("retry_taskrun", sign_in, retry, page, retry)
    retrier.post(retry)
    assert {run.state for run in TaskRun.objects.all()} == {"ready", "blocked"}


def test_a_function_of_the_project_decides_about_each_queue(root: Client, settings: Any) -> None:
    settings.TASKWORKS = {**settings.TASKWORKS, "DASHBOARD_ACCESS": f"{__name__}.only_mail"}
    assert said(root, place("queues")).count(place("pause_queue")) == 1
    assert root.post(place("pause_queue"), {**MAIL, "queue": "imports"}).status_code == 403
    root.post(place("pause_queue"), MAIL)
    assert [pause.name for pause in control.pauses()] == ["mail"]


def only_mail(request: Any, action: str, row: Any) -> bool:
    return action in ("see", "pause") and (row is None or row.name == "mail")


def test_many_runs_are_retried_and_cancelled_in_the_background(
    root: Client, group: FailureGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "MOST_RETRIED", 1)
    monkeypatch.setattr(queues, "MOST_CLEARED", 1)
    root.post(place("retry_group", FINGERPRINT))
    text = said(root, place("failures"))
    assert "This is done in the background" in text
    assert TaskRun.objects.filter(state="failed").count() == 2
    retrying = TaskRun.objects.get(state="ready")
    assert retrying.kwargs["verb"] == "retry"
    tomorrow = timedelta(days=1)
    tasks.noop.using(queue_name="mail", run_after=tomorrow).enqueue_many([(), ()])
    assert "in the background" in said(root, f"{place('clear_queue')}?queue=mail&backend=default")
    root.post(place("clear_queue"), MAIL)
    verbs = {run.kwargs["verb"] for run in TaskRun.objects.filter(state="ready")}
    assert verbs == {"retry", "cancel"}
    run_tasks()
    states = {run.queue_name: run.state for run in TaskRun.objects.filter(queue_name="mail")}
    assert states == {"mail": "cancelled"}
    assert not TaskRun.objects.filter(state="failed").exists()
    assert LogEntry.objects.filter(user__username="root").count() >= 2
