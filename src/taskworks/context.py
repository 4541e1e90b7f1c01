"""``TaskContext``: what a task knows of its own run, and how it reports on it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn
from uuid import UUID

from asgiref.sync import sync_to_async
from django.utils import timezone

from taskworks import framework, jsonvalue
from taskworks import real_time as time
from taskworks.conf import conf
from taskworks.durations import seconds as in_seconds
from taskworks.exceptions import TaskCancelled
from taskworks.log_lines import LOGGER
from taskworks.logs import steady_logger
from taskworks.progress import MAX_PROGRESS, RunChannel
from taskworks.reserved_metadata import MadeBy, made_by, member_of
from taskworks.retry import MAX_HOLD, Snooze
from taskworks.steps import Sent, Steps, step_key

if TYPE_CHECKING:
    from taskworks.workflows.growth import Membership

    _Standard = framework.TaskContext[..., Any]
else:
    _Standard = framework.TaskContext

LEVELS = ("debug", "info", "warning", "error")


logger = steady_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskContext(_Standard):  # type: ignore[misc] # only Django's stubs have it unfrozen
    """
    The context of a task: the standard's ``task_result`` and ``attempt``, methods to report
    progress, and steps. Those that report do not raise exceptions, except ``save_metadata`` and
    ``raise_if_cancelled``.
    """

    deadline: datetime | None = None  # of the attempt's timeout, by the database's clock
    _number: int | None = None
    _failures: int = 0  # of attempts before this one
    _ends: float | None = None  # the deadline, by time.monotonic()
    _limit: str | None = None  # the name of the run's limit, "" if it has none; None: see the task
    _channel: RunChannel = field(default_factory=RunChannel)
    _claim_token: UUID | None = None
    _steps: Steps = field(default_factory=Steps)

    @property
    def attempt(self) -> int:
        """The number of this attempt. The first is 1; attempts ended by a crash are counted."""
        return self.task_result.attempts if self._number is None else self._number

    def remaining(self) -> float | None:
        """Return the seconds until the deadline, at least 0; None without a deadline."""
        return None if self._ends is None else max(0.0, self._ends - time.monotonic())

    # The schedule.

    @property
    def scheduled_for(self) -> datetime | None:
        """The planned time for which a schedule has made this run; None without a schedule."""
        return self._made_by.scheduled_for if self._made_by else None

    @property
    def schedule_id(self) -> int | None:
        """The id of the schedule that has made this run, or None."""
        return self._made_by.id if self._made_by else None

    @property
    def schedule_label(self) -> str | None:
        """The label that the schedule had then, or None."""
        return self._made_by.label if self._made_by else None

    @property
    def _made_by(self) -> MadeBy | None:
        return made_by(getattr(self.task_result, "metadata", None))

    # The workflow.

    @property
    def workflow(self) -> "Membership | None":
        """The workflow that this run is a step of, or None; it is read when it is used."""
        workflow = member_of(getattr(self.task_result, "metadata", None))
        if workflow is None:
            return None
        backend: Any = framework.task_backends[self.task_result.backend]
        found: Membership = backend.workflows.membership(
            UUID(self.task_result.id), workflow, self._claim_token
        )
        return found

    # Cancellation.

    @property
    def cancel_requested(self) -> bool:
        """True if the run is to be cancelled."""
        return self._channel.cancel_requested

    def raise_if_cancelled(self) -> None:
        """Raise TaskCancelled if the run is to be cancelled."""
        if self._channel.cancel_requested:
            raise TaskCancelled("The run was cancelled.")

    # The limit.

    def hold(self, seconds: float | timedelta) -> NoReturn:
        """
        Close the run's key: no run with this key is claimed from its limit for ``seconds`` (a
        number or a timedelta, up to 31 days). End this attempt, and execute the run again after
        that, as if the attempt had not been made. A hold that ends later stays.

        This raises ``Snooze``. Raise ValueError for seconds that are not valid, RuntimeError if the
        run has no limit.
        """
        held = Snooze._of_hold(in_seconds(seconds, "seconds of hold()", MAX_HOLD, "31 days"))
        if not self._has_limit:
            raise RuntimeError(
                "hold() closes the key of a run in its limit, but this run has no limit. Give the "
                "task one, limit=Limit(...), or raise Snooze to postpone this run alone."
            )
        raise held

    async def ahold(self, seconds: float | timedelta) -> NoReturn:
        """See hold()."""
        self.hold(seconds)

    @property
    def _has_limit(self) -> bool:
        if self._limit is None:
            return getattr(self.task_result.task, "limit", None) is not None
        return self._limit != ""

    # Progress.

    def set_target(self, n: int | None) -> None:
        """Set what progress counts up to, 0 or more; None if that is not known."""
        self._channel.set_target(None if n is None else max(0, _count(n)))

    def set_progress(self, n: int) -> None:
        """Set how far the task is, clamped to the range from 0 to the target."""
        self._channel.set_progress(n if type(n) is int and n < MAX_PROGRESS else _count(n))

    def inc_progress(self, n: int = 1) -> None:
        """Advance the progress by ``n``, from 0 if it was not set. Clamped, and thread-safe."""
        self._channel.advance(n if type(n) is int and n < MAX_PROGRESS else _count(n))

    def add_message(self, text: object, level: str = "info") -> None:
        """
        Add a message for people, with the level "debug", "info", "warning" or "error".

        The newest ``TASKWORKS["MAX_MESSAGES"]`` messages are kept, and the first
        ``TASKWORKS["MAX_MESSAGE_LENGTH"]`` characters of each.
        """
        if level not in LEVELS:
            logger.warning("A message's level must be one of %s, not %s.", LEVELS, _text(level))
            level = "info"
        at = timezone.now().isoformat()
        self._channel.add_message({"at": at, "level": level, "text": _text(text)})

    def _add_line(self, level: str, logger_name: str, text: str) -> None:
        """Keep a log line with the run; see ``taskworks.log_lines``."""
        at = timezone.now().isoformat()
        line = {"at": at, "level": level, "text": _text(text), "attempt": self.attempt}
        self._channel.add_line({**line, LOGGER: _text(logger_name)})

    # Metadata.

    @property
    def metadata(self) -> dict[str, Any]:
        """The run's own JSON, which lasts from attempt to attempt; save changes to keep them."""
        return self._channel.metadata

    def save_metadata(self) -> None:
        """
        Store the metadata, and return once it is stored.

        Raise TypeError or ValueError, and store nothing, if it is not a dict of JSON, or has a new
        key that begins with "taskworks."; RuntimeError inside a transaction on SQLite, whose lock
        would keep the worker from writing.
        """
        written = threading.Event()
        self._channel.save_metadata(written.set)
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

    # Steps.

    def step(
        self,
        name: str,
        function: Callable[..., Any],
        /,
        *args: Any,
        atomic: bool = False,
        **kwargs: Any,
    ) -> Any:
        """
        Call the function, record what it returns, and return that as it will be read back. If an
        earlier attempt at this run has recorded the step, return what it has recorded, and do not
        call the function.

        A crash between the function and the record repeats the step: give ``step_key(name)`` to
        services that recognize a repetition. With ``atomic``, the function and the record are one
        transaction in the database, so that what the function writes there is written once.

        What the function raises is not recorded. Each step, sleep and wait of an attempt has a name
        of its own.

        Raise InvalidStepValue, which fails the run at once, for a value that is not JSON or has
        more than ``TASKWORKS["MAX_JSON_SIZE"]`` bytes; TaskLost if the run is another worker's by
        now; and, before the function is called, ValueError for a name that is not valid, is used
        twice, or is that of a sleep, and for more than 10,000 steps; RuntimeError inside a
        transaction, which could be rolled back without the record, and with ``transactional=True``.
        """
        return self._steps.step(name, function, args, kwargs, atomic=atomic)

    async def astep(
        self,
        name: str,
        function: Callable[..., Any],
        /,
        *args: Any,
        atomic: bool = False,
        **kwargs: Any,
    ) -> Any:
        """
        See step(). The function may be a coroutine function; any other is called in a thread, and
        so are all with ``atomic``.
        """
        return await self._steps.astep(name, function, args, kwargs, atomic=atomic)

    def step_key(self, name: str) -> str:
        """Return a key for a step, 36 characters: the same in all attempts, and in no other run."""
        return step_key(self.task_result.id, name)

    def sleep(self, name: str, duration: float | timedelta) -> None:
        """
        Return once ``duration`` (seconds or a timedelta) has passed since this sleep was first
        begun in this run. Before that, raise TaskSuspended: the attempt ends, and does not count;
        the run is executed again when the sleep is over, and has no worker until then.

        Raise NotImplementedError in a backend that does not store runs, ValueError for what is not
        a duration, and what ``step`` raises before it calls the function.
        """
        self._steps.sleep(name, duration)

    async def asleep(self, name: str, duration: float | timedelta) -> None:
        """See sleep()."""
        await self._steps.asleep(name, duration)

    def wait(self, name: str, timeout: float | timedelta | None = None) -> Sent | None:
        """
        Return ``Sent(value)`` once an event with this name was sent to the run, before or after
        this call; None once ``timeout`` (seconds or a timedelta) has passed since this wait was
        first begun in this run. Which of them it was is recorded, and stays so. Before that, raise
        TaskSuspended, as ``sleep`` does.

        Raise what ``sleep`` raises. See ``TaskResult.send``.
        """
        return self._steps.wait(name, timeout)

    async def await_(self, name: str, timeout: float | timedelta | None = None) -> Sent | None:
        """See wait()."""
        return await self._steps.await_(name, timeout)


