"""Django's test cases, with a database, and the few tests that say otherwise of our backend.

What is not overridden here runs as Django wrote it. `tasks` is Django's own `tests/tasks`, which
the runner has unpacked, with our backends' names in its settings.
"""

import dataclasses
from datetime import timedelta
from uuid import uuid4

from asgiref.sync import sync_to_async
from django.test import TransactionTestCase
from django.utils import timezone
from tasks import tasks, test_dummy_backend, test_immediate_backend, test_tasks

from taskworks.backends.database import DatabaseBackend
from taskworks.exceptions import TaskResultDoesNotExist
from taskworks.framework import LOGGER_NAME, TaskResultStatus, default_task_backend, task_backends
from taskworks.models import RunState, TaskRun

from .backends import Eager, Shim


def finish(result_id: str) -> None:
    """Write into the store that this run was successful."""
    TaskRun.objects.filter(id=result_id).update(state=RunState.SUCCESSFUL)


class TaskTestCase(TransactionTestCase, test_tasks.TaskTestCase):
    def test_using_correct_backend(self) -> None:
        # Identity: the backend is ours, not Django's DummyBackend.
        self.assertEqual(default_task_backend, task_backends["default"])
        self.assertIsInstance(task_backends["default"], Shim)

    def test_get_backend(self) -> None:
        # Identity: the backends are ours, not Django's.
        self.assertEqual(tasks.noop_task.backend, "default")
        self.assertIsInstance(tasks.noop_task.get_backend(), Shim)

        immediate_task = tasks.noop_task.using(backend="immediate")
        self.assertEqual(immediate_task.backend, "immediate")
        self.assertIsInstance(immediate_task.get_backend(), Eager)

    async def test_refresh_result(self) -> None:
        # Refresh: it is a query, which Django forbids in a coroutine; so not without a thread.
        result = await tasks.noop_task.aenqueue()

        original_result = dataclasses.asdict(result)

        await sync_to_async(result.refresh)()

        self.assertEqual(dataclasses.asdict(result), original_result)

        await result.arefresh()

        self.assertEqual(dataclasses.asdict(result), original_result)


class DummyBackendTestCase(TransactionTestCase, test_dummy_backend.DummyBackendTestCase):
    def test_using_correct_backend(self) -> None:
        # Identity: the backend is ours, not Django's DummyBackend.
        self.assertEqual(default_task_backend, task_backends["default"])
        self.assertIsInstance(task_backends["default"], Shim)
        self.assertEqual(default_task_backend.alias, "default")
        self.assertEqual(default_task_backend.options, {})

    def test_refresh_result(self) -> None:
        # Refresh: a run changes in the store, not in the list of results.
        result = default_task_backend.enqueue(tasks.calculate_meaning_of_life, (), {})

        finish(result.id)

        self.assertEqual(result.status, TaskResultStatus.READY)
        result.refresh()
        self.assertEqual(result.status, TaskResultStatus.SUCCESSFUL)

    async def test_refresh_result_async(self) -> None:
        # Refresh: a run changes in the store, not in the list of results.
        result = await default_task_backend.aenqueue(tasks.calculate_meaning_of_life, (), {})

        await sync_to_async(finish)(result.id)

        self.assertEqual(result.status, TaskResultStatus.READY)
        await result.arefresh()
        self.assertEqual(result.status, TaskResultStatus.SUCCESSFUL)


class DummyBackendTransactionTestCase(test_dummy_backend.DummyBackendTransactionTestCase):
    available_apps = None  # Django's [] would keep our tables from being emptied.


class ImmediateBackendTestCase(
    TransactionTestCase, test_immediate_backend.ImmediateBackendTestCase
):
    def test_using_correct_backend(self) -> None:
        # Identity: the backend is ours, not Django's ImmediateBackend.
        self.assertEqual(default_task_backend, task_backends["default"])
        self.assertIsInstance(task_backends["default"], Eager)
        self.assertEqual(default_task_backend.alias, "default")
        self.assertEqual(default_task_backend.options, {})

    async def test_cannot_get_result(self) -> None:
        # Flag: results are stored, so ours can get one.
        result = await default_task_backend.aenqueue(tasks.calculate_meaning_of_life, (), {})

        found = await default_task_backend.aget_result(result.id)

        self.assertEqual(found, result)
        self.assertEqual(found.return_value, 42)
        self.assertEqual(await sync_to_async(default_task_backend.get_result)(result.id), result)
        for missing in ["123", 123, str(uuid4())]:
            with self.subTest(missing), self.assertRaises(TaskResultDoesNotExist):
                await default_task_backend.aget_result(missing)

    async def test_cannot_refresh_result(self) -> None:
        # Flag: results are stored, so ours can refresh one.
        result = await default_task_backend.aenqueue(tasks.calculate_meaning_of_life, (), {})
        original_result = dataclasses.asdict(result)

        await result.arefresh()
        self.assertEqual(dataclasses.asdict(result), original_result)

        await sync_to_async(result.refresh)()
        self.assertEqual(dataclasses.asdict(result), original_result)

    def test_cannot_pass_run_after(self) -> None:
        # Flag: ours can defer a run, which no worker takes before its time.
        later = timezone.now() + timedelta(hours=1)
        task = tasks.failing_task_value_error.using(run_after=later)

        default_task_backend.validate_task(task)
        result = task.enqueue()

        self.assertEqual(result.status, TaskResultStatus.READY)
        self.assertEqual(result.task.run_after, later)
        self.assertEqual(result.attempts, 0)

    def test_throws_keyboard_interrupt(self) -> None:
        # Policy: a worker records whatever a task raises, and goes on.
        backend = task_backends["default"]
        task = tasks.failing_task_keyboard_interrupt.using(priority=1)
        interrupted = DatabaseBackend.enqueue(backend, task, [], {})

        with self.assertLogs(LOGGER_NAME, level="ERROR"):
            # The worker, which has one thread, takes what has priority, and then this.
            result = tasks.calculate_meaning_of_life.enqueue()

        self.assertEqual(result.return_value, 42)
        interrupted.refresh()
        self.assertEqual(interrupted.status, TaskResultStatus.FAILED)
        self.assertEqual(interrupted.errors[0].exception_class, KeyboardInterrupt)
        self.assertEqual(interrupted.worker_ids, result.worker_ids)


class ImmediateBackendTransactionTestCase(
    test_immediate_backend.ImmediateBackendTransactionTestCase
):
    available_apps = None  # Django's [] would keep our tables from being emptied.
