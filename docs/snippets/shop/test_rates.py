from datetime import timedelta
from unittest import mock

from django.test import TestCase
from taskworks.testing import clock, run_tasks

from shop.rates import fetch_rate


class RateTests(TestCase):
    def test_a_rate_is_fetched_when_it_is_time(self) -> None:
        fetch_rate.using(run_after=timedelta(days=1)).enqueue("EUR")
        self.assertEqual(run_tasks(), [])
        with clock() as moved, mock.patch("shop.rates.urlopen") as urlopen:
            urlopen.return_value.__enter__.return_value.read.return_value = b"0.93"
            moved.advance(days=1)
            [result] = run_tasks()
        self.assertEqual(result.return_value, 0.93)

    def test_a_rate_is_fetched_five_times_and_no_more(self) -> None:
        fetch_rate.enqueue("EUR")
        with clock() as moved, mock.patch("shop.rates.urlopen", side_effect=OSError("down")):
            for _ in range(4):
                [result] = run_tasks()
                self.assertFalse(result.is_finished)
                moved.advance(hours=1)
            with self.assertRaisesMessage(OSError, "down"):
                run_tasks()
