"""
Instruments: what surrounds each enqueue and each attempt, such as a tracer.

An instrument is called where the run is enqueued or executed: in that thread, coroutine or child
process. What it sets there, such as the current span, holds for the task's own code.
"""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from taskworks import jsonvalue, real_time
from taskworks.logs import steady_logger
from taskworks.reserved_metadata import carried_in

__all__ = ["EnqueuedRuns", "ExecutedAttempt", "Instrument", "add", "remove"]

FAILURES = ("failed", "lost")
# Seconds. A task that cannot be stopped ends with the process, and its run may be executed again
# a second after the outcome was written.
FLUSH_WITHIN = 0.5

R = TypeVar("R")

logger = steady_logger(__name__)

# A tuple, so that without instruments only its emptiness is checked.
in_use: tuple["Instrument", ...] = ()


@dataclass(slots=True, kw_only=True)
class EnqueuedRuns:
    """Runs of one task that are about to be stored together; almost always it is one."""

    ids: Sequence[str]
    task: str  # the dotted path
    queue_name: str
    backend: str
    sizes: Sequence[int]  # bytes of JSON in the arguments of each run
    metadata: Mapping[str, Any]
    # What each run carries, by the names of instruments.
    carried: list[dict[str, dict[str, str]]] = field(init=False)

    def __post_init__(self) -> None:
        self.carried = [{} for _ in self.ids]

    def carry(self, name: str, *texts: Mapping[str, str]) -> None:
        """
        Have the runs carry these texts to their attempts, for the instrument with this name: the
        same for all, or one mapping for each run. Runs that have nothing to carry get an empty one.

        Raise TypeError or ValueError for what is not text that can be stored.
        """
        for given in texts:
            _refuse_other_than_texts(given)
        for_each = texts * len(self.ids) if len(texts) == 1 else texts
        for carried, given in zip(self.carried, for_each, strict=True):
            if given:
                carried[name] = {**given}


def _refuse_other_than_texts(given: Mapping[str, str]) -> None:
    for key, text in given.items():
        if not isinstance(text, str):
            raise TypeError(f"A run can only carry text, so {key!r} must not be {text!r}.")
    jsonvalue.encode(given, "what the run carries")


@dataclass(slots=True, kw_only=True)
class ExecutedAttempt:
    """
    An attempt at a run. ``outcome`` and what follows it are set when it has ended.

    An outcome is "successful", "failed", "lost", "cancelled", "retried", "snoozed", "postponed",
    "crashed", "released", or "unknown" while nobody knows whether the task's own transaction has
    been committed.
    """

    run_id: str
    task: str  # the dotted path
    queue_name: str
    backend: str
    number: int  # of the attempt; the first is 1
    failures: int  # of attempts before this one
    executor: str
    worker: str  # its label
    waited: float  # seconds from when the run was ready until this attempt began
    metadata: Mapping[str, Any]
    arguments: tuple[Any, Any]
    errors: Sequence[Mapping[str, Any]]  # of earlier attempts, as they are stored

    outcome: str | None = None
    exception: BaseException | None = None
    error: Mapping[str, str] | None = None  # the path of its class, and its traceback, as text
    delay: float | None = None  # seconds until the next attempt
    began_at: float | None = None  # Unix time, by the clock of this process
    ended_at: float | None = None
    seen_by: frozenset[str] = frozenset()  # the names of the instruments that have surrounded it

    @property
    def has_failed_for_good(self) -> bool:
        """True if the run is not executed again, and has not done its work."""
        return self.outcome in FAILURES

    @property
    def size(self) -> int:
        """Bytes of JSON in its arguments."""
        return sum(map(jsonvalue.size, self.arguments))

    def carried(self, name: str) -> dict[str, str]:
        """Return what the run carries for the instrument with this name; nonsense is left out."""
        return carried_in(self.metadata, name)


