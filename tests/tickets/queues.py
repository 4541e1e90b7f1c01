"""What is in the queues of a broker."""

from collections.abc import Iterator
from typing import Any

from celery import Celery
from kombu import Connection

from tests.waiting import wait_for


class Queues:
    """Takes the tickets from the queues of an app, over a connection of its own to the broker."""

    def __init__(self, app: Celery, broker: str) -> None:
        self._app = app
        self._connection = Connection(broker)
        self._channel = self._connection.channel()
        self._seen = set[str]()

    @property
    def default(self) -> str:
        return self._app.conf.task_default_queue

    def take(self, count: int, queue: str | None = None) -> list[Any]:
        """So many messages, as soon as they are there."""
        taken: list[Any] = []

        def have_come() -> bool:
            taken.extend(self._messages(queue or self.default))
            return len(taken) >= count

        wait_for(have_come, f"{count} tickets")
        return taken

    def ids(self, count: int, queue: str | None = None) -> list[str]:
        return [message.headers["id"] for message in self.take(count, queue)]

    def _messages(self, name: str) -> Iterator[Any]:
        queue = self._app.amqp.queues[name](self._channel)
        self._seen.add(name)
        queue.declare()
        while message := queue.get(no_ack=True):
            yield message

    def end(self) -> None:
        for name in self._seen | {self.default}:
            self._app.amqp.queues[name](self._channel).delete()
        self._connection.release()
