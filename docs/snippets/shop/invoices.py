from django.db import transaction

from shop.tasks import count_words


def write_invoice(note: str) -> str:
    with transaction.atomic():
        result = count_words.enqueue_on_commit(note)
        if not note:
            raise ValueError("an invoice needs a note")  # no run is stored
    return result.id
