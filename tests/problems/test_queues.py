"""Queues whose runs are not begun, or not soon enough."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from taskworks import control
from taskworks.backends.database import DatabaseBackend
from taskworks.management.queues_shown import queues_shown
from taskworks.models import TaskRun, Worker
from taskworks.problems import Severity, look
from taskworks.problems.of_queues import MAX_TOLD
from taskworks.store import Store
from tests import tasks
from tests.problems.conftest import Enqueue, Register, asked, the_one
from tests.statistics.conftest import Flushed

pytestmark = pytest.mark.usefixtures("time_stands_still")


def test_a_queue_that_nobody_takes(enqueue: Enqueue, register: Register) -> None:
    register("elsewhere", queues=["reports"])
    enqueue(12, ago=840)
    problem = the_one("queue_without_worker")
    assert problem.severity is Severity.CRITICAL
    assert problem.sentence == (
        "No living worker takes the queue 'mail', in which 12 runs are ready; the oldest has "
        "waited 14 min 0 s."
    )
    assert problem.remedy == "Start a worker: manage.py taskworks worker --queues mail"
    assert problem.page.endswith("/reference/problems.html#queue-without-worker")
    register("at last", excluded_queues=["reports"])
    assert asked("queue_without_worker") == []


def test_how_to_start_a_worker_depends_on_the_backend(enqueue: Enqueue, settings: Any) -> None:
    enqueue()
    entry = {**settings.TASKS["default"], "OPTIONS": {"CELERY_APP": "project.celery:app"}}
    entry["BACKEND"] = "taskworks.backends.celery.CeleryBackend"
    settings.TASKS = {**settings.TASKS, "default": entry}
    remedy = "Start a worker: celery -A project.celery:app worker -Q mail"
    remedy += " --pool threads" if connection.vendor == "sqlite" else ""  # which allows no forks
    assert the_one("queue_without_worker").remedy == remedy
    TaskRun.objects.update(backend="former")
    remedy = "Start a worker: manage.py taskworks worker --backend former --queues mail"
    assert the_one("queue_without_worker").remedy == remedy


def raise_error(*args: Any) -> None:
    raise RuntimeError("no command")


def test_a_backend_that_cannot_say_how_to_start_a_worker_hides_no_problem(
    enqueue: Enqueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue()
    monkeypatch.setattr(DatabaseBackend, "command_of_a_worker", raise_error)
    remedy = "Start a worker: manage.py taskworks worker --backend default --queues mail"
    assert the_one("queue_without_worker").remedy == remedy


def test_a_queue_whose_only_worker_is_dead_or_about_to_end(
    enqueue: Enqueue, register: Register
) -> None:
    enqueue()
    worker = register("web-1", ago=360)
    sentence = the_one("queue_without_worker").sentence
    assert "1 run is ready; the oldest has waited 1 min 0 s. web-1 was last heard 6 min" in sentence
    Worker.objects.filter(id=worker.id).update(
        heartbeat_at=Worker.objects.get().started_at, asked_to="drain"
    )
    assert "web-1 was asked to drain." in the_one("queue_without_worker").sentence


def test_a_queue_whose_workers_lack_the_slots(enqueue: Enqueue, register: Register) -> None:
    register("threads only", slots={"thread": 4})
    enqueue(2)
    enqueue(1, task=tasks.noop_async)
    problem = the_one("queue_without_worker")
    assert "Runs of the executor 'async' wait in the queue 'mail'" in problem.sentence
    assert "3 runs are ready" in problem.sentence


@pytest.mark.parametrize("ago", [0, 5])
def test_who_has_just_enqueued_is_not_alarmed(enqueue: Enqueue, ago: float) -> None:
    enqueue(ago=ago)
    assert asked("queue_without_worker") == []


def test_of_very_many_queues_some_are_named(store: Store) -> None:
    moment = store.read_clock() - timedelta(minutes=1)
    TaskRun.objects.bulk_create(
        TaskRun(
            backend="default",
            queue_name=f"tenant {number:04}",
            task_path="tests.tasks.noop",
            enqueued_at=moment,
            available_at=moment - timedelta(seconds=number),
        )
        for number in range(2000)
    )
    *named, others = asked("queue_without_worker")
    assert len(named) == MAX_TOLD
    assert "'tenant 1999'" in named[0].sentence
    assert others.sentence == "No living worker takes 1,980 more queues with ready runs."


def test_a_paused_queue_is_told_and_nothing_else_of_it(enqueue: Enqueue, store: Store) -> None:
    enqueue(3)
    control.pause("mail", reason="The provider is down.", by="anna")
    control.pause(task=tasks.fail, by="ben")
    assert asked("queue_without_worker") == []
    queue, task = asked("paused")
    assert queue.severity is Severity.NOTICE
    assert queue.sentence.startswith(
        "The queue 'mail' of the backend 'default' is paused by anna: The provider is down. It was"
    )
    assert queue.sentence.endswith("Meanwhile 3 runs are ready in it.")
    assert queue.remedy.endswith("manage.py taskworks resume mail")
    assert task.remedy.endswith("manage.py taskworks resume --task tests.tasks.fail")
    assert look(store).alarming == []


@pytest.fixture
def objective(settings: Any) -> None:
    entry = settings.TASKS["default"]
    options = {
        **entry.get("OPTIONS", {}),
        "QUEUE_OBJECTIVES": {"mail": {"start_within": 30, "share": 0.9}},
    }
    settings.TASKS = {**settings.TASKS, "default": {**entry, "OPTIONS": options}}


@pytest.mark.usefixtures("objective")
def test_the_oldest_has_waited_for_longer_than_was_promised(
    enqueue: Enqueue, register: Register
) -> None:
    register()
    enqueue(2, ago=20)
    enqueue(2, "reports", ago=2000)
    assert asked("oldest_beyond_objective") == []
    enqueue(1, ago=95)
    sentence = the_one("oldest_beyond_objective").sentence
    assert "The oldest ready run of the queue 'mail' has waited 1 min 35 s;" in sentence
    assert "the objective is to begin within 30.0 s. In the queue, 3 runs are ready." in sentence
    control.pause("mail")
    assert asked("oldest_beyond_objective") == []


@pytest.mark.usefixtures("objective")
def test_too_few_began_in_time(flushed: Flushed, settings: Any, store: Store) -> None:
    # 24 that waited for a second, and 6 for two minutes, by the buckets of the histogram.
    flushed(ago=600, waits="0:24,28:6", attempts=30, successful=30)
    flushed(ago=600, waits="28:500", attempts=500, queue_name="reports")
    sentence = the_one("objective_missed").sentence
    assert sentence.startswith("Of 30 attempts in the queue 'mail' in the last hour, 80.0% began")
    [mail] = [one for one in queues_shown(store) if one.state.queue_name == "mail"]
    assert mail.attained is not None
    assert mail.attained.share == pytest.approx(0.8)
    assert mail.attained.burn_rate == pytest.approx(2.0)
    settings.TASKWORKS = {**settings.TASKWORKS, "STATISTICS": False}
    assert asked("objective_missed") == []
    assert [one.attained for one in queues_shown(store)] == [None] * len(queues_shown(store))


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["mail"], "must be a dict of objectives by queue, not ['mail']"),
        ({"mail": 30}, "['mail'] must be a dict with 'start_within', not 30"),
        ({"mail": {}}, "['mail']['start_within'] must be a number of seconds or a timedelta"),
        ({"mail": {"start_within": 0}}, "not 0."),
        ({"mail": {"start_within": timedelta(days=8)}}, "of 7 days at most"),
        ({"mail": {"start_within": True}}, "not True."),
        ({"mail": {"start_within": 1e300}}, "not 1e+300."),
        ({"mail": {"start_within": 1, "share": 99}}, "['share'] must be above 0 and up to 1"),
        ({"mail": {"start_in": 1}}, "has no key 'start_in'. Did you mean 'start_within'?"),
    ],
)
def test_an_objective_that_is_none(settings: Any, given: Any, says: str) -> None:
    entry = settings.TASKS["default"]
    settings.TASKS = {"default": {**entry, "OPTIONS": {"QUEUE_OBJECTIVES": given}}}
    with pytest.raises(CommandError) as error:
        call_command("check")
    assert "taskworks.E009" in str(error.value)
    assert says in str(error.value)
    assert asked("oldest_beyond_objective") == []
