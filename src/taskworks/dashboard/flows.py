"""Queues with what goes in and out of them: one read for all pages of this process."""

from typing import NamedTuple

from taskworks.dashboard import charts
from taskworks.dashboard.forecast import Flow, outlook
from taskworks.dashboard.history import RATE_WINDOW, History, history
from taskworks.dashboard.reading import read
from taskworks.dashboard.shared import Shared
from taskworks.dashboard.snapshot import QueueNow, Snapshot
from taskworks.statistics.tally import Tally
from taskworks.store import store

NEWEST_RUNS = 5000  # from which it is known how many are enqueued
KEPT_FOR = 10.0  # seconds
NOTHING = Tally()


class QueueLine(NamedTuple):
    """A queue as pages show it."""

    queue: QueueNow
    flow: Flow
    tally: Tally  # of the last hour
    strip: str  # the path of a small chart of the last hour

    @property
    def per_minute(self) -> float:
        """How many of its runs end in a minute."""
        return self.flow.leaves * 60

    @property
    def outlook(self) -> str:
        """When it will be empty; nothing of one that is paused."""
        return "" if self.queue.pause else outlook(self.queue.ready, self.flow)

    @property
    def waits(self) -> float | None:
        """The seconds that 95 % of its attempts did not wait longer."""
        return self.tally.waits.quantile(0.95)

    @property
    def takes(self) -> float | None:
        """The seconds that 95 % of its attempts did not take longer."""
        return self.tally.runs.quantile(0.95)


def queue_lines(now: Snapshot) -> list[QueueLine]:
    """Return a line for each queue: those with runs that wait first."""
    past = history("1h")
    hour, lately = past.by_queue(), past.by_queue(RATE_WINDOW)
    enters = _arrivals.get()
    lines = [
        QueueLine(
            queue,
            Flow.of(enters.get(queue.key, 0.0), lately.get(queue.key), RATE_WINDOW.total_seconds()),
            hour.get(queue.key, NOTHING),
            charts.strip(past.strip_of(queue.key)) if queue.key in hour else "",
        )
        for queue in _with_those_before(now, past)
    ]
    return sorted(lines, key=lambda line: (not line.queue.ready, line.queue.key))


def _with_those_before(now: Snapshot, past: History) -> list[QueueNow]:
    """Return the queues of now, and those in which runs have ended in the last hour."""
    queues = [*(now.queues.value or ())]
    known = {queue.key for queue in queues}
    before = (key for key in past.by_queue() if key not in known)
    return [*queues, *(QueueNow(*key, 0, None, 0, 0, 0, None) for key in sorted(before))]


def _enters() -> dict[tuple[str, str], float]:
    """Return how many runs of each queue are enqueued per second, as the newest runs show."""
    seconds = RATE_WINDOW.total_seconds()
    rows = read(lambda: store().arrivals(NEWEST_RUNS, seconds)).value or []
    if sum(number for _, _, number, _ in rows) >= NEWEST_RUNS:  # there may be more in the window
        seconds = max(1.0, *(first for *_, first in rows))
    return {(backend, name): number / seconds for backend, name, number, _ in rows}


_arrivals = Shared(_enters, KEPT_FOR)


def forget_arrivals() -> None:
    """Have the next page read everything anew."""
    _arrivals.forget()
