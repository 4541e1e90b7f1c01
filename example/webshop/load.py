"""An ordinary day in the shop, in fast motion."""

import random
from collections.abc import Callable
from threading import Event

from taskworks.control import pause, pauses
from webshop.closing import closing
from webshop.tasks import charge_card, count_stock, import_orders, resize_picture, send_receipt

TENANTS = ("acme", "globex", "initech")


def run(stopped: Event, *, per_second: float) -> None:
    """Enqueue what customers, tenants and the clock ask for, until it is stopped."""
    pause_the_stock()
    order = 0
    while not stopped.wait(random.expovariate(per_second)):
        order += 1
        serve_a_customer(order)
        if order % 40 == 0:
            import_a_tenant_s_orders(random.choice(TENANTS))
        if order % 25 == 0:
            count_stock.enqueue(warehouse=random.choice(["Bremen", "Lyon"]))
        if order % 150 == 10:
            closing().enqueue()


def pause_the_stock() -> None:
    if not any(one.name == "stock" for one in pauses()):
        pause("stock", reason="the warehouse counts by hand until Monday", by="the example")


def serve_a_customer(order: int) -> None:
    card = f"4000 0000 0000 {random.randrange(10_000):04}"
    asks: list[Callable[[], object]] = [
        lambda: charge_card.enqueue(order=order, amount=f"{order % 90 + 9}.90", card=card),
        lambda: send_receipt.enqueue(order=order, address=f"customer{order}@example.com"),
        lambda: resize_picture.enqueue(path=f"{order}{random.choice(ENDINGS)}", width=800),
    ]
    random.choice(asks)()


ENDINGS = [".jpg"] * 20 + [".tiff"]


def import_a_tenant_s_orders(tenant: str) -> None:
    for page in range(random.randrange(5, 40)):
        import_orders.enqueue(tenant=tenant, page=page)
