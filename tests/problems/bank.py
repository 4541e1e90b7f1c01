"""Tasks of a shop whose bank is down, and of which some are wrong."""

from taskworks import task

BANK = {"is_down": True}
RATES = {"EUR": 1.0}


@task
def charge(order: int) -> int:
    if BANK["is_down"]:
        raise ConnectionError(f"the bank does not answer; order {order}")
    return order


@task
def convert(currency: str) -> float:
    return RATES[currency]


@task
def send_invoice(order: int) -> None:
    raise ValueError(f"order {order} has no address")
