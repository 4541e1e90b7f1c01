"""How a worker comes by its runs: when it looks, from which queues, and how it claims."""

from typing import Protocol


class WakeUpSource(Protocol):
    """
    What wakes a worker when there may be new runs, so that it need not poll: it calls a function
    that it was given, and then has the news ready for ``take``.
    """

    @property
    def works(self) -> bool:
        """True while it hears of new runs; while it is False the worker polls."""

    @property
    def misses_nothing(self) -> bool:
        """
        True if it hears of every new run while it works, so that a look every few seconds will do.
        """

    def start(self) -> None:
        """Begin to listen, in a thread of its own."""

    def stop(self) -> None:
        """Stop listening; return when that is done, or after a few seconds."""

    def take(self) -> set[str | None]:
        """
        Return the queues with news since the last call; None stands for any queue. Called by the
        worker each time that it has been woken, by whatever.
        """


class NoWakeUps:
    """The ``WakeUpSource`` of a worker that only polls."""

    works = misses_nothing = False

    def start(self) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""

    def take(self) -> set[str | None]:
        return set()
