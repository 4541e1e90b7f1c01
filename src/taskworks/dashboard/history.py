"""What was counted lately: read once for all pages of this process, and not again for a while."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import NamedTuple, TypeVar

from taskworks.dashboard.reading import read
from taskworks.dashboard.shared import Shared
from taskworks.dashboard.snapshot import snapshot
from taskworks.database.clock import as_aware
from taskworks.models import Mark
from taskworks.statistics import gauges, marks, reading
from taskworks.statistics.gauges import GaugePoint
from taskworks.statistics.reading import Key, Point, TooManyRows
from taskworks.statistics.tally import Tally
from taskworks.store import store

K = TypeVar("K")
Queue = tuple[str, str]  # a backend and a name

MOST_SECONDS = 1.0  # that its statements may take: the result is kept for a while


class Window(NamedTuple):
    """How far back a chart goes, and for how many seconds it is kept."""

    name: str
    duration: timedelta
    kept_for: float


class About(NamedTuple):
    """Of which task, and which queue of which backend, something is told; "" is every one."""

    task: str = ""
    queue: str = ""
    backend: str = ""

    def has(self, key: Key) -> bool:
        """Return whether what is counted of this is told."""
        told = (self.task, self.queue, self.backend)
        own = (key.task_path, key.queue_name, key.backend)
        return all(not name or name == other for name, other in zip(told, own, strict=True))


ABOUT_ALL = About()
WINDOWS = {
    "1h": Window("1h", timedelta(hours=1), 10),
    "24h": Window("24h", timedelta(days=1), 60),
    "7d": Window("7d", timedelta(days=7), 300),
}


class History:
    """What was counted in a window, and what happened in it."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.seconds = reading.period_for(window.duration)
        self.problem = ""  # why it is not known, in a sentence
        self.marks: Sequence[Mark] = ()
        self.gauges: Sequence[GaugePoint] = ()
        self.at = as_aware(snapshot().at.value or datetime.now(UTC))
        self._points = self._read()
        self._by_queue: dict[timedelta | None, dict[Queue, Tally]] = {}

    @cached_property
    def times(self) -> list[datetime]:
        """When each period of the window began."""
        end = int(self.at.timestamp()) // self.seconds * self.seconds
        number = int(self.window.duration.total_seconds()) // self.seconds
        begins = range(end - (number - 1) * self.seconds, end + 1, self.seconds)
        return [datetime.fromtimestamp(one, UTC) for one in begins]

    def tallies(self, about: About = ABOUT_ALL) -> dict[datetime, Tally]:
        """Return what was counted of all queues and tasks, or of one, by period."""
        if about == ABOUT_ALL:
            return self._tallies
        return {
            point.at: _sum(tally for key, tally in point.tallies.items() if about.has(key))
            for point in self._points
        }

    def by_queue(self, within: timedelta | None = None) -> dict[Queue, Tally]:
        """Return what was counted of each queue, in all of the window or the end of it."""
        if within not in self._by_queue:
            parts = (
                queues
                for at, queues in self._queues.items()
                if within is None or at >= self.at - within
            )
            self._by_queue[within] = _added(item for part in parts for item in part.items())
        return self._by_queue[within]

    @cached_property
    def by_task(self) -> dict[str, Tally]:
        """What was counted of each task."""
        return _added(
            (key.task_path, tally) for point in self._points for key, tally in point.tallies.items()
        )

    def strip_of(self, queue: Queue) -> list[float]:
        """Return how many runs of a queue have finished in each period."""
        tallies = (self._queues.get(at, {}).get(queue) for at in self.times)
        return [float(tally.finished) if tally else 0.0 for tally in tallies]

    # Each is made once, however often pages ask while this is kept.

    @cached_property
    def _tallies(self) -> dict[datetime, Tally]:
        return {at: _sum(queues.values()) for at, queues in self._queues.items()}

    @cached_property
    def _queues(self) -> dict[datetime, dict[Queue, Tally]]:
        """What was counted in each period, by queue."""
        return {
            point.at: _added(
                ((key.backend, key.queue_name), tally) for key, tally in point.tallies.items()
            )
            for point in self._points
        }

    def _read(self) -> Sequence[Point]:
        try:
            found = read(self._read_all, MOST_SECONDS)
        except TooManyRows as error:
            self.problem = str(error)
            return ()
        self.problem = found.problem
        return found.value or ()

    def _read_all(self) -> Sequence[Point]:
        self.marks = marks.marks(store(), self.window.duration)
        self.gauges = gauges.gauges(store(), self.window.duration)
        return reading.series(store(), self.window.duration, by=reading.by_all)


def _added(items: Iterable[tuple[K, Tally]]) -> dict[K, Tally]:
    """Add up what has the same key."""
    added: dict[K, Tally] = defaultdict(Tally)
    for key, tally in items:
        added[key].add(tally)
    return dict(added)


def _sum(tallies: Iterable[Tally]) -> Tally:
    total = Tally()
    for tally in tallies:
        total.add(tally)
    return total


def _sharing(window: Window) -> Shared[History]:
    return Shared(lambda: History(window), window.kept_for)


_shared = {name: _sharing(window) for name, window in WINDOWS.items()}


def history(window: str) -> History:
    """Return the history of a window, or of an hour if there is no such window."""
    return _shared.get(window, _shared["1h"]).get()


def forget_history(*windows: str) -> None:
    """Have the next page read everything anew, or what is of these windows."""
    for window in windows or WINDOWS:
        _shared[window].forget()
