"""
What a task is told of its own run, and what it tells: attempt, deadline, cancellation, progress.

Nothing here writes: a ``Dialogue`` is read by whoever executes the attempt, who writes it to the
record when it likes. So a call costs nothing that a loop would notice.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.utils import timezone

from taskworks import framework, jsonvalue
from taskworks.conf import conf
from taskworks.exceptions import TaskCancelled

if TYPE_CHECKING:
    _Standard = framework.TaskContext[..., Any]
else:
    _Standard = framework.TaskContext

LEVELS = ("debug", "info", "warning", "error")

logger = logging.getLogger(__name__)


class Dialogue:
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
        """Nobody listens any more."""
        self.listener = None
        self.written(self._changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskContext(_Standard):  # type: ignore[misc] # only Django's stubs have it unfrozen
    """
    What a task that takes a context is given: the standard's ``task_result`` and ``attempt``, and
    a way to tell how far it is. None of it can fail a task by itself, but for ``save_metadata``
    with what is no JSON, and ``raise_if_cancelled``.
    """

    deadline: datetime | None = None  # when the attempt's timeout is over, by the database's clock
    _number: int | None = None
    _ends: float | None = None  # the deadline, by time.monotonic()
    _dialogue: Dialogue = field(default_factory=Dialogue)

    @property
    def attempt(self) -> int:
        """The number of this execution of the run, those that a crash ended counted; first is 1."""
        return self.task_result.attempts if self._number is None else self._number

    def remaining(self) -> float | None:
        """Seconds until the deadline, 0 if it is over; None without one."""
        return None if self._ends is None else max(0.0, self._ends - time.monotonic())

    # Cancellation.

    @property
    def cancel_requested(self) -> bool:
        """Whether somebody wants this run to stop."""
        return self._dialogue.cancel_requested

    def raise_if_cancelled(self) -> None:
        """Raise TaskCancelled if somebody wants this run to stop."""
        if self._dialogue.cancel_requested:
            raise TaskCancelled("The run was cancelled.")

    # Progress.

    def set_target(self, n: int | None) -> None:
        """What progress counts up to, 0 or more; None if that is not known."""
        self._dialogue.aim(None if n is None else max(0, _count(n)))

    def set_progress(self, n: int) -> None:
        """How far the task is: from 0 to its target, to which other numbers are clamped."""
        self._dialogue.set(n if type(n) is int and n < MOST else _count(n))

    def inc_progress(self, n: int = 1) -> None:
        """That it is so much further, from 0 if no progress was set; clamped in the same way."""
        self._dialogue.inc(n if type(n) is int and n < MOST else _count(n))

    def add_message(self, text: object, level: str = "info") -> None:
        """
        Something for people to read, with a level of "debug", "info", "warning" or "error".

        Kept are the newest ``TASKWORKS["MAX_MESSAGES"]``, and ``["MAX_MESSAGE_LENGTH"]``
        characters of each.
        """
        if level not in LEVELS:
            logger.warning("The level %s of a message is none of %s.", _message(level), LEVELS)
            level = "info"
        at = timezone.now().isoformat()
        self._dialogue.say({"at": at, "level": level, "text": _message(text)})

    # Metadata.

    @property
    def metadata(self) -> dict[str, Any]:
        """The run's own JSON, kept from attempt to attempt; changes last once they are saved."""
        return self._dialogue.metadata

    def save_metadata(self) -> None:
        """
        Store the metadata, and return when it is stored.

        Raise TypeError or ValueError, and store nothing, if it is no JSON; RuntimeError inside a
        transaction on SQLite, which would wait for itself: its lock keeps the worker from writing.
        """
        written = threading.Event()
        self._dialogue.save(written.set)
        while not written.wait(timeout=0.2):  # in steps, so that the task can be interrupted
            pass

    async def asave_metadata(self) -> None:
        """See save_metadata()."""
        await sync_to_async(self.save_metadata, thread_sensitive=False)()

    async def aset_target(self, n: int | None) -> None:
        """See set_target()."""
        self.set_target(n)

    async def aset_progress(self, n: int) -> None:
        """See set_progress()."""
        self.set_progress(n)

    async def ainc_progress(self, n: int = 1) -> None:
        """See inc_progress()."""
        self.inc_progress(n)

    async def aadd_message(self, text: object, level: str = "info") -> None:
        """See add_message()."""
        self.add_message(text, level)


MOST = 2**63 - 1

# Made when it is asked for: most tasks never do.
_current: ContextVar[Callable[[], TaskContext]] = ContextVar("taskworks_context")


def current_context() -> TaskContext | None:
    """
    The context of the run that is executed here; None outside of a task.

    A thread that a task starts by itself is outside; ``asyncio`` tasks and ``sync_to_async`` are
    inside.
    """
    make = _current.get(None)
    return make() if make else None


def enter(make: Callable[[], TaskContext]) -> None:
    """Make this the context of what is executed here; ``make`` gives the same one each time."""
    _current.set(make)


@contextmanager
def entered(context: TaskContext) -> Iterator[TaskContext]:
    """Make this the context of what is executed here, for as long as that lasts."""
    token = _current.set(lambda: context)
    try:
        yield context
    finally:
        _current.reset(token)


def _count(n: Any) -> int:
    try:
        return min(int(n), MOST)
    except Exception:  # noqa: BLE001 - what is no number may do anything when asked for one
        logger.warning("Progress is counted in whole numbers, not in %s.", _message(n))
        return 0


def _message(text: object) -> str:
    try:
        words = str(text)
    except Exception as error:  # noqa: BLE001 - what cannot be printed fails nobody
        words = f"<a {type(text).__name__} that cannot be printed: {type(error).__name__}>"
    limit = conf().max_message_length
    clean = jsonvalue.printable(words[: limit + 1])
    return clean if len(clean) <= limit else f"{clean[: limit - 1]}…"
