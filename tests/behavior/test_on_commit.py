"""``enqueue_on_commit``, and ``enqueue`` where the tables are on another alias."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction

from taskworks import TaskResult, TaskResultStatus
from taskworks.exceptions import InvalidTask, TaskResultDoesNotExist
from taskworks.models import TaskRun
from taskworks.signals import task_enqueued
from taskworks.store import store_alias
from tests import tasks
from tests.behavior import Settings, received, run_worker
from tests.behavior.test_options import OWN, TWINS, use
from tests.connections import elsewhere

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "queue"])

Act = Callable[..., TaskResult]
READY, SUCCESSFUL = TaskResultStatus.READY, TaskResultStatus.SUCCESSFUL


class ToTheQueue:
    """Our tables are on the alias "queue"."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return "queue" if model._meta.app_label == "taskworks" else None

    db_for_write = db_for_read


@pytest.fixture(params=["sync", "async"])
def on_commit(request: pytest.FixtureRequest) -> Act:
    """Both ways: ``on_commit(task, *args)``."""

    def on_commit(task: Any, *args: Any) -> TaskResult:
        if request.param == "sync":
            return task.enqueue_on_commit(*args)
        return async_to_sync(task.aenqueue_on_commit)(*args)

    return on_commit


def stored(alias: str = "default") -> int:
    """How many runs there are, to others as well."""
    count = TaskRun.objects.using(alias).count
    assert count() == elsewhere(count)
    return count()


class TestOnTheSameAlias:
    def test_enqueue_writes_at_once(self) -> None:
        with transaction.atomic():
            tasks.noop.enqueue()
            assert TaskRun.objects.count() == 1

    def test_on_commit_writes_when_it_commits(self, on_commit: Act) -> None:
        with transaction.atomic():
            on_commit(tasks.noop)
            assert TaskRun.objects.count() == 0
        assert stored() == 1

    def test_on_commit_writes_at_once_without_a_transaction(self, on_commit: Act) -> None:
        result = on_commit(tasks.add, 1, 2)
        assert stored() == 1
        assert result == tasks.add.get_result(result.id)

    def test_the_id_is_known_before(self, on_commit: Act) -> None:
        with transaction.atomic():
            result = on_commit(tasks.add, 1, 2)
            assert (result.status, result.args, result.enqueued_at) == (READY, [1, 2], None)
            with pytest.raises(TaskResultDoesNotExist):
                tasks.add.get_result(result.id)
        assert result.enqueued_at is not None
        assert tasks.add.get_result(result.id) == result
        run_worker()
        result.refresh()
        assert result.return_value == 3

    def test_what_is_rolled_back_is_dropped(self, on_commit: Act) -> None:
        with received(task_enqueued) as sent, transaction.atomic():
            result = on_commit(tasks.noop)
            transaction.set_rollback(True)
        assert (stored(), sent) == (0, [])
        with pytest.raises(TaskResultDoesNotExist):
            result.refresh()

    def test_what_was_in_a_savepoint_that_is_rolled_back_is_dropped(self, on_commit: Act) -> None:
        with transaction.atomic():
            kept = on_commit(tasks.noop)
            with transaction.atomic():
                on_commit(tasks.noop)
                transaction.set_rollback(True)
        assert [str(run.id) for run in TaskRun.objects.all()] == [kept.id]

    def test_what_was_in_a_savepoint_waits_for_the_whole(self, on_commit: Act) -> None:
        with transaction.atomic():
            with transaction.atomic():
                on_commit(tasks.noop)
            assert TaskRun.objects.count() == 0
        assert stored() == 1

    def test_runs_keep_their_order(self, on_commit: Act) -> None:
        with received(task_enqueued) as sent, transaction.atomic():
            results = [on_commit(tasks.echo, number) for number in range(3)]
        assert [signal["task_result"].id for signal in sent] == [result.id for result in results]

    def test_the_signal_is_sent_when_it_commits(self, on_commit: Act) -> None:
        with received(task_enqueued) as sent:
            with transaction.atomic():
                result = on_commit(tasks.noop)
                assert sent == []
            assert [signal["task_result"].id for signal in sent] == [result.id]

    @pytest.mark.parametrize("argument", [object(), "\0", float("nan")])
    def test_what_is_refused_is_refused_here_and_now(self, on_commit: Act, argument: Any) -> None:
        with transaction.atomic():
            with pytest.raises((TypeError, ValueError)):
                on_commit(tasks.echo, argument)
            on_commit(tasks.echo, 1)
        assert stored() == 1

    def test_a_task_is_refused_here_and_now(self, on_commit: Act, settings: Settings) -> None:
        made = tasks.noop.using(queue_name="mail")
        settings.TASKS = {"default": {**settings.TASKS["default"], "QUEUES": ["another"]}}
        with transaction.atomic(), pytest.raises(InvalidTask, match="'mail'"):
            on_commit(made)

    def test_a_delay_counts_from_the_commit(self, on_commit: Act) -> None:
        hour = timedelta(hours=1)
        with transaction.atomic():
            result = on_commit(tasks.noop.using(run_after=hour, expires=60))
        run = TaskRun.objects.get(id=result.id)
        assert run.run_after == run.enqueued_at + hour
        assert run.expires_at == run.available_at + timedelta(minutes=1)

    def test_a_change_of_an_argument_meanwhile_changes_nothing(self, on_commit: Act) -> None:
        items = [1]
        with transaction.atomic():
            result = on_commit(tasks.echo, items)
            items.append(2)
        assert TaskRun.objects.get(id=result.id).args == [[1]]

    @pytest.mark.parametrize("alias", ["default", "queue"])
    def test_a_transaction_on_another_alias_delays_only_on_commit(self, alias: str) -> None:
        with transaction.atomic(using=alias):
            tasks.noop.enqueue()
            assert TaskRun.objects.count() == 1
            tasks.noop.enqueue_on_commit()
            assert TaskRun.objects.count() == 1
        assert stored() == 2


