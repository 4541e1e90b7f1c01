"""What comes to a worker's own thread from others."""

from contextlib import suppress
from queue import Empty, SimpleQueue

from taskworks.execution import Attempt, Outcome

Message = tuple[Attempt, Outcome] | None


class Inbox:
    """Takes in attempts that have ended, with what became of them, and wake-ups, which are None."""

    def __init__(self) -> None:
        self._messages: SimpleQueue[Message] = SimpleQueue()

    def wake(self) -> None:
        """End the wait. Safe in a signal handler, and from any thread."""
        self._messages.put(None)

    def receive(self, attempt: Attempt, outcome: Outcome) -> None:
        """Take in what became of an attempt. Called in the thread that has executed it."""
        self._messages.put((attempt, outcome))

    def wait(self, seconds: float) -> list[Message]:
        """Return all that has come in, once there is something; nothing after ``seconds``."""
        try:
            messages = [self._messages.get(seconds > 0, max(seconds, 0))]
        except Empty:
            return []
        with suppress(Empty):
            while True:
                messages.append(self._messages.get_nowait())
        return messages
