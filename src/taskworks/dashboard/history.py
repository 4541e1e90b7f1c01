"""What was counted lately: read once for all pages of this process, and not again for a while."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import NamedTuple

from taskworks.dashboard.reading import read
from taskworks.dashboard.shared import Shared
from taskworks.dashboard.snapshot import snapshot
from taskworks.database.clock import as_aware
from taskworks.models import Mark
from taskworks.statistics import gauges, marks, reading
from taskworks.statistics.gauges import GaugePoint
from taskworks.statistics.reading import Point, TooManyRows
from taskworks.statistics.tally import Tally
from taskworks.store import store

MOST_SECONDS = 1.0  # that its statements may take: the result is kept for a while


class Window(NamedTuple):
    """How far back a chart goes, and for how many seconds it is kept."""

    name: str
    duration: timedelta
    kept_for: float


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

    @cached_property
    def times(self) -> list[datetime]:
        """When each period of the window began."""
        end = int(self.at.timestamp()) // self.seconds * self.seconds
        number = int(self.window.duration.total_seconds()) // self.seconds
        begins = range(end - (number - 1) * self.seconds, end + 1, self.seconds)
        return [datetime.fromtimestamp(one, UTC) for one in begins]

    def tallies(self) -> dict[datetime, Tally]:
        """Return what was counted of all queues and tasks, by period."""
        return {point.at: _sum(point.tallies.values()) for point in self._points}

    def by_queue(self, within: timedelta | None = None) -> dict[tuple[str, str], Tally]:
        """Return what was counted of each queue, in all of the window or the end of it."""
        added: dict[tuple[str, str], Tally] = defaultdict(Tally)
        first = None if within is None else self.at.timestamp() - within.total_seconds()
        for point in self._points:
            if first is None or point.at.timestamp() >= first:
                for key, tally in point.tallies.items():
                    added[key.backend, key.queue_name].add(tally)
        return dict(added)

    def by_task(self) -> dict[str, Tally]:
        """Return what was counted of each task."""
        added: dict[str, Tally] = defaultdict(Tally)
        for point in self._points:
            for key, tally in point.tallies.items():
                added[key.task_path].add(tally)
        return dict(added)

    def strip_of(self, key: tuple[str, str]) -> list[float]:
        """Return how many runs of a queue have finished in each period."""
        counts = self._finished.get(key, {})
        return [counts.get(at, 0.0) for at in self.times]

    @cached_property
    def _finished(self) -> dict[tuple[str, str], dict[datetime, float]]:
        finished: dict[tuple[str, str], dict[datetime, float]] = defaultdict(dict)
        for point in self._points:
            for key, tally in point.tallies.items():
                counts = finished[key.backend, key.queue_name]
                counts[point.at] = counts.get(point.at, 0.0) + tally.finished
        return dict(finished)

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


def forget_history() -> None:
    """Have the next page read everything anew."""
    for shared in _shared.values():
        shared.forget()
