import smtplib

from celery import shared_task
from django.apps import apps
from django.conf import settings
from django.core.cache import cache
from django.core.mail import send_mail


@shared_task(
    queue="mail",
    autoretry_for=(smtplib.SMTPException, OSError),
    retry_backoff=10,
    max_retries=4,
    ignore_result=True,
)
def send_mail_to(address, subject, text):
    return send_mail(subject, text, settings.DEFAULT_FROM_EMAIL, [address])


@shared_task(queue="mail")
def send_newsletter():
    """Write to everybody who has bought something."""
    paid = apps.get_model("orders", "Order").objects.paid()
    addresses = sorted({*paid.values_list("email", flat=True)})
    for address in addresses:
        send_mail_to.apply_async((address, "News", "There is new tea."), expires=86_400)
    return len(addresses)


@shared_task
def index_customer(email):
    customers = cache.get("customers", set())
    cache.set("customers", customers | {email.lower()})
    return email.lower()
