"""The kit as a project uses it: in a TestCase of Django's."""

from datetime import timedelta

from asgiref.sync import sync_to_async
from django.test import TestCase

from taskworks.testing import assert_enqueued, assert_not_enqueued, clock, run_tasks
from tests import tasks


class InTestCase(TestCase):
    def test_tasks_are_executed(self) -> None:
        tasks.add.enqueue(1, 2)
        [result] = run_tasks()
        self.assertEqual(result.return_value, 3)

    def test_what_waits_for_a_commit_is_executed_after_it(self) -> None:
        with self.captureOnCommitCallbacks(execute=True):
            tasks.add.enqueue_on_commit(1, 2)
            assert_not_enqueued(tasks.add)
        assert_enqueued(tasks.add)
        [result] = run_tasks()
        self.assertEqual(result.return_value, 3)

    def test_the_clock_is_moved(self) -> None:
        tasks.noop.using(run_after=timedelta(days=1)).enqueue()
        with clock() as moved:
            moved.advance(days=1)
            self.assertEqual(len(run_tasks()), 1)

    async def test_in_a_coroutine(self) -> None:
        await tasks.add.aenqueue(1, 2)
        await tasks.add_async.aenqueue(3, 4)
        results = await sync_to_async(run_tasks)()
        self.assertEqual([result.return_value for result in results], [3, 7])
