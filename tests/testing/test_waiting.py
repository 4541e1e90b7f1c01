"""enqueued(), assert_enqueued(), assert_not_enqueued(): what waits, and what was expected to."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from taskworks import TaskResult, default_task_backend, framework
from taskworks.testing import assert_enqueued, assert_not_enqueued, enqueued, run_tasks
from tests import tasks
from tests.behavior import DATABASE_BACKEND, Settings

pytestmark = pytest.mark.usefixtures("database", "backend")

MINUTE = timedelta(minutes=1)
BACKENDS = {
    "database": DATABASE_BACKEND,
    "dummy": "taskworks.backends.dummy.DummyBackend",
    "standard dummy": f"{framework.DummyBackend.__module__}.DummyBackend",
}


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, settings: Settings) -> None:
    """What keeps runs that wait."""
    entry = {"BACKEND": BACKENDS[request.param], "QUEUES": []}
    settings.TASKS = {**settings.TASKS, "default": entry, "other": entry}


class TestEnqueued:
    def test_is_everything_that_waits_in_its_order(self) -> None:
        first = tasks.noop.enqueue()
        second = tasks.add.using(run_after=MINUTE).enqueue(1, 2)
        third = tasks.noop.using(priority=5).enqueue()
        assert [result.id for result in enqueued()] == [first.id, second.id, third.id]

    def test_has_results(self) -> None:
        tasks.send_mail.enqueue("you")
        [result] = enqueued()
        assert isinstance(result, TaskResult)
        assert (result.args, result.task.queue_name) == (["you"], "mail")

    def test_may_be_of_one_task(self) -> None:
        tasks.noop.enqueue()
        tasks.add.enqueue(1, 2)
        assert [result.task.name for result in enqueued(tasks.add)] == ["add"]
        assert enqueued(tasks.echo) == []

    def test_is_of_a_task_whatever_its_options(self) -> None:
        tasks.noop.using(priority=5).enqueue()
        assert len(enqueued(tasks.noop)) == 1
        assert len(enqueued(tasks.noop.using(priority=7))) == 1

    def test_may_be_of_one_queue(self) -> None:
        tasks.noop.enqueue()
        tasks.send_mail.enqueue("you")
        assert [result.task.name for result in enqueued(queue_name="mail")] == ["send_mail"]

    def test_is_of_a_backend(self) -> None:
        tasks.noop.using(backend="other").enqueue()
        assert enqueued() == enqueued(tasks.noop) == []
        assert len(enqueued(backend="other")) == 1
        assert len(enqueued(tasks.noop.using(backend="other"))) == 1


class TestAssertion:
    def test_passes_for_a_run_that_waits(self) -> None:
        result = tasks.echo.enqueue(1, [2], word="yes")
        [found] = assert_enqueued(tasks.echo)
        assert found.id == result.id

    @pytest.mark.parametrize(
        "expected",
        [
            {"args": [1, [2]]},
            {"args": (1, (2,))},
            {"kwargs": {"word": "yes"}},
            {"queue_name": "mail"},
            {"priority": 7},
            {"run_after": MINUTE},
            {"times": 1},
            {"args": [1, [2]], "kwargs": {"word": "yes"}, "queue_name": "mail", "times": 1},
        ],
        ids=str,
    )
    def test_passes_for_what_was_enqueued(self, expected: Any) -> None:
        changed = tasks.echo.using(queue_name="mail", priority=7, run_after=MINUTE)
        changed.enqueue(1, [2], word="yes")
        tasks.noop.enqueue()
        assert_enqueued(tasks.echo, **expected)

    @pytest.mark.parametrize(
        "expected",
        [
            {"args": [1]},
            {"args": []},
            {"kwargs": {"word": "no"}},
            {"kwargs": {}},
            {"queue_name": "default"},
            {"priority": 0},
            {"run_after": MINUTE * 2},
            {"run_after": timezone.now()},
            {"times": 0},
            {"times": 2},
        ],
        ids=str,
    )
    def test_fails_for_what_was_not(self, expected: Any) -> None:
        changed = tasks.echo.using(queue_name="mail", priority=7, run_after=MINUTE)
        changed.enqueue(1, [2], word="yes")
        with pytest.raises(AssertionError):
            assert_enqueued(tasks.echo, **expected)

    def test_compares_points_in_time(self) -> None:
        moment = timezone.now() + MINUTE
        tasks.noop.using(run_after=moment).enqueue()
        assert_enqueued(tasks.noop, run_after=moment)
        assert_not_enqueued(tasks.noop, run_after=moment + timedelta(microseconds=1))

    def test_fails_for_a_delay_of_what_is_ready(self) -> None:
        tasks.noop.enqueue()
        assert_not_enqueued(tasks.noop, run_after=timedelta(0))

    def test_shows_what_waits_instead(self) -> None:
        tasks.echo.using(queue_name="mail").enqueue(1, word="yes")
        with pytest.raises(AssertionError) as caught:
            assert_enqueued(tasks.echo, args=[2], priority=5)
        assert str(caught.value).splitlines() == [
            "tests.tasks.echo args=[2] priority=5 is not enqueued.",
            "Enqueued runs:",
            "  tests.tasks.echo args=[1] kwargs={'word': 'yes'} queue_name='mail' run_after=None "
            "priority=0",
        ]

    def test_says_that_nothing_waits(self) -> None:
        with pytest.raises(
            AssertionError, match=r"echo is not enqueued\.\nNo runs are enqueued\.$"
        ):
            assert_enqueued(tasks.echo)

    def test_counts(self) -> None:
        for number in (1, 2, 2):
            tasks.echo.enqueue(number)
        assert len(assert_enqueued(tasks.echo, args=[2], times=2)) == 2
        with pytest.raises(AssertionError, match=r"echo args=\[2\] is enqueued 2 times, not 3\."):
            assert_enqueued(tasks.echo, args=[2], times=3)

    def test_shows_so_many_and_no_more(self) -> None:
        for number in range(30):
            tasks.echo.enqueue(number)
        with pytest.raises(AssertionError, match=r"args=\[19\].*\n  and 10 more$"):
            assert_enqueued(tasks.noop)

    def test_the_other_way_round(self) -> None:
        tasks.echo.enqueue(1)
        assert_not_enqueued(tasks.noop)
        assert_not_enqueued(tasks.echo, args=[2])
        with pytest.raises(
            AssertionError, match=r"echo args=\[1\] is enqueued\.\nEnqueued runs:\n"
        ):
            assert_not_enqueued(tasks.echo, args=[1])

    def test_refuses_what_could_not_be_an_argument(self) -> None:
        with pytest.raises(TypeError, match=r"Unsupported type: .* at args\[0\]"):
            assert_enqueued(tasks.echo, args=[timezone.now()])


def test_what_was_executed_does_not_wait() -> None:
    if not hasattr(default_task_backend, "results"):
        tasks.noop.enqueue()
        run_tasks()
        assert enqueued() == []


def test_an_immediate_backend_has_nothing_that_waits() -> None:
    with pytest.raises(NotImplementedError, match=r"'immediate' \(ImmediateBackend\) does not"):
        enqueued(backend="immediate")
