"""What a thread that hears of new runs has for the worker, until the worker takes it."""

from collections import deque
from collections.abc import Callable
from contextlib import suppress

MAX_NAMED_QUEUES = 100  # of which there is news; with more of them any queue is meant


class News:
    """Queues with news; calls ``wake_worker`` when there is some, and not again until it comes."""

    def __init__(self, wake_worker: Callable[[], None]) -> None:
        self._wake_worker = wake_worker
        self._queues: deque[str | None] = deque(maxlen=MAX_NAMED_QUEUES)

    def note(self, queue_name: str | None) -> None:
        """Note that there is news of this queue; None stands for any queue."""
        self._queues.append(queue_name)
        if len(self._queues) <= 1:  # or the worker was woken, and has not come yet
            self._wake_worker()

    def take(self) -> set[str | None]:
        """Return the queues with news since the last call. Called in the worker's thread."""
        is_full = len(self._queues) == MAX_NAMED_QUEUES
        taken: set[str | None] = {None} if is_full else set()
        with suppress(IndexError):
            while True:
                taken.add(self._queues.popleft())
        return taken
