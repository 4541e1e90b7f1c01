"""What a shop does in the background. Some of it fails, or waits for its turn, as in real life."""

import random
import time
from decimal import Decimal

from taskworks import Backoff, Limit, TaskContext, task
from taskworks.schedules import every
from taskworks.typed import api_task
from webshop.outside import (
    BankDown,
    CardDeclined,
    MailServerBusy,
    ask_the_bank,
    ask_the_mail_server,
)


@task(queue_name="mail", max_attempts=4, backoff=Backoff(initial=2), retry_on=MailServerBusy)
def send_receipt(order: int, address: str) -> str:
    ask_the_mail_server(address)
    return f"sent to {address}"


@task(give_up_on=CardDeclined, max_attempts=3, backoff=Backoff(initial=1), retry_on=BankDown)
def charge_card(order: int, amount: str, card: str) -> str:
    time.sleep(random.uniform(0.02, 0.2))
    return ask_the_bank(order, Decimal(amount), card)


@task
def resize_picture(path: str, width: int) -> dict[str, object]:
    time.sleep(random.expovariate(10))
    if path.endswith(".tiff"):
        raise ValueError(f"cannot identify the image file {path!r}")
    return {"path": path, "width": width}


# Each tenant has its turn, whatever another has enqueued.
@task(queue_name="imports", limit=Limit("imports of orders", by="tenant", at_once=1))
def import_orders(tenant: str, page: int) -> int:
    time.sleep(0.3)
    return 100


@task(queue_name="stock")
def count_stock(warehouse: str) -> int:
    return random.randrange(1000)


@every(seconds=20, label="look for abandoned carts", overlap="skip")
@task(takes_context=True)
def look_for_abandoned_carts(context: TaskContext) -> int:
    context.set_target(20)
    for _ in range(20):
        time.sleep(0.1)
        context.inc_progress()
    context.add_message("7 carts are older than a day")
    return 7


# The steps of the workflow that closes a day.


@task
def sum_up_sales(region: str) -> int:
    time.sleep(random.uniform(0.5, 2))
    return random.randrange(10_000)


@task(takes_context=True)
def close_the_day(context: TaskContext) -> int:
    return sum(context.workflow.results("regions"))


@api_task
@task(typed=True)
def refund(order: int, amount: Decimal, reason: str = "returned") -> str:
    """Pay back what a customer has paid; the dashboard draws a form from these inputs."""
    return f"order {order}: {amount} paid back, {reason}"
