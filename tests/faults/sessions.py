"""Another session of the database, which holds something."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import transaction

from tests.connections import begin_elsewhere


@contextmanager
def holding(do: Callable[[], object]) -> Iterator[None]:
    """While this lasts, another session is in a transaction that has done ``do``."""
    done, release = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic():
                do()
                done.set()
                release.wait()
        finally:
            done.set()

    session = begin_elsewhere(hold)
    done.wait()
    if session.done():
        session.result()
    try:
        yield
    finally:
        release.set()
        session.result(timeout=60)
