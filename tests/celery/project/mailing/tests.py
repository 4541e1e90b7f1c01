import smtplib
from unittest.mock import patch

from django.core import mail
from django.core.cache import cache
from django.test import TestCase

from mailing import tasks
from orders.models import Order


class MailTests(TestCase):
    def test_a_mail_is_sent(self):
        tasks.send_mail_to.delay("ada@example.com", "Hello", "Text")
        self.assertEqual(mail.outbox[0].to, ["ada@example.com"])

    def test_it_is_tried_again(self):
        outcomes = [smtplib.SMTPServerDisconnected(), OSError(), 1]
        with patch("mailing.tasks.send_mail", side_effect=outcomes) as send:
            result = tasks.send_mail_to.apply(args=("ada@example.com", "Hello", "Text"))
        self.assertEqual(send.call_count, 3)
        self.assertTrue(result.successful())

    def test_it_is_given_up(self):
        with patch("mailing.tasks.send_mail", side_effect=OSError("away")) as send:
            result = tasks.send_mail_to.apply(args=("ada@example.com", "Hello", "Text"))
        self.assertEqual(send.call_count, 5)
        self.assertEqual(result.state, "FAILURE")
        self.assertIsInstance(result.result, OSError)

    def test_the_newsletter_goes_to_customers(self):
        for email, state in [("ada@example.com", "paid"), ("bob@example.com", "new")]:
            Order.objects.create(email=email, state=state)
        with patch("mailing.tasks.send_mail_to.apply_async") as send:
            self.assertEqual(tasks.send_newsletter(), 1)
        send.assert_called_once_with(
            ("ada@example.com", "News", "There is new tea."), expires=86_400
        )

    def test_customers_are_remembered(self):
        cache.clear()
        self.assertEqual(tasks.index_customer.delay("Ada@example.com").get(), "ada@example.com")
        self.assertEqual(cache.get("customers"), {"ada@example.com"})
