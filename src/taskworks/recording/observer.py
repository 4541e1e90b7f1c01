"""What a worker tells of itself while it works."""

from taskworks.execution import Attempt


class Observer:
    """Told of a worker's life; does nothing. A command that prints overrides it."""

    def begins(self, label: str, taken: str) -> None:
        """The worker has registered, and takes these queues."""

    def settled(self, attempt: Attempt) -> None:
        """The outcome of an attempt is stored."""

    def draining(self, running: int) -> None:
        """The worker takes no more, and has so many runs in hand."""

    def ended(self, released: int) -> None:
        """The worker has signed off, after giving back so many runs."""
