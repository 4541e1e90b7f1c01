from datetime import UTC, datetime, timedelta

import time_machine
from django.test import TestCase
from freezegun import freeze_time
from taskworks.testing import run_tasks

from shop.tasks import count_words

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)


class FreezegunTests(TestCase):
    def test_words_are_counted_tomorrow(self) -> None:
        with freeze_time(NOON) as frozen:
            count_words.using(run_after=timedelta(days=1)).enqueue("see you tomorrow")
            self.assertEqual(run_tasks(), [])
            frozen.tick(timedelta(days=1))
            [result] = run_tasks()
        self.assertEqual(result.finished_at, NOON + timedelta(days=1))


class TimeMachineTests(TestCase):
    def test_words_are_counted_tomorrow(self) -> None:
        with time_machine.travel(NOON, tick=False) as traveller:
            count_words.using(run_after=timedelta(days=1)).enqueue("see you tomorrow")
            self.assertEqual(run_tasks(), [])
            traveller.shift(timedelta(days=1))
            [result] = run_tasks()
        self.assertEqual(result.finished_at, NOON + timedelta(days=1))
