from asgiref.sync import sync_to_async
from django.test import TestCase
from taskworks.testing import run_tasks

from shop.fetching import wait_a_little


class WaitTests(TestCase):
    async def test_it_waits(self) -> None:
        await wait_a_little.aenqueue(0.01)
        [result] = await sync_to_async(run_tasks)()
        self.assertEqual(result.return_value, 0.01)