class TestOnAnotherAlias:
    @pytest.fixture(autouse=True)
    def _router(self, settings: Settings) -> None:
        settings.DATABASE_ROUTERS = [f"{__name__}.ToTheQueue"]
        assert store_alias() == "queue"

    @pytest.fixture(params=["enqueue", "aenqueue", "enqueue_on_commit", "enqueue_many"])
    def enqueue(self, request: pytest.FixtureRequest) -> Act:
        """Every way, which come to the same here."""

        def enqueue(task: Any, *args: Any) -> TaskResult:
            match request.param:
                case "aenqueue":
                    return async_to_sync(task.aenqueue)(*args)
                case "enqueue_many":
                    return task.enqueue_many([args])[0]
                case name:
                    return getattr(task, name)(*args)

        return enqueue

    def test_runs_are_stored_there(self, enqueue: Act) -> None:
        result = enqueue(tasks.add, 1, 2)
        assert (stored("queue"), stored("default")) == (1, 0)
        run_worker()
        result.refresh()
        assert result.return_value == 3

    def test_a_run_is_handed_over_when_the_projects_transaction_commits(self, enqueue: Act) -> None:
        with received(task_enqueued) as sent:
            with transaction.atomic():
                result = enqueue(tasks.add, 1, 2)
                assert (stored("queue"), sent) == (0, [])
                assert (result.status, result.args, result.enqueued_at) == (READY, [1, 2], None)
            assert [signal["task_result"].id for signal in sent] == [result.id]
        assert stored("queue") == 1
        assert tasks.add.get_result(result.id) == result
        run_worker()
        assert tasks.add.get_result(result.id).return_value == 3

    def test_a_run_is_dropped_when_it_is_rolled_back(self, enqueue: Act) -> None:
        with transaction.atomic():
            enqueue(tasks.noop)
            transaction.set_rollback(True)
        assert stored("queue") == 0

    def test_a_run_is_dropped_with_its_savepoint(self, enqueue: Act) -> None:
        with transaction.atomic():
            kept = enqueue(tasks.noop)
            with transaction.atomic():
                enqueue(tasks.noop)
                transaction.set_rollback(True)
        assert [str(run.id) for run in TaskRun.objects.all()] == [kept.id]

    def test_what_is_refused_is_refused_here_and_now(self, enqueue: Act) -> None:
        with transaction.atomic():
            with pytest.raises(TypeError):
                enqueue(tasks.echo, object())
            enqueue(tasks.echo, 1)
        assert stored("queue") == 1

    def test_a_delay_counts_from_the_commit(self, enqueue: Act) -> None:
        hour = timedelta(hours=1)
        with transaction.atomic():
            result = enqueue(tasks.noop.using(run_after=hour))
        run = TaskRun.objects.get(id=result.id)
        assert run.run_after == run.available_at == run.enqueued_at + hour

    def test_a_transaction_there_is_the_runs_own(self) -> None:
        with transaction.atomic(using="queue"):
            tasks.noop.enqueue()
            assert TaskRun.objects.count() == 1
            tasks.noop.enqueue_on_commit()
            assert TaskRun.objects.count() == 1
            assert elsewhere(TaskRun.objects.count) == 0
        assert stored("queue") == 2

    def test_many_are_handed_over_together(self) -> None:
        with transaction.atomic():
            results = tasks.echo.enqueue_many([(n,) for n in range(5)])
            assert stored("queue") == 0
        assert [TaskRun.objects.get(id=result.id).args for result in results] == [
            [n] for n in range(5)
        ]
        assert len({result.enqueued_at for result in results}) == 1

    def test_a_result_cannot_be_waited_for_before_it_is_there(self) -> None:
        with transaction.atomic():
            result = tasks.noop.enqueue()
            for act in (result.cancel, result.refresh, lambda: result.wait(1)):
                with pytest.raises(TaskResultDoesNotExist):
                    act()


