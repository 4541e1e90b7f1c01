"""Workflows over REST: who sees and changes them, and how far they are."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import Permission, User
from rest_framework.test import APIClient

from taskworks import TaskContext, TaskResult, Workflow, WorkflowResult, task
from taskworks.control import pause
from taskworks.models import RunState, TaskRun
from taskworks.models import Workflow as Row
from taskworks.rest.events import workflow_looks
from taskworks.rest.events.hub import Hub, hub
from taskworks.store import store
from taskworks.testing.running import run_tasks
from tests.rest import TASKS, address, offered
from tests.rest.browsers import Browser, browsing
from tests.rest.conftest import signed_in
from tests.waiting import wait_for
from tests.workflows import tasks
from tests.workflows.tasks import step

pytestmark = pytest.mark.thorough_on_servers

WORKFLOWS = f"{TASKS}workflows/"
COUNTS = {"pending": 0, "running": 0, "succeeded": 0, "failed": 0, "cancelled": 0}


@pytest.fixture(autouse=True)
def _nothing_fails() -> Iterator[None]:
    yield
    tasks.executed.clear()
    tasks.failing.clear()


@pytest.fixture
def browser(_api: None) -> Iterator[Browser]:
    with browsing() as browser:
        yield browser


def of(result: Any, verb: str = "") -> str:
    """The address of a workflow, or of what is done to it."""
    return f"{WORKFLOWS}{getattr(result, 'id', result)}/{verb and f'{verb}/'}"


def sums(owner: Any = None) -> WorkflowResult:
    """A workflow of tasks that are offered."""
    flow = Workflow("sums", owner=owner)
    flow.each("parts", offered.Add.task, [{"a": 1}, {"a": 2}])
    flow.add("sum", offered.Add.task, a=3, after="parts")
    return flow.enqueue()


def hidden(owner: Any = None) -> WorkflowResult:
    """A workflow of a task that is not offered."""
    flow = Workflow("hidden", owner=owner)
    flow.add("a", step, "a")
    flow.add("b", step, "b", after="a")
    return flow.enqueue()


def work() -> None:
    run_tasks(raise_failures=False)


def listed(client: APIClient, **query: Any) -> list[str]:
    response = client.get(WORKFLOWS, query)
    assert response.status_code == 200, response.content
    return [one["id"] for one in response.json()["results"]]


def test_a_workflow_is_shown_as_a_run_is(client: APIClient, ann: User) -> None:
    result = sums(ann)
    shown = client.get(of(result)).json()
    assert shown.pop("created")
    assert shown == {
        "id": result.id,
        "name": "sums",
        "status": "running",
        "progress": 0,
        "target": 3,
        "percent": 0.0,
        "counts": {**COUNTS, "pending": 3},
        "cancel_requested": False,
        "finished": None,
    }
    work()
    shown = client.get(of(result)).json()
    assert (shown["status"], shown["percent"], shown["progress"]) == ("succeeded", 100.0, 3)
    assert shown["finished"]


def test_its_steps_are_shown(client: APIClient, ann: User) -> None:
    result = sums(ann)
    shown = client.get(of(result, "steps")).json()
    assert shown["has_more"] is False
    parts, last = shown["results"]
    assert (parts["kind"], parts["status"], parts["target"]) == ("group", "running", 2)
    assert (last["kind"], last["status"], last["task"]) == ("run", "pending", "add")
    assert (last["after"], last["waits_for"]) == (["parts"], "It waits for 'parts'.")
    assert client.get(address(last["id"])).json()["id"] == last["id"]


def test_a_list_is_paged_filtered_and_counts_what_has_not_ended(
    client: APIClient, ann: User
) -> None:
    ended = sums(ann)
    work()
    others = [hidden(ann), sums(ann)]
    sums("somebody")
    page = client.get(WORKFLOWS, {"page_size": 2}).json()
    assert [one["id"] for one in page["results"]] == [others[1].id, others[0].id]
    [last] = client.get(page["next"]).json()["results"]
    assert (last["id"], last["counts"], last["percent"]) == (ended.id, None, None)
    assert listed(client, name="hidden") == [others[0].id]
    assert listed(client, status="succeeded") == [ended.id]
    assert set(listed(client, status="running")) == {one.id for one in others}
    assert listed(client, created_before="2020-01-01T00:00:00Z") == []
    assert len(listed(client, created_after="2020-01-01T00:00:00Z", mine="true")) == 3
    for query in ({"status": "pending"}, {"stat": "1"}, {"name": "\0"}, {"cursor": "1"}):
        assert client.get(WORKFLOWS, query).status_code == 400, query


def test_a_list_costs_as_many_queries_for_many(
    client: APIClient, ann: User, django_assert_num_queries: Any
) -> None:
    for _ in range(3):
        sums(ann)
    with django_assert_num_queries(4):  # the user's, the page, what is within, the counts
        assert len(listed(client)) == 3


def test_others_do_not_see_it(client: APIClient, staff: User, client_of: Any) -> None:
    mine, bob = sums("somebody"), User.objects.create_user("bob")
    for verb in ("", "steps", "events"):
        assert client.get(of(mine, verb)).status_code == 404
    for verb in ("cancel", "retry"):
        assert client.post(of(mine, verb)).status_code == 404
        assert client_of(None).post(of(mine, verb)).status_code in (401, 403)
    assert listed(client) == []
    assert listed(client_of("root")) == [mine.id]
    assert listed(client_of("root"), mine="true") == []
    assert client_of("root").get(of(mine)).status_code == 200
    assert client.get(of("nonsense")).status_code == 404
    assert client.get(of(uuid4())).status_code == 404
    assert bob


def test_staff_need_the_permissions(client_of: Any) -> None:
    result = sums("somebody")
    reader = User.objects.create_user("reader", is_staff=True)
    client = client_of("reader")
    assert client.get(of(result)).status_code == 404
    reader.user_permissions.add(Permission.objects.get(codename="view_workflow"))
    assert client.get(of(result)).status_code == 200
    assert client.post(of(result, "cancel")).status_code == 404
    reader.user_permissions.add(Permission.objects.get(codename="change_workflow"))
    assert client.post(of(result, "cancel")).status_code == 200


def test_an_owner_changes_what_is_offered_alone(
    client: APIClient, ann: User, staff: User, client_of: Any
) -> None:
    result, other = hidden(ann), sums(ann)
    for verb in ("cancel", "retry"):
        refused = client.post(of(result, verb))
        assert refused.status_code == 403
        assert "not offered" in refused.json()["detail"]
    assert client_of("root").post(of(result, "cancel")).status_code == 200
    cancelled = client.post(of(other, "cancel"))
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert cancelled.json()["counts"] == {**COUNTS, "cancelled": 3}
    again = client.post(of(other, "cancel"))
    assert (again.status_code, again.json()["detail"]) == (409, "It had finished before.")


def test_what_runs_is_asked_to_stop(client: APIClient, ann: User) -> None:
    result = sums(ann)
    TaskRun.objects.filter(state="ready").update(state=RunState.RUNNING, claim_token=uuid4())
    for _ in range(2):
        answer = client.post(of(result, "cancel")).json()
        assert (answer["status"], answer["cancel_requested"]) == ("running", True)
    refused = client.post(of(result, "retry"))
    assert refused.status_code == 409
    assert refused.json()["detail"].startswith("The workflow 'sums' is being cancelled")


def test_it_is_retried(client: APIClient, ann: User) -> None:
    result = sums(ann)
    client.post(of(result, "cancel"))
    assert client.post(of(result, "retry")).json()["counts"] == {**COUNTS, "pending": 3}
    work()
    refused = client.post(of(result, "retry"), {}, format="json")
    assert (refused.status_code, refused.json()["detail"]) == (
        *(409, "None of its runs has failed or was cancelled."),
    )
    body = {"from_step": "sum", "again": True}
    answer = client.post(of(result, "retry"), body, format="json")
    assert answer.json()["counts"] == {**COUNTS, "pending": 1, "succeeded": 2}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"from": "sum"}, {"from": ["Unknown field."]}),
        ({"again": "yes"}, {"again": ["Must be a valid boolean."]}),
        (
            {"from_step": "sm"},
            {"from_step": ["The workflow has no step 'sm'. Did you mean 'sum'?"]},
        ),
        ([], None),
        ("sum", None),
        (7, None),
    ],
)
@pytest.mark.any_database
def test_a_bad_retry_is_refused(client: APIClient, ann: User, body: Any, why: Any) -> None:
    result = sums(ann)
    refused = client.post(of(result, "retry"), body, format="json")
    assert refused.status_code == 400
    assert why is None or refused.json() == why


def test_a_retry_asks_each_task(client: APIClient, ann: User) -> None:
    flow = Workflow("scarce", owner=ann)
    flow.add("a", offered.Scarce.task)
    result = flow.enqueue()
    result.cancel()
    statuses = []
    for _ in range(3):
        statuses.append(client.post(of(result, "retry")).status_code)
        result.cancel()
    assert statuses == [200, 200, 429]


# Events.


def test_a_workflow_is_followed_to_its_end(browser: Browser, client: APIClient, ann: User) -> None:
    result = sums(ann)
    reading = browser.open(of(result, "events"))
    assert reading.wait("status") == client.get(of(result)).json()
    first = TaskRun.objects.filter(state="ready").first()
    TaskRun.objects.filter(id=first.id).update(state=RunState.RUNNING)
    progress = reading.wait("progress", counts={**COUNTS, "pending": 2, "running": 1})
    assert progress == {
        "id": result.id,
        "progress": 0,
        "target": 3,
        "percent": 0.0,
        "counts": {**COUNTS, "pending": 2, "running": 1},
    }
    TaskRun.objects.filter(id=first.id).update(state=RunState.READY)
    work()
    [*_, (name, whole)] = reading.wait_for_the_end()
    assert (name, whole["status"], whole["progress"]) == ("status", "succeeded", 3)
    wait_for(lambda: len(hub) == 0, "it has left")
    last = reading.ids[-1]
    again = browser.open(of(result, "events"), **{"last-event-id": last})
    again.wait_for_the_end()
    assert (again.status, again.body) == (204, b"")
    result.retry(again=True)
    assert browser.open(of(result, "events"), **{"last-event-id": last}).status == 200


def test_a_workflow_that_is_deleted_is_gone(browser: Browser, ann: User) -> None:
    result = sums(ann)
    reading = browser.open(of(result, "events"))
    Row.objects.filter(id=result.id).delete()
    assert reading.wait_for_the_end()[-1] == (
        "gone",
        {"id": result.id, "detail": "The workflow has been deleted."},
    )


def test_runs_and_workflows_are_followed_together(
    browser: Browser, client: APIClient, ann: User, start: Any
) -> None:
    first, run, second = sums(ann), start("told"), sums(ann)
    readings = [
        browser.open(path)
        for path in (of(first, "events"), address(run, "events"), of(second, "events"))
    ]
    client.post(of(second, "cancel"))
    client.post(address(run, "cancel"))
    client.post(of(first, "cancel"))
    for reading in readings:
        assert reading.wait_for_the_end()[-1][1]["status"] == "cancelled"


class Watched(Hub):
    """A hub with a stream of this workflow."""

    def __init__(self, workflow: UUID) -> None:
        super().__init__()
        self._workflow = workflow

    @property
    def watched_workflows(self) -> list[UUID]:
        return [self._workflow]


@pytest.mark.any_database
@pytest.mark.parametrize(("takes", "rests"), [(0.01, 1.0), (3.0, 27.0)])
def test_what_is_slow_to_read_is_read_rarely(
    monkeypatch: pytest.MonkeyPatch, takes: float, rests: float
) -> None:
    now = [100.0]
    monkeypatch.setattr(workflow_looks.time, "monotonic", lambda: now[0])
    looks, reads = workflow_looks.WorkflowLooks(Watched(uuid4())), list[float]()

    def read(*args: Any) -> None:
        reads.append(now[0])
        now[0] += takes

    monkeypatch.setattr(looks, "_read", read)
    assert looks.look(store()) == pytest.approx(100 + takes + rests)
    now[0] += rests / 2
    looks.look(store())
    now[0] += rests / 2 + 0.01
    looks.look(store())
    assert reads == [100.0, pytest.approx(100 + takes + rests + 0.01)]


# Events that are sent to runs, and why a run waits.


@task(takes_context=True)
def decide(context: TaskContext) -> Any:
    answer = context.wait("decision")
    return answer and answer.value


def send(client: APIClient, result: TaskResult, body: Any) -> Any:
    return client.post(address(result, "send"), body, format="json")


def test_staff_send_an_event(client_of: Any, staff: User) -> None:
    result, client = decide.enqueue(), client_of("root")
    work()
    body = {"name": "decision", "value": {"approved": True}}
    assert send(client, result, body).status_code == 200
    again = send(client, result, body)
    assert again.status_code == 409
    assert again.json()["detail"].startswith("The event 'decision' was sent before")
    work()
    result.refresh()
    assert result.return_value == {"approved": True}
    other = decide.enqueue()
    assert send(client, other, {"name": "decision"}).status_code == 200


def test_an_owner_does_not_approve_for_others(client: APIClient, ann: User, start: Any) -> None:
    run = start("add", a=1)
    assert client.post(address(run, "send"), {"name": "a"}, format="json").status_code == 403
    foreign = decide.enqueue()
    assert send(client, foreign, {"name": "decision"}).status_code == 404


@pytest.mark.any_database
@pytest.mark.parametrize(
    "body", [{}, {"name": ""}, {"name": " a"}, {"name": 7}, {"name": "a", "x": 1}, [], "a", 7]
)
def test_a_bad_event_is_refused(client_of: Any, staff: User, body: Any) -> None:
    result = decide.enqueue()
    assert send(client_of("root"), result, body).status_code == 400


def test_staff_see_why_a_run_waits(
    client: APIClient, client_of: Any, staff: User, start: Any
) -> None:
    run = start("add", a=1)
    pause("default", by="anna", reason="A secret")
    assert "why_waiting" not in client.get(address(run)).json()
    shown = client_of("root").get(address(run)).json()
    assert "A secret" in shown["why_waiting"]
    assert "why_waiting" not in client_of("root").get(TASKS).json()["results"][0]
    client.post(address(run, "cancel"))
    assert client_of("root").get(address(run)).json()["why_waiting"] is None


def test_they_are_signed_in() -> None:
    assert signed_in(None).get(WORKFLOWS).status_code in (401, 403)
