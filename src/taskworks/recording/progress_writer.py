"""Writes what tasks report while they run: progress, messages, metadata."""

from collections.abc import Callable, Collection, Iterable, Iterator

from taskworks import real_time as time
from taskworks.correlation import extras_of
from taskworks.execution import Attempt
from taskworks.logs import steady_logger
from taskworks.recording.batch_writer import write_what_can_be
from taskworks.recording.events import RunEvents
from taskworks.recording.locked_rows import LockedRows
from taskworks.store import Store

WRITE_INTERVAL = 0.1  # seconds between two writes of a run's progress

logger = steady_logger(__name__)


class ProgressWriter:
    """
    Collects the attempts whose tasks have reported something, and writes many in one statement, at
    most every ``WRITE_INTERVAL`` seconds for each. ``wake`` is called, in the task's thread, when
    there is something to write.
    """

    def __init__(
        self, store: Store, events: RunEvents, locked: LockedRows, wake: Callable[[], None]
    ) -> None:
        self._store, self._events, self._locked, self._wake = store, events, locked, wake
        self._due: dict[Attempt, float] = {}  # and when it may be written

    def note(self, attempt: Attempt) -> None:
        """Note that there is something to write; in the task's thread."""
        self._due.setdefault(attempt, time.monotonic())
        self._wake()

    def forget(self, attempts: Iterable[Attempt]) -> None:
        """Write no more for these attempts."""
        if self._due:
            for attempt in attempts:
                self._due.pop(attempt, None)

    def moments(self) -> Iterator[float]:
        """When there is something to write, by time.monotonic()."""
        # Copied, because tasks' threads add to it.
        due = [*self._due.items()]
        return (at for attempt, at in due if attempt.run.id not in self._locked)

    def write(self, settled: Collection[Attempt]) -> None:
        """Write what is due, and all that these settled attempts have reported."""
        if not self._due:
            return
        taken = {attempt: attempt.channel.take_changes() for attempt in self._writable(settled)}
        changed = {attempt: columns for attempt, columns in taken.items() if columns}
        for attempt, columns in changed.items():
            for name, value in columns.items():
                setattr(attempt.run, name, value)
        try:
            self._write(changed)
        except BaseException:
            for attempt in taken:
                attempt.channel.untake_changes()
            raise
        for attempt in taken:
            self._confirm(attempt, changed=attempt in changed)

    def _writable(self, settled: Iterable[Attempt]) -> list[Attempt]:
        now = time.monotonic()
        due = [attempt for attempt, at in [*self._due.items()] if at <= now]
        due += [attempt for attempt in settled if attempt.has_news]
        return [a for a in dict.fromkeys(due) if a.run.id not in self._locked]

    def _write(self, attempts: Collection[Attempt]) -> None:
        if not attempts:
            return
        written, refused = write_what_can_be(self._store.write_progress, [*attempts])
        for attempt, error in refused.items():
            what, run = "Run %s: its progress cannot be stored: %s", attempt.run
            logger.error(what, run.id, error, extra=extras_of(run))
        self._events.progressed([a for a in attempts if a.run.id in written])

    def _confirm(self, attempt: Attempt, *, changed: bool) -> None:
        """Let the task's thread know, and plan the next write."""
        attempt.channel.confirm(attempt.channel.taken)
        if changed and attempt.outcome is None:
            self._due[attempt] = time.monotonic() + WRITE_INTERVAL
        else:
            self._due.pop(attempt, None)
            if attempt.outcome is None and attempt.channel.has_news:
                self.note(attempt)