@pytest.mark.parametrize("alias", ["immediate", "dummy"])
class TestOnABackendThatStoresNothing:
    def test_a_run_waits_for_the_commit(
        self, settings: Settings, alias: str, on_commit: Act
    ) -> None:
        use(settings, TWINS[alias])
        with received(task_enqueued) as sent:
            with transaction.atomic():
                result = on_commit(tasks.add, 1, 2)
                assert (sent, result.status) == ([], READY)
            assert [signal["task_result"].id for signal in sent] == [result.id]
        assert result.enqueued_at is not None
        if alias == "immediate":
            assert (result.status, result.return_value) == (SUCCESSFUL, 3)

    def test_a_run_is_dropped_when_it_is_rolled_back(
        self, settings: Settings, alias: str, on_commit: Act
    ) -> None:
        use(settings, TWINS[alias])
        with received(task_enqueued) as sent, transaction.atomic():
            on_commit(tasks.add, 1, 2)
            transaction.set_rollback(True)
        assert sent == []

    def test_a_run_is_enqueued_at_once_without_a_transaction(
        self, settings: Settings, alias: str, on_commit: Act
    ) -> None:
        use(settings, TWINS[alias])
        with received(task_enqueued) as sent:
            result = on_commit(tasks.add, 1, 2)
        assert [signal["task_result"].id for signal in sent] == [result.id]

    def test_what_is_no_json_is_refused_here_and_now(
        self, settings: Settings, alias: str, on_commit: Act
    ) -> None:
        use(settings, TWINS[alias])
        with transaction.atomic(), pytest.raises(TypeError):
            on_commit(tasks.echo, object())

    def test_the_standards_own_says_what_to_do_instead(
        self, settings: Settings, alias: str, on_commit: Act
    ) -> None:
        use(settings, OWN[alias])
        with pytest.raises(
            NotImplementedError,
            match=r"does not support enqueue_on_commit\(\)\. Use transaction\.on_",
        ):
            on_commit(tasks.add, 1, 2)
