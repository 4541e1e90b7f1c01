"""What a task is told of its own run, and what it tells, through a ``RunChannel``."""

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
from taskworks.logs import steady_logger
from taskworks.progress import MOST, OF_SCHEDULE, RunChannel

if TYPE_CHECKING:
    _Standard = framework.TaskContext[..., Any]
else:
    _Standard = framework.TaskContext

LEVELS = ("debug", "info", "warning", "error")


logger = steady_logger(__name__)


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
    _channel: RunChannel = field(default_factory=RunChannel)

    @property
    def attempt(self) -> int:
        """The number of this execution of the run, those that a crash ended counted; first is 1."""
        return self.task_result.attempts if self._number is None else self._number

    def remaining(self) -> float | None:
        """Seconds until the deadline, 0 if it is over; None without one."""
        return None if self._ends is None else max(0.0, self._ends - time.monotonic())

    # The schedule.

    @property
    def scheduled_for(self) -> datetime | None:
        """The planned time for which a schedule has made this run; None if none has."""
        moment = self._of_schedule.get("scheduled_for")
        return datetime.fromisoformat(moment) if moment else None

    @property
    def schedule_id(self) -> int | None:
        """The id of the schedule that has made this run; None if none has."""
        return self._of_schedule.get("id")

    @property
    def schedule_label(self) -> str | None:
        """Its label, as it was then."""
        return self._of_schedule.get("label")

    @property
    def _of_schedule(self) -> dict[str, Any]:
        metadata = getattr(self.task_result, "metadata", None) or {}
        return metadata.get(OF_SCHEDULE) or {}

    # Cancellation.

    @property
    def cancel_requested(self) -> bool:
        """Whether somebody wants this run to stop."""
        return self._channel.cancel_requested

    def raise_if_cancelled(self) -> None:
        """Raise TaskCancelled if somebody wants this run to stop."""
        if self._channel.cancel_requested:
            raise TaskCancelled("The run was cancelled.")

    # Progress.

    def set_target(self, n: int | None) -> None:
        """What progress counts up to, 0 or more; None if that is not known."""
        self._channel.aim(None if n is None else max(0, _count(n)))

    def set_progress(self, n: int) -> None:
        """How far the task is: from 0 to its target, to which other numbers are clamped."""
        self._channel.set(n if type(n) is int and n < MOST else _count(n))

    def inc_progress(self, n: int = 1) -> None:
        """That it is so much further, from 0 if no progress was set; clamped in the same way."""
        self._channel.inc(n if type(n) is int and n < MOST else _count(n))

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
        self._channel.say({"at": at, "level": level, "text": _message(text)})

    # Metadata.

    @property
    def metadata(self) -> dict[str, Any]:
        """The run's own JSON, kept from attempt to attempt; changes last once they are saved."""
        return self._channel.metadata

    def save_metadata(self) -> None:
        """
        Store the metadata, and return when it is stored.

        Raise TypeError or ValueError, and store nothing, if it is no JSON; RuntimeError inside a
        transaction on SQLite, which would wait for itself: its lock keeps the worker from writing.
        """
        written = threading.Event()
        self._channel.save(written.set)
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