class Instrument:
    """
    Surrounds what is enqueued and executed. A subclass overrides what it needs.

    What a method raises is logged, and changes nothing else. It must not wait for anything: the
    caller, or the worker, would wait as well.
    """

    name = ""  # under which runs carry its texts

    def enqueuing(self, runs: EnqueuedRuns) -> AbstractContextManager[Any]:
        """
        Return a context manager for the storing of these runs. It may call ``runs.carry`` when it
        is entered. It is left with the exception, if one is raised.
        """
        return nullcontext()

    def executing(self, attempt: ExecutedAttempt) -> AbstractContextManager[Any]:
        """
        Return a context manager for an attempt. It is entered before the task's first line, and
        left when the outcome is known, which the attempt then has. It never gets an exception.
        """
        return nullcontext()

    def recording(self, attempts: Sequence[ExecutedAttempt]) -> None:
        """
        Hear of outcomes that this worker has written, before anybody else does. An attempt whose
        ``seen_by`` does not have this instrument's name was not surrounded: it could not begin, it
        cannot be stopped, its process has died, or has other instruments.
        """

    def flush(self) -> None:
        """
        Send what is held back: this process is about to leave without its exit handlers, because a
        task cannot be stopped. It does not wait for longer than ``FLUSH_WITHIN``.
        """


def add(instrument: Instrument) -> None:
    """
    Use an instrument in this process from now on; one with the same name is replaced. Raise
    ValueError for one without a name.
    """
    global in_use  # noqa: PLW0603 - see there
    if not instrument.name:
        raise ValueError(
            f"{type(instrument).__qualname__} has no name, under which runs could carry its texts. "
            "Set the attribute name."
        )
    others = (one for one in in_use if one.name != instrument.name)
    in_use = (*others, instrument)


def remove(name: str) -> None:
    """Stop using the instrument with this name."""
    global in_use  # noqa: PLW0603 - see there
    in_use = tuple(one for one in in_use if one.name != name)


# For the engine.


def here(function: "partial[R]") -> "partial[R]":
    """Return the function such that instruments see it called in the context of this moment."""
    return partial(copy_context().run, function) if in_use else function


@contextmanager
def enqueuing(runs: EnqueuedRuns) -> Iterator[None]:
    """Surround the storing of these runs."""
    entered, raised = [*_entered("enqueuing", runs, Exception)], NOTHING_RAISED
    try:
        yield
    except BaseException as error:
        raised = type(error), error, error.__traceback__
        raise
    finally:
        _leave(entered, raised, Exception)


@contextmanager
def executing(attempt: ExecutedAttempt) -> Iterator[frozenset[str]]:
    """Surround an attempt; give the names of those that do. The block must not raise."""
    entered = [*_entered("executing", attempt, BaseException)]
    try:
        yield frozenset(instrument.name for instrument, _ in entered)
    finally:
        _leave(entered, NOTHING_RAISED, BaseException)


def recording(attempts: Sequence[ExecutedAttempt]) -> None:
    """Tell all instruments of outcomes that are written."""
    for instrument in in_use:
        try:
            instrument.recording(attempts)
        except Exception:
            logger.exception("The instrument %r failed at recorded attempts.", instrument.name)


def flush() -> None:
    """Have all instruments send what they hold back, within ``FLUSH_WITHIN``."""
    over = real_time.monotonic() + FLUSH_WITHIN
    threads = [
        threading.Thread(target=one.flush, name="taskworks-flush", daemon=True) for one in in_use
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, over - real_time.monotonic()))


Entered = tuple[Instrument, AbstractContextManager[Any]]
Raised = tuple[Any, Any, Any]  # as sys.exc_info() returns it
NOTHING_RAISED: Raised = (None, None, None)


def _entered(
    method: str, what: EnqueuedRuns | ExecutedAttempt, caught: type[BaseException]
) -> Iterator[Entered]:
    for instrument in in_use:
        try:
            around = getattr(instrument, method)(what)
            around.__enter__()
        except caught:
            logger.exception("The instrument %r failed before %s.", instrument.name, method)
        else:
            yield instrument, around


def _leave(entered: Sequence[Entered], raised: Raised, caught: type[BaseException]) -> None:
    for instrument, around in reversed(entered):
        try:
            around.__exit__(*raised)
        except caught as error:
            if error is not raised[1]:
                logger.exception("The instrument %r failed at the end.", instrument.name)


def unix_time(moment: float | None, now: float) -> float | None:
    """Return the Unix time of a moment of the monotonic clock, of which it is ``now``."""
    return None if moment is None else time.time() - (now - moment)
