"""The options of a deferrable task, in the request and in the worker."""

import pickle
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connections
from django.utils import timezone
from rest_framework.test import APIClient

from taskworks import default_task_backend
from taskworks.models import TaskRun
from taskworks.retry import Backoff
from taskworks.worker import Options, Queues, Worker
from taskworks.worker.claiming import poll_schedule
from tests.behavior import run_worker
from tests.endpoints import orders
from tests.endpoints.conftest import Settings
from tests.endpoints.models import Order, Parcel
from tests.waiting import wait_for

Events = Callable[[], list[str]]
PATH = "tests.endpoints.orders"


def run_of(name: str) -> TaskRun:
    return TaskRun.objects.get(task_path=f"{PATH}.{name}")


def test_a_run_is_the_methods_own(client: APIClient, order: Order, worked: Events) -> None:
    client.post("/Watched/A7/")
    run = run_of("Watched.first")
    reference = {"model": "endpoints.Order", "pk": order.pk, "using": "default"}
    assert (run.args, run.kwargs, run.options) == ([reference], {}, {})
    assert (run.queue_name, run.task_name, run.state) == ("default", "first", "ready")
    assert run.task is orders.Watched.first
    assert worked() == ["first", "second"]


def test_it_is_a_task_that_can_be_pickled() -> None:
    assert pickle.loads(pickle.dumps(orders.Watched.first)) == orders.Watched.first


def test_it_may_be_enqueued_without_a_request(order: Order, worked: Events) -> None:
    reference = {"model": "endpoints.Order", "pk": order.pk, "using": "default"}
    assert orders.Everything.say.enqueue(reference, "ho", times=3).status.value == "READY"
    assert worked() == ["hohoho"]


@pytest.mark.parametrize("synchronous", [False, True])
def test_keywords_may_have_any_name(
    client: APIClient, order: Order, events: Events, settings: Settings, synchronous: bool
) -> None:
    settings.TASKWORKS = {**settings.TASKWORKS, "ENDPOINT_TASKS_SYNCHRONOUS": synchronous}
    client.post("/AnyNames/A7/")
    run_worker()
    assert sorted(events()) == ["async True", "later True", "now True"]


def test_queue_and_routing_key(client: APIClient, order: Order, worked: Events) -> None:
    client.post("/Everything/A7/")
    mail, later = run_of("Everything.mail"), run_of("Everything.later")
    assert (mail.queue_name, later.queue_name) == ("mail", "imports")
    assert mail.metadata == {"queue": "mail", "routing_key": "mail.fast"}
    assert later.metadata == {"routing_key": "imports"}


def test_delay_may_be_a_timedelta(client: APIClient, order: Order) -> None:
    client.post("/Everything/A7/")
    later = run_of("Everything.later")
    assert later.state == "scheduled"
    assert later.available_at - later.enqueued_at == timedelta(minutes=1)


@pytest.mark.parametrize(
    ("query", "state", "at_once"),
    [
        ("", None, ["hoho"]),  # delay 0, and not always: in the request
        ("&always", "ready", []),
        ("&delay=60", "scheduled", []),  # any delay queues
        ("&delay=60&always", "scheduled", []),
    ],
)
def test_inline_or_queued(
    client: APIClient,
    order: Order,
    events: Events,
    query: str,
    state: str | None,
    at_once: list[str],
) -> None:
    client.post(f"/Everything/A7/?word=ho{query}")
    assert events() == at_once
    runs = TaskRun.objects.filter(task_path=f"{PATH}.Everything.say")
    assert [run.state for run in runs] == ([state] if state else [])
    for run in runs:
        assert (run.args[1:], run.kwargs) == (["ho"], {"times": 2})


@pytest.mark.parametrize(("query", "number"), [("?quiet", 0), ("", 1)])
def test_execute_unless(client: APIClient, order: Order, query: str, number: int) -> None:
    client.post(f"/Everything/A7/{query}")
    assert TaskRun.objects.filter(task_path=f"{PATH}.Everything.mail").count() == number


def test_a_coroutine_function_and_a_task_runner(
    client: APIClient, order: Order, worked: Events
) -> None:
    client.post("/Everything/A7/?quiet")
    assert run_of("Everything.run_by_another").executor == "async"
    assert worked() == ["Everything run_by_another", "async"]


@pytest.mark.parametrize(("note", "attempts"), [("", 3), ("odd", 1)])
def test_retries_are_attempts_of_one_run(
    client: APIClient, order: Order, events: Events, worked: Events, note: str, attempts: int
) -> None:
    """KeyError is a LookupError, and is retried; ValueError is not."""
    Order.objects.update(note=note)
    client.post("/Stubborn/A7/")
    for _ in range(attempts + 1):
        worked()
        TaskRun.objects.scheduled().update(available_at=timezone.now())
    run = TaskRun.objects.get()
    assert events() == ["tried"] * attempts
    assert (run.state, run.attempts, len(run.errors)) == ("failed", attempts, attempts)
    assert run.metadata == {}


