"""
What a run and its worker tell each other: progress, messages, metadata, a wish to cancel.

Nothing here writes: a ``RunChannel`` is read by whoever executes the attempt, who writes it to the
record when it likes. So a call costs nothing that a loop would notice.
"""

import threading
from collections.abc import Callable
from typing import Any

from taskworks import jsonvalue
from taskworks.conf import conf

# In the metadata of a schedule's run: which one it is of, and for which planned time.
OF_SCHEDULE = "taskworks.schedule"
MOST = 2**63 - 1  # that a column takes


class RunChannel:
    """
    What a run and its worker tell each other while an attempt is executed.

    ``listener`` is called at the first change, and then not before ``take`` has looked, so that
    whoever writes decides how often.
    """

    def __init__(
        self, messages: list[dict[str, Any]] | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        self.cancel_requested = False
        self.listener: Callable[[], None] | None = None
        self.before_waiting: Callable[[], None] | None = None
        self.target: int | None = None
        self.progress: int | None = None
        self.messages = list(messages or [])
        self._saved: dict[str, Any] = metadata or {}
        self.metadata: dict[str, Any] = jsonvalue.copied(self._saved)
        self._lock = threading.Lock()
        self._moving = threading.Lock()
        self._is_told = False
        self._changes = self._taken = self._written = 0
        self._waiting: list[tuple[int, Callable[[], None]]] = []

    # By the task.

    def set(self, progress: int) -> None:
        """How far it is; clamped to 0 and the target."""
        highest = MOST if self.target is None else self.target
        if progress < 0:
            progress = 0
        elif progress > highest:
            progress = highest
        self.progress = progress
        self._changes += 1  # after the change itself, so that no change can be overlooked
        if not self._is_told:
            self._tell()

    def inc(self, difference: int) -> None:
        """That it is so much further; threads of one task may say so at once."""
        with self._moving:
            self.set((self.progress or 0) + difference)

    def aim(self, target: int | None) -> None:
        """Set the target, which bounds the progress."""
        with self._lock:
            self.target = target
            if target is not None and self.progress is not None:
                self.progress = min(self.progress, target)
            self._changes += 1
        self._tell()

    def say(self, message: dict[str, Any]) -> None:
        """Add a message; the oldest goes if there are too many."""
        with self._lock:
            self.messages = [*self.messages, message][-conf().max_messages :]
            self._changes += 1
        self._tell()

    def save(self, when_written: Callable[[], None]) -> None:
        """Take over the metadata as it is now; raise TypeError or ValueError if it is no JSON."""
        if self.listener and self.before_waiting:
            self.before_waiting()
        saved = jsonvalue.round_trip(self.metadata, "metadata")
        if OF_SCHEDULE in self._saved:  # which is not the task's to remove
            saved[OF_SCHEDULE] = self._saved[OF_SCHEDULE]
        with self._lock:
            self._saved = saved
            self._changes += 1
            self._waiting.append((self._changes, when_written))
        self._tell()

    def _tell(self) -> None:
        if not self.listener:
            self.written(self._changes)
        elif not self._is_told:
            self._is_told = True
            self.listener()

    # By its worker.

    def take(self) -> dict[str, Any] | None:
        """What has changed since it was last taken, as columns of the run; None for nothing."""
        with self._lock:
            self._is_told = False
            if self._changes == self._taken:
                return None
            self._taken = self._changes
            return self.columns

    @property
    def columns(self) -> dict[str, Any]:
        """All that is told, as columns of the run."""
        return {
            "target": self.target,
            "progress": self.progress,
            "messages": self.messages,
            "metadata": self._saved,
        }

    def adopt(self, columns: dict[str, Any], when_written: Callable[[], None]) -> None:
        """Tell what was told in another process."""
        with self._lock:
            self.target, self.progress = columns["target"], columns["progress"]
            self.messages, self._saved = columns["messages"], columns["metadata"]
            self._changes += 1
            self._waiting.append((self._changes, when_written))
        self._tell()

    @property
    def taken(self) -> int:
        """How many changes have been taken."""
        return self._taken

    @property
    def has_news(self) -> bool:
        """Whether something is not written yet."""
        return self._changes > self._written

    def untake(self) -> None:
        """What was taken could not be written: it is to be taken again."""
        self._taken = self._written

    def written(self, changes: int) -> None:
        """So many changes are written: nobody needs to wait for them."""
        with self._lock:
            self._written = max(self._written, changes)
            done = [call for change, call in self._waiting if change <= changes]
            self._waiting = [entry for entry in self._waiting if entry[0] > changes]
        for when_written in done:
            when_written()

    def close(self) -> None:
        """Nobody listens any more: the attempt's outcome is written, or lost."""
        self.listener = None
        self.written(self._changes)
