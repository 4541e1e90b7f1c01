"""The payment provider, as far as the shop knows it."""

import secrets
from decimal import Decimal


class GatewayError(Exception):
    """It did not answer, or is overloaded."""


class CardDeclinedError(Exception):
    """It answered, and the answer is no."""


def charge(reference, amount):
    if not isinstance(amount, Decimal):
        raise TypeError(f"An amount is a Decimal, not {amount!r}")
    if amount <= 0:
        raise CardDeclinedError(f"{amount} cannot be charged")
    return f"{reference}-{secrets.token_hex(4)}"


def refund(payment_reference, amount):
    if not payment_reference:
        raise GatewayError("There is no payment")
    return f"refund-{payment_reference}-{amount}"