def test_waits_between_retries_grow_as_they_did() -> None:
    policy = orders.Stubborn.fetch.policy
    assert (policy.max_attempts, policy.backoff) == (3, Backoff(initial=1.0))
    assert [Backoff(initial=1.0, jitter=0).delay(n) for n in (1, 2, 3, 4)] == [1, 2, 4, 8]
    assert orders.Watched.first.policy.max_attempts == 1


def test_a_row_that_is_late_is_waited_for(client: APIClient, order: Order, worked: Events) -> None:
    client.post("/Watched/A7/")
    [kept] = Order.objects.filter(pk=order.pk).values()
    order.delete()
    assert worked() == []
    run = run_of("Watched.first")
    assert (run.state, run.attempts, run.errors) == ("scheduled", 0, [])
    Order.objects.create(**kept)
    TaskRun.objects.scheduled().update(available_at=timezone.now())
    assert worked() == ["first", "second"]


def test_a_deleted_resource_is_an_error_that_says_so(
    client: APIClient, order: Order, worked: Events
) -> None:
    client.post("/Stubborn/A7/")
    pk = order.pk
    order.delete()
    TaskRun.objects.update(enqueued_at=timezone.now() - timedelta(minutes=1))
    assert worked() == []
    run = TaskRun.objects.get()
    assert (run.state, run.attempts) == ("failed", 1)
    [entry] = run.errors
    assert entry["exception_class_path"] == "taskworks.exceptions.ResourceNotFound"
    assert (
        f"Stubborn.fetch: there is no endpoints.Order with the primary key {pk} in the database "
        "'default'. Was it deleted?"
    ) in entry["traceback"]


def test_a_key_that_is_no_json(client: APIClient, events: Events, worked: Events) -> None:
    parcel = Parcel.objects.create(weight=1)
    answer = client.put(f"/Parcels/{parcel.pk}/", {"weight": 12}, format="json")
    assert answer.json() == {"label": "12 kg"}
    assert TaskRun.objects.get().args[0]["pk"] == str(parcel.pk)
    assert worked() == ["sent 12 kg"]
    assert Parcel.objects.get().label == "12 kg"  # changed by save(), not by the task
    assert client.put(f"/Parcels/{uuid4()}/", {"weight": 1}, format="json").status_code == 404


# Chains.


def test_a_task_follows_another(client: APIClient, order: Order, worked: Events) -> None:
    client.post("/Chained/A7/")
    assert {run.task_name: run.state for run in TaskRun.objects.all()} == {
        "charge": "ready",
        "ship": "blocked",
        "ask_how_it_was": "blocked",
    }
    assert worked() == ["charged", "shipped"]
    asked = run_of("Chained.ask_how_it_was")
    assert asked.state == "scheduled"
    since = run_of("Chained.ship").finished_at
    assert timedelta(minutes=59) < asked.available_at - since < timedelta(minutes=61)


