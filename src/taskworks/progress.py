"""
The channel between a task and its worker: progress, messages, metadata, a request to cancel.

A ``RunChannel`` writes nothing itself. Whoever executes the attempt takes the changes from it, and
writes them when it wants to. So a call costs little enough for a task's innermost loop.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from taskworks import jsonvalue
from taskworks.conf import conf
from taskworks.log_lines import MAX_LINES, with_lines, with_message
from taskworks.reserved_metadata import refuse_reserved, with_reserved

MAX_PROGRESS = 2**63 - 1  # the largest value of the column


class RunChannel:
    """
    The channel between a task and its worker while an attempt is executed.

    ``on_change`` is called at the first change, and then not again until ``take_changes`` was
    called, so that the writer decides how often it writes. ``before_waiting`` is called before a
    task waits until its metadata is written, and may raise. Without ``on_change`` nothing is
    written, and every change counts as written at once.
    """

    def __init__(
        self, messages: list[dict[str, Any]] | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        self.cancel_requested = False
        self.on_change: Callable[[], None] | None = None
        self.before_waiting: Callable[[], None] | None = None
        self.target: int | None = None
        self.progress: int | None = None
        self.messages = list(messages or [])
        self._saved: dict[str, Any] = metadata or {}
        self.metadata: dict[str, Any] = jsonvalue.copied(self._saved)
        self._lines: deque[dict[str, Any]] = deque(maxlen=MAX_LINES)  # that are not taken yet
        self._lock = threading.Lock()
        self._advancing = threading.Lock()
        self._is_notified = False
        self._changes = self._taken = self._written = 0  # numbers of changes
        self._waiting: list[tuple[int, Callable[[], None]]] = []

    # Called by the task.

    def set_progress(self, progress: int) -> None:
        """Set the progress, clamped to the range from 0 to the target."""
        highest = MAX_PROGRESS if self.target is None else self.target
        if progress < 0:
            progress = 0
        elif progress > highest:
            progress = highest
        self.progress = progress
        self._changes += 1  # after the change itself, so that no change is missed
        if not self._is_notified:
            self._notify()

    def advance(self, difference: int) -> None:
        """Advance the progress by this much. Thread-safe."""
        with self._advancing:
            self.set_progress((self.progress or 0) + difference)

    def set_target(self, target: int | None) -> None:
        """Set the target, and reduce the progress to it if that is larger."""
        with self._lock:
            self.target = target
            if target is not None and self.progress is not None:
                self.progress = min(self.progress, target)
            self._changes += 1
        self._notify()

    def add_message(self, message: dict[str, Any]) -> None:
        """Add a message; drop the oldest if there are too many."""
        with self._lock:
            self.messages = with_message(self.messages, message, conf().max_messages)
            self._changes += 1
        self._notify()

    def add_line(self, line: dict[str, Any]) -> None:
        """Add a log line, which is among the messages once the changes are taken."""
        with self._lock:
            self._lines.append(line)
            self._changes += 1
        self._notify()

    def save_metadata(self, when_written: Callable[[], None]) -> None:
        """
        Save the metadata as it is now; ``when_written`` is called once it is written.

        Raise TypeError or ValueError if it is not JSON, or has a reserved key that the run has not.
        """
        if self.on_change and self.before_waiting:
            self.before_waiting()
        saved = jsonvalue.round_trip(self.metadata, "metadata")
        if not isinstance(saved, dict):
            raise TypeError(f"metadata must be a dict, not {saved!r:.200}.")
        refuse_reserved(saved, known=self._saved)
        saved = with_reserved(saved, known=self._saved)
        with self._lock:
            self._saved = saved
            self._changes += 1
            self._waiting.append((self._changes, when_written))
        self._notify()

    def _notify(self) -> None:
        if not self.on_change:
            self.confirm(self._changes)
        elif not self._is_notified:
            self._is_notified = True
            self.on_change()

    # Called by the worker.

    def take_changes(self) -> dict[str, Any] | None:
        """Return the columns of the run if anything changed since the last call, else None."""
        with self._lock:
            self._is_notified = False
            if self._changes == self._taken:
                return None
            self._taken = self._changes
            return self.columns

    @property
    def columns(self) -> dict[str, Any]:
        """What the task has reported, as columns of the run."""
        if self._lines:
            self.messages = with_lines(self.messages, self._lines)
            self._lines.clear()
        return {
            "target": self.target,
            "progress": self.progress,
            "messages": self.messages,
            "metadata": self._saved,
        }

    def adopt(self, columns: dict[str, Any], when_written: Callable[[], None]) -> None:
        """Take over what the task has reported in a child process."""
        with self._lock:
            self.target, self.progress = columns["target"], columns["progress"]
            self.messages, self._saved = columns["messages"], columns["metadata"]
            self._changes += 1
            self._waiting.append((self._changes, when_written))
        self._notify()

    @property
    def taken(self) -> int:
        """The number of changes that have been taken."""
        return self._taken

    @property
    def has_news(self) -> bool:
        """True if there are changes that are not written yet."""
        return self._changes > self._written

    def untake_changes(self) -> None:
        """Let changes that were taken, but could not be written, be taken again."""
        self._taken = self._written

    def confirm(self, changes: int) -> None:
        """Note that this many changes are written, and call the callbacks that wait for them."""
        with self._lock:
            self._written = max(self._written, changes)
            done = [call for change, call in self._waiting if change <= changes]
            self._waiting = [entry for entry in self._waiting if entry[0] > changes]
        for when_written in done:
            when_written()

    def close(self) -> None:
        """Write nothing any more, because the outcome of the attempt is written or lost."""
        self.on_change = None
        self.confirm(self._changes)
