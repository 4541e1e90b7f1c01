"""When tickets are acknowledged, and how far a worker relies on them."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from kombu import Connection

from taskworks.celery_worker import tickets
from taskworks.celery_worker.main_thread import MainThread
from taskworks.celery_worker.tickets import Ticket, TicketSource
from taskworks.worker.claiming import NoWakeUps

pytestmark = pytest.mark.any_database


class Source(TicketSource):
    """With a pool that has room if it is told so."""

    def __init__(self, beside: Any = None) -> None:
        self.has_room = False
        self.main_thread = MainThread(SimpleNamespace(hub=object(), consumer=None))
        super().__init__(
            beside or NoWakeUps(),
            lambda: None,
            self.main_thread,
            has_room=lambda: self.has_room,
            do_come=lambda: True,
        )

    def look(self) -> None:
        """What the worker, and then the main thread, do in a turn."""
        self.take()
        self.main_thread.make_calls()


@pytest.fixture
def ticket() -> Iterator[Ticket]:
    with Connection("memory://") as connection, connection.SimpleQueue(uuid4().hex) as queue:
        queue.put({})
        yield Ticket(queue.get(timeout=60))


def test_it_is_held_until_there_is_room(ticket: Ticket) -> None:
    source = Source()
    source.hear(ticket)
    for _ in range(5):
        source.look()
    assert not ticket.message.acknowledged
    source.has_room = True
    source.look()
    assert ticket.message.acknowledged


def test_it_is_not_held_for_so_long_that_the_broker_ends_the_connection(
    ticket: Ticket, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tickets.LONGEST_HOLD < 30 * 60 / 2  # RabbitMQ's consumer_timeout
    source = Source()
    source.hear(ticket)
    source.look()
    source.look()
    assert not ticket.message.acknowledged
    monkeypatch.setattr(tickets, "LONGEST_HOLD", -1.0)
    source.look()
    assert ticket.message.acknowledged


@pytest.mark.parametrize(
    ("works", "misses_nothing", "is_all"),
    [(True, True, True), (True, False, False), (False, True, False)],
)
def test_only_the_database_tells_of_all(works: bool, misses_nothing: bool, is_all: bool) -> None:
    """A ticket goes to one node, which may be full."""
    beside = SimpleNamespace(works=works, misses_nothing=misses_nothing)
    source = Source(beside)
    assert source.works
    assert source.misses_nothing is is_all
