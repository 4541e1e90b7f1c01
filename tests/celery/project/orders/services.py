"""What views and commands do with orders."""

from django.db import transaction

from orders import tasks
from orders.models import Item, Order, Product


class OutOfStockError(Exception):
    """There is not enough of a product."""


@transaction.atomic
def place_order(email, quantities):
    """Place an order of {sku: quantity}, and charge it once that is committed."""
    order = Order.objects.create(email=email)
    products = Product.objects.select_for_update().in_bulk([*quantities], field_name="sku")
    for sku, quantity in quantities.items():
        product = products[sku]
        if product.stock < quantity:
            raise OutOfStockError(f"{product} is out of stock")
        product.stock -= quantity
        product.save(update_fields=["stock"])
        Item.objects.create(order=order, product=product, quantity=quantity, price=product.price)
    order.update_total()
    amount = order.total + order.shipping_costs()
    transaction.on_commit(lambda: tasks.charge_order.delay(order.id, amount))
    return order


@transaction.atomic
def cancel_order(order):
    """Cancel an order, and give back what was paid and reserved."""
    order = Order.objects.select_for_update().get(pk=order.pk)
    if order.state == Order.State.CANCELLED:
        return False
    for item in order.items.select_related("product"):
        item.product.stock += item.quantity
        item.product.save(update_fields=["stock"])
    if order.payment_reference:
        tasks.refund_order.delay_on_commit(order.id)
    order.cancel()
    return True


def ship_order(order, at):
    """Announce the parcel, and mark the order as shipped at this time."""
    weight = sum(item.quantity for item in order.items.all())
    return tasks.announce_parcel.apply_async(
        args=(order.id,), kwargs={"weight": weight, "at": at}, queue="shipping", priority=6
    )
