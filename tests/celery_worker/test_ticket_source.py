"""When tickets are acknowledged, and how far a worker relies on them."""

from types import SimpleNamespace
from typing import Any

import pytest

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


def test_it_is_held_until_there_is_room(message: Any) -> None:
    source = Source()
    source.hear(Ticket(message))
    for _ in range(5):
        source.look()
    assert not message.acknowledged
    source.has_room = True
    source.look()
    assert message.acknowledged


def test_it_is_forgotten_once_it_was_held_for_long(message: Any) -> None:
    source, ticket = Source(), Ticket(message)
    source.hear(ticket)
    source.look()
    ticket.acknowledge()
    assert message.acknowledged
    ticket.acknowledge()
    source.hear(another := Ticket(None))
    source.look()
    assert source._read == [another]


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
