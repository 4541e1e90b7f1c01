"""Queues with what goes in and out of them: read once for all pages of this process."""

from typing import NamedTuple

from taskworks.dashboard import charts
from taskworks.dashboard.history import HistoryOfQueues, history_of_queues
from taskworks.dashboard.reading import read
from taskworks.dashboard.shared import Shared
from taskworks.dashboard.snapshot import QueueNow, Snapshot
from taskworks.statistics import gauges
from taskworks.statistics.forecast import LATELY, Flow, Forecast, forecast
from taskworks.statistics.gauges import DepthsBefore
from taskworks.statistics.reading import Counts
from taskworks.statistics.tally import Tally
from taskworks.store import store
from taskworks.store.surveying import QueueState

KEPT_FOR = 10.0  # seconds
NOTHING = Tally()


class QueueLine(NamedTuple):
    """A queue as pages show it."""

    queue: QueueNow
    forecast: Forecast
    tally: Tally  # of the last hour
    strip: str  # the path of a small chart of the last hour
    is_counted: bool  # whether it is known what has ended

    @property
    def ended_a_minute(self) -> float | None:
        """How many runs have ended in a minute of late; None if nobody knows."""
        return self.forecast.finished_per_minute if self.is_counted else None

    @property
    def outlook(self) -> str:
        """When it will be empty; nothing of one that is paused, or of which too little is known."""
        is_known = self.queue.is_counted and self.is_counted
        return self.forecast.in_words if is_known and not self.queue.pause else ""

    @property
    def waits(self) -> float | None:
        """The seconds that 95 % of its attempts did not wait longer."""
        return self.tally.wait_quantile(0.95)

    @property
    def takes(self) -> float | None:
        """The seconds that 95 % of its attempts did not take longer."""
        return self.tally.run_quantile(0.95)


def queue_lines(now: Snapshot) -> list[QueueLine]:
    """Return a line for each queue: those with runs that wait first."""
    past, before = history_of_queues(), _depths.get()
    lines = [
        QueueLine(
            queue,
            _forecast(queue, past.lately.get(queue.key, NOTHING), before),
            past.all.get(queue.key, NOTHING),
            charts.strip(past.strip_of(queue.key)) if queue.key in past.all else "",
            not past.problem,
        )
        for queue in _with_those_before(now, past)
    ]
    return sorted(lines, key=lambda line: (not line.queue.ready, line.queue.key))


def _with_those_before(now: Snapshot, past: HistoryOfQueues) -> list[QueueNow]:
    """Return the queues of now, and those in which runs have ended in the last hour."""
    queues = [*(now.queues.value or ())]
    known = {queue.key for queue in queues}
    before = sorted(key for key in past.all if key not in known)
    return [*queues, *(now.queue(QueueState(*key)) for key in before)]


def _forecast(queue: QueueNow, lately: Tally, before: DepthsBefore) -> Forecast:
    return forecast(Flow.of(queue.state, queue.slots, Counts.of(lately), before))


def _depths_before() -> DepthsBefore:
    return read(lambda: gauges.depths_before(store(), LATELY)).value


_depths = Shared(_depths_before, KEPT_FOR)


def forget_depths() -> None:
    """Have the next page read everything anew."""
    _depths.forget()
