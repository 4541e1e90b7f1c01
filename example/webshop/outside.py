"""What is outside the shop, and not always well."""

import random
import time
from decimal import Decimal


class MailServerBusy(Exception):  # noqa: N818 - what the mail server says
    pass


class BankDown(Exception):  # noqa: N818
    pass


class CardDeclined(Exception):  # noqa: N818
    pass


def ask_the_mail_server(address: str) -> None:
    time.sleep(random.uniform(0.01, 0.1))
    if random.random() < 0.15:
        raise MailServerBusy("451 Requested action aborted: try again later")


def ask_the_bank(order: int, amount: Decimal, card: str) -> str:
    if random.random() < 0.1:
        raise BankDown("the bank's host did not answer within 30 s")
    if card.endswith("0"):
        raise CardDeclined(f"the card {card[-4:]} was declined: insufficient funds")
    return f"charge-{order:06}"
