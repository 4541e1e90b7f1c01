"""What a backend refuses, when a task is defined and again when it is enqueued."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from taskworks import task, task_backends
from taskworks.backends.database import DatabaseBackend
from taskworks.exceptions import InvalidTask
from taskworks.models import TaskRun
from tests import tasks
from tests.behavior import DATABASE_BACKEND, Enqueue, Settings, refused

AHEAD = datetime(2100, 1, 1, tzinfo=UTC)


class WithoutPriority(DatabaseBackend):
    supports_priority = False


class WithoutAsync(DatabaseBackend):
    supports_async_task = False


class WithoutDefer(DatabaseBackend):
    supports_defer = False


class WithHours(DatabaseBackend):
    """Takes tasks at some hours only."""

    is_open = True

    def validate_task(self, task: Any) -> None:
        super().validate_task(task)
        if not WithHours.is_open:
            raise InvalidTask("We are closed.")


def plain() -> None: ...


async def plain_async() -> None: ...


def use(settings: Settings, backend: str, **params: Any) -> None:
    settings.TASKS = {"default": {"BACKEND": backend, **params}}


@pytest.mark.parametrize("priority", [-100, -1, 0, 1, 100])
def test_whole_priorities_from_minus_100_to_100_are_taken(priority: int) -> None:
    assert task(priority=priority)(plain).priority == priority
    assert tasks.noop.using(priority=priority).priority == priority


@pytest.mark.parametrize(
    "priority", [-101, 101, 3.1, float("nan"), float("inf"), 2**70, "5", [5], 1j]
)
def test_other_priorities_are_refused(priority: Any) -> None:
    sentence = "^priority must be a whole number between -100 and 100.$"
    with pytest.raises(InvalidTask, match=sentence):
        task(priority=priority)(plain)
    with pytest.raises(InvalidTask, match=sentence):
        tasks.noop.using(priority=priority)


def test_a_priority_is_refused_where_there_are_none(settings: Settings) -> None:
    use(settings, f"{__name__}.WithoutPriority")
    assert task(priority=0)(plain).priority == 0
    with pytest.raises(InvalidTask, match=r"^Backend does not support setting priority of tasks.$"):
        task(priority=1)(plain)


def test_a_naive_run_after_is_refused() -> None:
    with pytest.raises(InvalidTask, match=r"^run_after must be an aware datetime.$"):
        tasks.noop.using(run_after=datetime(2100, 1, 1))


def test_a_naive_run_after_is_taken_without_time_zones(settings: Settings) -> None:
    settings.USE_TZ = False
    naive = datetime(2100, 1, 1)
    assert tasks.noop.using(run_after=naive).run_after == naive


@pytest.mark.parametrize("run_after", [AHEAD, timedelta(hours=1), timedelta(0)])
def test_a_point_in_time_and_a_delay_are_taken(run_after: Any) -> None:
    assert tasks.noop.using(run_after=run_after).run_after == run_after


@pytest.mark.parametrize("run_after", ["2100-01-01", 3600, date(2100, 1, 1)])
def test_what_is_no_time_is_refused(run_after: Any) -> None:
    kind = type(run_after).__name__
    with pytest.raises(
        InvalidTask, match=f"^run_after must be a datetime, a timedelta or None, not {kind}.$"
    ):
        tasks.noop.using(run_after=run_after)


@pytest.mark.parametrize("delay", [timedelta.max, timedelta.min])
def test_a_delay_out_of_the_calendar_is_refused(delay: timedelta) -> None:
    with pytest.raises(InvalidTask, match=r"run_after is out of range"):
        tasks.noop.using(run_after=delay)


def test_a_run_after_is_refused_where_nothing_waits(settings: Settings) -> None:
    use(settings, f"{__name__}.WithoutDefer")
    for run_after in (AHEAD, timedelta(hours=1)):
        with pytest.raises(InvalidTask, match=r"^Backend does not support run_after.$"):
            tasks.noop.using(run_after=run_after)


def test_an_unknown_queue_is_refused() -> None:
    for define in (
        lambda: task(queue_name="nowhere")(plain),
        lambda: tasks.noop.using(queue_name="nowhere"),
    ):
        with pytest.raises(InvalidTask, match=r"^Queue 'nowhere' is not valid for backend.$"):
            define()


def test_every_queue_is_known_to_a_backend_without_a_list(settings: Settings) -> None:
    use(settings, DATABASE_BACKEND, QUEUES=[])
    assert task(queue_name="nowhere")(plain).queue_name == "nowhere"


def test_a_backend_that_names_no_queues_has_the_default_one(settings: Settings) -> None:
    use(settings, DATABASE_BACKEND)
    assert task(plain).queue_name == "default"
    with pytest.raises(InvalidTask, match=r"^Queue 'mail' is not valid for backend.$"):
        task(queue_name="mail")(plain)


@pytest.mark.parametrize("name", ["", "x" * 129, "a\nb", "a\0b", "\ud800", 5])
def test_a_queue_name_is_1_to_128_printable_characters(settings: Settings, name: Any) -> None:
    use(settings, DATABASE_BACKEND, QUEUES=[])
    with pytest.raises(InvalidTask, match=r"queue name must be 1 to 128 printable characters "):
        task(queue_name=name)(plain)
    assert task(queue_name="ü" * 128)(plain).queue_name == "ü" * 128


def test_a_coroutine_function_is_refused_where_none_runs(settings: Settings) -> None:
    use(settings, f"{__name__}.WithoutAsync")
    with pytest.raises(InvalidTask, match=r"^Backend does not support async Tasks.$"):
        task(plain_async)


@pytest.mark.django_db
class TestAtEnqueue:
    """The settings may have changed since the task was defined."""

    def test_the_queue_is_looked_at_again(self, settings: Settings, enqueue: Enqueue) -> None:
        use(settings, DATABASE_BACKEND, QUEUES=["another"])
        with refused(InvalidTask, "Queue 'default' is not valid for backend."):
            enqueue(tasks.noop)

    def test_the_priority_is_looked_at_again(self, settings: Settings, enqueue: Enqueue) -> None:
        urgent = tasks.noop.using(priority=5)
        use(settings, f"{__name__}.WithoutPriority")
        with refused(InvalidTask, "Backend does not support setting priority of tasks."):
            enqueue(urgent)

    def test_the_kind_of_function_is_looked_at_again(
        self, settings: Settings, enqueue: Enqueue
    ) -> None:
        use(settings, f"{__name__}.WithoutAsync")
        with refused(InvalidTask, "Backend does not support async Tasks."):
            enqueue(tasks.add_async, 1, 2)

    def test_the_time_zone_is_looked_at_again(self, settings: Settings, enqueue: Enqueue) -> None:
        settings.USE_TZ = False
        naive = tasks.noop.using(run_after=datetime(2100, 1, 1))
        settings.USE_TZ = True
        with refused(InvalidTask, "run_after must be an aware datetime."):
            enqueue(naive)

    def test_what_is_still_valid_is_stored(self, settings: Settings, enqueue: Enqueue) -> None:
        use(settings, DATABASE_BACKEND, QUEUES=["default", "another"])
        enqueue(tasks.noop)
        assert TaskRun.objects.count() == 1

    def test_an_alias_that_no_row_can_hold_is_refused(
        self, settings: Settings, enqueue: Enqueue
    ) -> None:
        long = "x" * 65
        settings.TASKS = {**settings.TASKS, long: {"BACKEND": DATABASE_BACKEND}}
        before = TaskRun.objects.count()
        with pytest.raises((InvalidTask, ImproperlyConfigured)):
            enqueue(tasks.noop.using(backend=long))
        assert TaskRun.objects.count() == before

    def test_a_task_that_was_enqueued_before_is_looked_at_again(
        self, settings: Settings, enqueue: Enqueue
    ) -> None:
        enqueue(tasks.noop)
        use(settings, DATABASE_BACKEND, QUEUES=["another"])
        with refused(InvalidTask, "Queue 'default' is not valid for backend."):
            enqueue(tasks.noop)

    def test_a_backend_of_ones_own_looks_at_each(
        self, settings: Settings, enqueue: Enqueue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        use(settings, f"{__name__}.WithHours")
        enqueue(tasks.noop)
        monkeypatch.setattr(WithHours, "is_open", False)
        with refused(InvalidTask, "We are closed."):
            enqueue(tasks.noop)

    def test_metadata_that_has_changed_is_looked_at_again(self, enqueue: Enqueue) -> None:
        labelled = tasks.noop.using(metadata={"a": 1})
        for value in (1, 2):
            labelled.metadata["a"] = value
            enqueue(labelled)
        assert {run.metadata["a"] for run in TaskRun.objects.all()} == {1, 2}
        labelled.metadata["a"] = object()
        with refused(TypeError, "metadata['a']"):
            enqueue(labelled)

    @pytest.mark.parametrize(
        ("attribute", "value", "error"),
        [
            ("supports_async_task", False, "Backend does not support async Tasks."),
            ("supports_priority", False, "Backend does not support setting priority of tasks."),
            ("queues", {"another"}, "Queue 'default' is not valid for backend."),
        ],
    )
    def test_a_backend_that_has_changed_looks_at_a_task_again(
        self,
        enqueue: Enqueue,
        monkeypatch: pytest.MonkeyPatch,
        attribute: str,
        value: Any,
        error: str,
    ) -> None:
        urgent = tasks.add_async.using(priority=1)
        enqueue(urgent, 1, 2)
        monkeypatch.setattr(task_backends["default"], attribute, value)
        with refused(InvalidTask, error):
            enqueue(urgent, 1, 2)
