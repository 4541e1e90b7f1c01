"""``unique`` with the backends that store nothing, and in schedules."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction

from taskworks import AlreadyEnqueued, Debounce, Unique, task, task_backends
from taskworks.exceptions import InvalidTask
from taskworks.models import Firing, Schedule, TaskRun
from taskworks.schedules import firing
from taskworks.schedules.firing import fire, fire_now
from taskworks.signals import task_enqueued
from taskworks.store import Store, store
from tests import tasks
from tests.behavior import Settings, unique
from tests.connections import begin_elsewhere, held_elsewhere, wait_until_blocked
from tests.schedules.firing import fire_due, scheduled

DUMMY = "taskworks.backends.dummy.DummyBackend"
IMMEDIATE = "taskworks.backends.immediate.ImmediateBackend"
called: list[int] = []


@task(unique=Unique("number", while_="waiting"))
def note_later(number: int) -> None: ...


@task(unique=Unique("number"))
def note(number: int) -> None:
    called.append(number)


@pytest.fixture
def dummy(settings: Settings) -> Any:
    settings.TASKS = {"default": {"BACKEND": DUMMY}}
    return task_backends["default"]


def test_the_dummy_keeps_one_result_a_key(dummy: Any) -> None:
    first, second, other = note.enqueue(1), note.enqueue(number=1), note.enqueue(2)
    assert (first.is_new, second.is_new, other.is_new) == (True, False, True)
    assert second.id == first.id
    assert [result.id for result in dummy.results] == [first.id, other.id]
    dummy.clear()
    assert note.enqueue(1).is_new


def test_the_dummy_replaces_refuses_and_supersedes(dummy: Any) -> None:
    unique.replaced.enqueue(1, "old")
    assert unique.replaced.enqueue(1, "new").args == [1, "new"]
    assert [result.args for result in dummy.results] == [[1, "new"]]
    first = unique.refused.enqueue(1)
    with pytest.raises(AlreadyEnqueued) as error:
        unique.refused.enqueue(1)
    assert error.value.result.id == first.id
    old, new = unique.superseded.enqueue(1), unique.superseded.enqueue(1)
    ids = [result.id for result in dummy.results]
    assert new.id in ids
    assert old.id not in ids


def test_the_dummy_refuses_what_is_not_json(dummy: Any) -> None:
    with pytest.raises(TypeError):
        note.enqueue(object())  # type: ignore[arg-type]
    assert dummy.results == []


def test_the_dummy_announces_only_new_runs(dummy: Any) -> None:
    heard: list[str] = []

    def hear(task_result: Any, **kwargs: Any) -> None:
        heard.append(task_result.id)

    task_enqueued.connect(hear)
    try:
        first = unique.replaced.enqueue(1, "old")
        unique.replaced.using(priority=5).enqueue(1, reason="new")
    finally:
        task_enqueued.disconnect(hear)
    assert heard == [first.id]
    [kept] = dummy.results
    assert (kept.args, kept.kwargs, kept.task.priority) == ([1], {"reason": "new"}, 5)


def test_the_dummy_keeps_no_key_of_a_run_that_it_does_not_keep(dummy: Any) -> None:
    for _ in range(3):
        unique.superseded.enqueue(1)
    assert len(dummy._keys) == len(dummy.results) == 1
    dummy.clear()
    assert (dummy._keys, dummy.results) == ({}, [])


@pytest.mark.django_db(transaction=True)
def test_on_commit_the_dummy_says_whether_it_is_new(dummy: Any) -> None:
    first = note.using(priority=7).enqueue(1)
    with transaction.atomic():
        second, other = note.enqueue_on_commit(number=1), tasks.noop.enqueue_on_commit()
        assert (second.is_new, other.is_new) == (None, True)
    assert (second.id, second.is_new) == (first.id, False)
    assert second == first
    assert note.enqueue_on_commit(2).is_new


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("backend", [DUMMY, IMMEDIATE])
def test_elsewhere_a_commit_cannot_refuse_either(settings: Settings, backend: str) -> None:
    settings.TASKS = {"default": {"BACKEND": backend}}
    with transaction.atomic():
        with pytest.raises(InvalidTask, match="nobody could catch"):
            unique.refused.enqueue_on_commit(1)
        executed = note.enqueue_on_commit(1)
        assert executed.is_new is None
    assert executed.is_new
    assert unique.refused.enqueue_on_commit(1).is_new


def test_executed_at_once_there_is_nothing_to_meet(settings: Settings) -> None:
    settings.TASKS = {"default": {"BACKEND": IMMEDIATE}}
    called.clear()
    results = [note.enqueue(1), note.enqueue(1)]
    assert called == [1, 1]
    assert [result.is_new for result in results] == [True, True]


@pytest.mark.django_db(transaction=True)
def test_a_schedule_fires_for_the_run_that_stands() -> None:
    schedule = scheduled(note, args=[1])
    first, second = fire_now(schedule), fire_now(schedule)
    assert second.id == first.id
    assert TaskRun.objects.count() == 1
    assert [str(run) for run in Firing.objects.values_list("run", flat=True)] == [first.id] * 2


one_writer = pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer")


def due_now(*schedules: Schedule) -> None:
    now = store().read_clock()
    Schedule.objects.filter(pk__in=[schedule.pk for schedule in schedules]).update(
        next_run=now, due_at=now
    )


def new_key() -> None:
    note.enqueue(1)


def waiting_run() -> None:
    """It is held back until the other transaction ends."""
    note_later.enqueue(1)


@pytest.mark.django_db(transaction=True)
@one_writer
@pytest.mark.parametrize(
    ("made", "hold", "overlap"),
    [
        (note, new_key, "run"),
        (note_later, waiting_run, "run"),
        (tasks.noop, waiting_run, "cancel_previous"),
    ],
)
def test_a_schedule_that_another_transaction_holds_up_waits_not_for_that_to_end(
    made: Any, hold: Callable[[], None], overlap: str
) -> None:
    """Others fire, and it fires once, at the first look after that."""
    previous = note_later.enqueue(1)
    args = [] if made is tasks.noop else [1]
    waiting = scheduled(made, args=args, label="waiting", overlap=overlap)
    others = [scheduled("tests.schedules.bell.noop", label=f"bell {at}") for at in range(2)]
    Firing.objects.create(
        schedule=waiting,
        planned_at=store().read_clock() - timedelta(hours=1),
        fired_at=store().read_clock(),
        run=UUID(previous.id),
    )
    due_now(waiting, *others)
    with held_elsewhere(hold):
        assert fire_due(store()) == 3
        assert [schedule.firings.count() for schedule in (waiting, *others)] == [1, 1, 1]
        waiting.refresh_from_db()
        assert (waiting.fired, waiting.error) == (0, "")
        assert store().schedule_agenda().due == [waiting.pk]
        due_now(*others)
        assert fire_due(store()) == 3
    assert fire_due(store()) == 1
    waiting.refresh_from_db()
    assert (waiting.fired, waiting.firings.count()) == (1, 2)
    assert store().schedule_agenda().due == []


@pytest.mark.django_db(transaction=True)
@one_writer
def test_many_schedules_that_are_held_up_are_left_for_the_next_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[int] = []
    fire_alone = firing._fire_alone

    def count(store: Store, schedule: int, max_wait: Any) -> list[float]:
        tried.append(schedule)
        return fire_alone(store, schedule, max_wait)

    monkeypatch.setattr(firing, "_fire_alone", count)
    monkeypatch.setattr(firing, "MAX_HELD_UP", 1)
    held_up = [scheduled(note, args=[1], label=f"waiting {number}") for number in range(3)]
    due_now(*held_up)
    with held_elsewhere(new_key):
        assert fire_due(store()) == 3
    assert len(tried) == 1
    assert fire_due(store()) == 3
    assert TaskRun.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@one_writer
def test_who_fires_a_schedule_here_and_now_waits() -> None:
    schedule = scheduled(note, args=[1])
    due_now(schedule)
    with held_elsewhere(new_key):
        firing_now = begin_elsewhere(lambda: fire(schedule.pk))
        wait_until_blocked()
    assert firing_now.result(timeout=60)
    assert schedule.firings.count() == 1


def test_debounce_is_a_kind_of_unique() -> None:
    assert isinstance(Debounce(wait=1, longest=2), Unique)
