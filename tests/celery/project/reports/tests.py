from datetime import date, datetime
from decimal import Decimal
from unittest.mock import patch
from zoneinfo import ZoneInfo

from django.core import mail
from django.core.cache import cache
from django.test import TestCase
from django.urls import reverse

from orders.models import Order
from reports import tasks

NOON = datetime(2026, 1, 5, 12, tzinfo=ZoneInfo("Europe/Berlin"))


class DailyReportTests(TestCase):
    def setUp(self):
        for state, total in [("paid", "10.00"), ("shipped", "5.50"), ("new", "99.00")]:
            Order.objects.create(
                email="ada@example.com", state=state, total=Decimal(total), created_at=NOON
            )

    def test_it_sums_up_a_day(self):
        report = tasks.daily_report.delay(date(2026, 1, 5)).get()
        self.assertEqual(report, {"day": date(2026, 1, 5), "orders": 2, "total": Decimal("15.50")})
        self.assertEqual(mail.outbox[0].body, "2026-01-05: 2 orders, 15.50")

    def test_yesterday_is_the_default(self):
        self.assertEqual(tasks.daily_report()["orders"], 0)

    def test_its_name(self):
        self.assertEqual(tasks.daily_report.name, "reports.daily")


class ExportTests(TestCase):
    def setUp(self):
        cache.clear()
        Order.objects.create(email="ada@example.com", state="paid", total=Decimal("10.00"))
        Order.objects.create(email="bob@example.com")

    def test_a_view_begins_it(self):
        response = self.client.post(reverse("export"), {"state": "paid"})
        self.assertEqual(response.status_code, 202)
        text = cache.get(f"export:{response.json()['id']}")
        self.assertEqual(text.splitlines()[0], "id,email,state,total")
        self.assertEqual(len(text.splitlines()), 2)

    def test_it_can_be_called(self):
        self.assertEqual(tasks.export_orders(), {"rows": 2})

    def test_it_says_how_far_it_is(self):
        Order.objects.bulk_create(Order(email="eve@example.com") for _ in range(250))
        with patch("reports.tasks.export_orders.update_state") as update:
            tasks.export_orders.apply()
        self.assertEqual(
            [call.kwargs["meta"]["done"] for call in update.call_args_list], [100, 200]
        )

    def test_its_progress_is_shown(self):
        with patch("reports.views.AsyncResult") as result:
            result.return_value.failed.return_value = False
            result.return_value.state = "PROGRESS"
            result.return_value.info = {"done": 100, "count": 252}
            result.return_value.ready.return_value = False
            response = self.client.get(reverse("progress", args=["an-id"]))
        self.assertEqual(response.json()["info"], {"done": 100, "count": 252})

    def test_an_export_is_awaited(self):
        answers = [None, None, "id,email"]
        with patch("reports.tasks.cache.get", side_effect=answers) as get:
            result = tasks.wait_for_export.apply(args=("an-id", "ada@example.com"))
        self.assertEqual(get.call_count, 3)
        self.assertEqual(result.get(), 8)
        self.assertEqual(mail.outbox[0].subject, "Your export")
