"""What was counted lately: read once for all pages of this process, and not again for a while."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

from taskworks.dashboard.reading import Read, read
from taskworks.dashboard.shared import Shared
from taskworks.dashboard.snapshot import snapshot
from taskworks.database.clock import as_aware
from taskworks.models import Mark
from taskworks.statistics import gauges, marks, reading
from taskworks.statistics.forecast import LATELY
from taskworks.statistics.gauges import GaugePoint
from taskworks.statistics.reading import Busiest, TooManyRows
from taskworks.statistics.tally import Tally
from taskworks.store import store

T = TypeVar("T")
Queue = tuple[str, str]  # a backend and a name

MOST_SECONDS = 1.0  # that its statements may take: the result is kept for a while
MOST_TASKS = 20  # that take the most time
MOST_KEPT = 50  # of what was read of one task or queue


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

    @property
    def wanted(self) -> dict[str, Any]:
        """The same as ``reading.series`` has it."""
        given = {"task_path": self.task, "queue_name": self.queue, "backend": self.backend}
        return {name: value for name, value in given.items() if value}


ABOUT_ALL = About()
HOUR = Window("1h", timedelta(hours=1), 10)
WINDOWS = {
    one.name: one
    for one in (
        HOUR,
        Window("24h", timedelta(days=1), 60),
        Window("7d", timedelta(days=7), 300),
    )
}


class Counted(NamedTuple):
    """What was counted in each period; if it is not known, a sentence says why."""

    tallies: Mapping[datetime, Tally]
    problem: str = ""


class Periods:
    """The periods of a window, by the database's clock."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.seconds = reading.period_for(window.duration)
        self.at = as_aware(snapshot().at.value or datetime.now(UTC))

    @cached_property
    def times(self) -> list[datetime]:
        """When each of them began."""
        end = int(self.at.timestamp()) // self.seconds * self.seconds
        number = int(self.window.duration.total_seconds()) // self.seconds
        begins = range(end - (number - 1) * self.seconds, end + 1, self.seconds)
        return [datetime.fromtimestamp(one, UTC) for one in begins]


class History(Periods):
    """What was counted of all runs, or of one task or queue, and what happened meanwhile."""

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self.marks: Sequence[Mark] = ()
        self.gauges: Sequence[GaugePoint] = ()
        read_all = _read(self._read_all)
        self._counted = {ABOUT_ALL: Counted(read_all.value or {}, read_all.problem)}
        # By itself: it reads each task's rows, and a chart those of everything.
        busiest = _read(lambda: reading.busiest(store(), window.duration, MOST_TASKS))
        self.tasks: Sequence[Busiest] = busiest.value or ()
        self.problem_of_tasks = busiest.problem  # why it is not known, in a sentence

    def counted(self, about: About = ABOUT_ALL) -> Counted:
        """Return what was counted of all queues and tasks, or of one."""
        if known := self._counted.get(about):
            return known
        tallies = _read(lambda: self._tallies_of(about))
        counted = Counted(tallies.value or {}, tallies.problem)
        if len(self._counted) < MOST_KEPT and not counted.problem:
            self._counted[about] = counted
        return counted

    def _read_all(self) -> dict[datetime, Tally]:
        duration = self.window.duration
        self.marks = marks.marks(store(), duration)
        self.gauges = gauges.gauges(store(), duration)
        return self._tallies_of(ABOUT_ALL)

    def _tallies_of(self, about: About) -> dict[datetime, Tally]:
        told = {"by": reading.by_nothing, **about.wanted}
        points = reading.series(store(), self.window.duration, **told)
        return {point.at: tally for point in points for tally in point.tallies.values()}


class HistoryOfQueues(Periods):
    """What was counted of each queue in the last hour."""

    def __init__(self) -> None:
        super().__init__(HOUR)
        points = _read(lambda: reading.series(store(), HOUR.duration, by=reading.by_queue))
        self.problem = points.problem  # why it is not known, in a sentence
        self._queues = {
            point.at: {(key.backend, key.queue_name): tally for key, tally in point.tallies.items()}
            for point in points.value or ()
        }

    @cached_property
    def all(self) -> dict[Queue, Tally]:
        """What was counted of each queue in all of the hour."""
        return _added(self._queues.values())

    @cached_property
    def lately(self) -> dict[Queue, Tally]:
        """The same of the end of it."""
        return _added(queues for at, queues in self._queues.items() if at >= self.at - LATELY)

    def strip_of(self, queue: Queue) -> list[float]:
        """Return how many runs of a queue have finished in each period."""
        tallies = (self._queues.get(at, {}).get(queue) for at in self.times)
        return [float(tally.finished) if tally else 0.0 for tally in tallies]


def _read(call: Callable[[], T]) -> Read[T]:
    """Return what this reads, or why that is too much."""
    try:
        return read(call, MOST_SECONDS)
    except TooManyRows as error:
        return Read(None, str(error))


def _added(periods: Iterable[dict[Queue, Tally]]) -> dict[Queue, Tally]:
    added: dict[Queue, Tally] = {}
    for queues in periods:
        for queue, tally in queues.items():
            added.setdefault(queue, Tally()).add(tally)
    return added


def _sharing(window: Window) -> Shared[History]:
    return Shared(lambda: History(window), window.kept_for)


_shared = {name: _sharing(window) for name, window in WINDOWS.items()}
_of_queues = Shared(HistoryOfQueues, HOUR.kept_for)


def history(window: str) -> History:
    """Return the history of a window, or of an hour if there is no such window."""
    return _shared.get(window, _shared[HOUR.name]).get()


def history_of_queues() -> HistoryOfQueues:
    """Return that of each queue in the last hour."""
    return _of_queues.get()


def forget_history(*windows: str) -> None:
    """Have the next page read everything anew, or what is of these windows."""
    for window in windows or WINDOWS:
        _shared[window].forget()
    _of_queues.forget()