# Returns the context, which is made only when it is asked for: most tasks never ask.
_current: ContextVar[Callable[[], TaskContext]] = ContextVar("taskworks_context")


def current_context() -> TaskContext | None:
    """
    Return the context of the run that is being executed here; None outside of a task.

    ``asyncio`` tasks and ``sync_to_async`` are inside the task, threads that it starts are not.
    """
    make = _current.get(None)
    return make() if make else None


def enter(make: Callable[[], TaskContext]) -> None:
    """Set the current context to what ``make`` returns, which must be the same each time."""
    _current.set(make)


@contextmanager
def entered(context: TaskContext) -> Iterator[TaskContext]:
    """Set the current context, until the block ends."""
    token = _current.set(lambda: context)
    try:
        yield context
    finally:
        _current.reset(token)


def _count(n: Any) -> int:
    try:
        return min(int(n), MAX_PROGRESS)
    except Exception:  # noqa: BLE001 - __int__ may raise anything
        logger.warning("Progress must be an integer, not %s.", _text(n))
        return 0


def _text(given: object) -> str:
    try:
        text = str(given)
    except Exception as error:  # noqa: BLE001 - __str__ may raise anything
        text = f"<a {type(given).__name__} that cannot be printed: {type(error).__name__}>"
    limit = conf().max_message_length
    clean = jsonvalue.printable(text[: limit + 1])
    return clean if len(clean) <= limit else f"{clean[: limit - 1]}…"