def test_it_follows_at_once(
    client: APIClient, order: Order, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although the worker would not poll for minutes."""
    monkeypatch.setattr(poll_schedule, "MIN_POLL_INTERVAL", 600.0)
    client.post("/Watched/A7/")
    worker = Worker(default_task_backend, Options(queues=Queues(None), interval=600))
    thread = threading.Thread(target=lambda: (worker.run(), connections.close_all()))
    thread.start()
    try:
        wait_for(lambda: events() == ["first", "second"], "both have been done")
    finally:
        worker.stop()
        thread.join(timeout=30)


def test_a_failure_is_followed_by_nothing_until_it_succeeds(
    client: APIClient, order: Order, worked: Events
) -> None:
    Order.objects.update(note="declined")
    client.post("/Chained/A7/")
    assert worked() == []
    assert run_of("Chained.ship").state == "blocked"
    Order.objects.update(note="")
    result = run_of("Chained.charge").to_result()
    assert result.retry()
    assert worked() == ["charged", "shipped"]


@pytest.mark.parametrize("backend", ["taskworks.backends.", "taskworks.framework."])
@pytest.mark.parametrize(
    ("kind", "expected", "names"),
    [
        ("dummy", [], ["charge", "ship", "ask_how_it_was"]),
        ("immediate", ["charged", "shipped", "asked"], ["charge", "ship", "ask_how_it_was"]),
    ],
)
def test_chains_with_the_standards_other_backends(
    client: APIClient,
    order: Order,
    settings: Settings,
    events: Events,
    backend: str,
    kind: str,
    expected: list[str],
    names: list[str],
) -> None:
    settings.TASKS = {
        "default": {"BACKEND": f"{backend}{kind}.{kind.title()}Backend", "QUEUES": []}
    }
    if "framework" in backend:
        module = {"dummy": "DummyBackend", "immediate": "ImmediateBackend"}[kind]
        settings.TASKS = {"default": {"BACKEND": f"taskworks.framework.{module}", "QUEUES": []}}
    settings.TASKWORKS = {}
    answer = client.post("/Watched/A7/")
    assert answer.status_code == 200
    assert events() == (["first", "second"] if expected else [])


# TASKWORKS["ENDPOINT_TASKS_SYNCHRONOUS"].


@pytest.fixture
def synchronous(settings: Settings) -> None:
    settings.TASKWORKS = {**settings.TASKWORKS, "ENDPOINT_TASKS_SYNCHRONOUS": True}


@pytest.mark.usefixtures("synchronous")
def test_all_may_be_executed_in_the_request(
    client: APIClient, order: Order, events: Events
) -> None:
    answer = client.post("/Chained/A7/")
    assert events() == ["charged", "shipped", "asked"]  # an hour's delay is no delay
    assert [run["task"] for run in answer.json()["runs"]] == ["charge", "ship", "ask_how_it_was"]
    assert {run["url"] for run in answer.json()["runs"]} == {None}
    assert not TaskRun.objects.exists()


@pytest.mark.usefixtures("synchronous")
@pytest.mark.parametrize(("note", "attempts"), [("", 3), ("odd", 1)])
def test_and_a_failure_is_none_of_the_request(
    client: APIClient, order: Order, events: Events, settings: Settings, note: str, attempts: int
) -> None:
    Order.objects.update(note=note)
    assert client.post("/Stubborn/A7/").status_code == 200
    assert events() == ["tried"] * attempts


@pytest.mark.usefixtures("synchronous")
def test_and_what_follows_a_failure_is_left_out(
    client: APIClient, order: Order, events: Events
) -> None:
    Order.objects.update(note="declined")
    assert [run["task"] for run in client.post("/Chained/A7/").json()["runs"]] == ["charge"]
    assert events() == []


@pytest.mark.usefixtures("synchronous")
def test_and_a_failure_spoils_no_transaction(
    client: APIClient, order: Order, atomic_requests: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def duplicate(order: Order) -> None:
        Order.objects.create(number=order.number)

    monkeypatch.setattr(orders.Stubborn.fetch.func.declared, "function", duplicate)
    assert client.post("/Stubborn/A7/").json() == {"number": "A7", "note": "please"}


# The answer knows its runs.


def test_a_202_points_at_its_runs(client: APIClient, order: Order) -> None:
    answer = client.post("/Chained/A7/")
    runs = {run["task"]: run for run in answer.json()["runs"]}
    assert [*runs] == ["charge", "ship", "ask_how_it_was"]
    charge = runs["charge"]
    assert charge["id"] == str(run_of("Chained.charge").id)
    assert charge["url"] == answer["Location"] == f"http://testserver/api/tasks/{charge['id']}/"
    assert answer.status_code == 202
    assert client.get(charge["url"]).json() == {"id": charge["id"]}


def test_without_the_rest_api_it_names_them(
    client: APIClient, order: Order, settings: Settings
) -> None:
    settings.ROOT_URLCONF = "tests.endpoints.without_api"
    answer: Any = client.post("/Chained/A7/")
    assert {run["url"] for run in answer.json()["runs"]} == {None}
    assert "Location" not in answer


# Unique tasks.


def unified(client: APIClient, number: str = "A7", word: str = "hi") -> list[str]:
    """The names of the tasks whose runs the response lists."""
    response = client.post(f"/Unified/{number}/?word={word}")
    assert response.status_code == 202
    return [run["task"] for run in response.json()["runs"]]


def test_of_one_resource_one_run_stands(client: APIClient, order: Order, events: Events) -> None:
    Order.objects.create(number="B8")
    assert unified(client) == ["index", "tell", "mail"]
    index, mail = run_of("Unified.index"), run_of("Unified.mail")
    assert unified(client, word="ho") == ["tell"]  # by all arguments, so it is another run
    assert run_of("Unified.index").args == index.args
    assert run_of("Unified.mail").args == [mail.args[0], "ho"]  # the latest
    assert unified(client, "B8") == ["index", "tell", "mail"]
    tells = TaskRun.objects.filter(task_path=f"{PATH}.Unified.tell")
    assert {run.state for run in tells} == {"blocked"}
    run_worker()
    assert sorted(events()) == ["hi", "hi"]
    assert tells.filter(state="successful").count() == 3
    assert unified(client) == ["index", "tell"]


def test_defaults_and_keywords_make_no_difference(order: Order) -> None:
    reference = {"model": "endpoints.Order", "pk": order.pk, "using": "default"}
    first = orders.Unified.index.enqueue(reference, "hi")
    assert orders.Unified.index.enqueue(reference, "ho", times=2).id == first.id
    other = orders.Unified.index.enqueue({**reference, "pk": order.pk + 1}, "hi")
    assert other.id != first.id


def test_executed_in_the_request_they_are_not_unique(
    client: APIClient, order: Order, events: Events, settings: Settings
) -> None:
    settings.TASKWORKS = {**settings.TASKWORKS, "ENDPOINT_TASKS_SYNCHRONOUS": True}
    for _ in range(2):
        unified(client)
    assert events() == ["hi", "hi"]
