from datetime import datetime
from decimal import Decimal

from celery import shared_task
from celery.exceptions import SoftTimeLimitExceeded
from celery.utils.log import get_task_logger
from django.conf import settings
from django.core.cache import cache

from mailing.tasks import send_mail_to
from orders import carrier, gateway
from orders.models import Order, Product

logger = get_task_logger(__name__)


@shared_task(bind=True, max_retries=5, default_retry_delay=30, acks_late=True)
def charge_order(self, order_id, amount):
    """Charge an order; the gateway is often overloaded."""
    order = Order.objects.get(pk=order_id)
    if order.state != Order.State.NEW:
        logger.info("%s is %s already", order, order.state)
        return order.payment_reference
    try:
        reference = gateway.charge(str(order_id), amount)
    except gateway.CardDeclinedError:
        order.state = Order.State.FAILED
        order.save(update_fields=["state"])
        send_mail_to.delay(order.email, "Your card was declined", f"{amount} could not be charged.")
        return None
    except gateway.GatewayError as exc:
        raise self.retry(exc=exc, countdown=2**self.request.retries)
    order.mark_as_paid(reference)
    send_mail_to.delay(order.email, "Thank you", f"We have received {amount}.")
    return reference


@shared_task(
    autoretry_for=(gateway.GatewayError,), retry_backoff=True, retry_kwargs={"max_retries": 3}
)
def refund_order(order_id):
    order = Order.objects.get(pk=order_id)
    return gateway.refund(order.payment_reference, order.total)


@shared_task(
    bind=True,
    autoretry_for=(carrier.CarrierError,),
    dont_autoretry_for=(carrier.AddressError,),
    retry_backoff=5,
    retry_backoff_max=60,
    retry_jitter=False,
)
def announce_parcel(self, order_id, *, weight, at):
    """Tell the carrier, which wants a time."""
    if not isinstance(at, datetime):
        raise TypeError(f"A time is a datetime, not {at!r}")
    order = Order.objects.get(pk=order_id)
    tracking_number = carrier.announce(order_id, weight)
    order.mark_as_shipped(at)
    logger.info("%s: %s, attempt %d", order, tracking_number, self.request.retries + 1)
    return {"order": order_id, "tracking_number": tracking_number, "at": at}


@shared_task(ignore_result=True)
def cancel_abandoned(hours=24):
    from orders.services import cancel_order

    cancelled = [cancel_order(order) for order in Order.objects.abandoned(hours)]
    logger.info("Cancelled %d orders", len(cancelled))
    return Order.objects.none()


@shared_task
def watch_stock():
    """Write one mail about all products that are low."""
    low = [product for product in Product.objects.filter(is_listed=True) if product.is_low]
    if not low:
        return 0
    key = f"low:{'-'.join(product.sku for product in low)}"
    if cache.add(key, 1, 3600):
        text = "\n".join(f"{product.sku}: {product.stock}" for product in low)
        send_mail_to.delay(settings.DEFAULT_FROM_EMAIL, "Low stock", text)
    return len(low)


@shared_task(soft_time_limit=60, time_limit=90)
def import_catalogue():
    """Update the products; what is not done in time is done tomorrow."""
    updated = []
    try:
        for entry in carrier.catalogue():
            values = {
                "name": entry["name"],
                "price": Decimal(entry["price"]),
                "stock": entry["stock"],
            }
            Product.objects.update_or_create(sku=entry["sku"], defaults=values)
            updated.append(entry["sku"])
    except SoftTimeLimitExceeded:
        logger.warning("The catalogue was not imported in time, after %s", updated[-1:])
    return updated
