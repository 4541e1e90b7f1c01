import csv
import io
from datetime import date, timedelta
from decimal import Decimal

from celery import shared_task
from django.conf import settings
from django.core.cache import cache
from django.utils import timezone

from mailing.tasks import send_mail_to
from orders.models import Order


@shared_task(name="reports.daily")
def daily_report(day=None):
    """Sum up a day, yesterday if none is given."""
    day = day or timezone.localdate() - timedelta(days=1)
    if not isinstance(day, date):
        raise TypeError(f"A day is a date, not {day!r}")
    orders = Order.objects.paid().of_day(day)
    total = sum((order.total for order in orders), Decimal(0))
    text = f"{day}: {len(orders)} orders, {total}"
    send_mail_to.delay(settings.DEFAULT_FROM_EMAIL, "Daily report", text)
    return {"day": day, "orders": len(orders), "total": total}


@shared_task(name="reports.export", bind=True, track_started=True, time_limit=600)
def export_orders(self, state=None):
    """Write all orders as CSV, and say how far it is."""
    orders = Order.objects.order_by("created_at")
    if state:
        orders = orders.filter(state=state)
    output, count = io.StringIO(), orders.count()
    writer = csv.writer(output)
    writer.writerow(["id", "email", "state", "total"])
    for done, order in enumerate(orders.iterator(), 1):
        writer.writerow([order.id, order.email, order.state, order.total])
        if done % 100 == 0 and not self.request.called_directly:
            self.update_state(state="PROGRESS", meta={"done": done, "count": count})
    cache.set(f"export:{self.request.id}", output.getvalue(), 3600)
    return {"rows": count}


@shared_task(bind=True, max_retries=None, default_retry_delay=60)
def wait_for_export(self, export_id, address):
    """Send an export as soon as it is there."""
    text = cache.get(f"export:{export_id}")
    if text is None:
        raise self.retry()
    send_mail_to.delay(address, "Your export", text)
    return len(text)
