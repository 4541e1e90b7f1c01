from django.db import transaction

from shop.tasks import count_words


def place_order(note: str) -> None:
    with transaction.atomic():
        count_words.enqueue(note)
        if not note:
            raise ValueError("an order needs a note")  # rolls the run back, too
