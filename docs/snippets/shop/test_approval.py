from datetime import timedelta

from django.test import TestCase
from taskworks.testing import clock, run_tasks

from shop.approval import pay_out


class ApprovalTests(TestCase):
    def test_it_is_paid_three_days_after_the_approval(self) -> None:
        result = pay_out.enqueue(7)
        run_tasks()
        self.assertTrue(result.send("decision", {"approved": True, "by": "anna"}))
        run_tasks()
        with clock() as moved:
            moved.advance(timedelta(days=3))
            [paid] = run_tasks()
        self.assertEqual(paid.return_value, "paid")

    def test_nobody_decides(self) -> None:
        pay_out.enqueue(7)
        run_tasks()
        with clock() as moved:
            moved.advance(timedelta(days=7))
            [expired] = run_tasks()
        self.assertEqual(expired.return_value, "nobody has decided")
