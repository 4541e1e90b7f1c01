from django.test import TestCase
from taskworks.testing import assert_enqueued, run_tasks

from shop.orders import place_order
from shop.tasks import count_words


class OrderTests(TestCase):
    def test_the_words_of_an_order_are_counted(self) -> None:
        place_order("please ring twice")
        assert_enqueued(count_words, args=["please ring twice"], times=1)
        [result] = run_tasks()
        self.assertEqual(result.return_value, 3)
