"""What the commands say of each queue, put together from what is known of it."""

from collections import Counter
from datetime import timedelta
from typing import NamedTuple

from taskworks.conf import conf
from taskworks.models import Pause
from taskworks.models.pause import QUEUE
from taskworks.options.objectives import Objective, objectives
from taskworks.problems.situation import Situation
from taskworks.statistics.attainment import Attainment, attainment
from taskworks.statistics.forecast import LATELY, Flow, Forecast, forecast
from taskworks.statistics.gauges import depths_before
from taskworks.statistics.reading import Counts
from taskworks.store import Store
from taskworks.store.surveying import QueueState

Queue = tuple[str, str]  # a backend and a queue
AN_HOUR = timedelta(hours=1)  # of which objectives are told


class QueueShown(NamedTuple):
    """A queue: what waits in it, what workers do about it, and what will become of it."""

    state: QueueState
    in_hand: int
    slots: int  # of the living workers that take it
    counts: Counts  # of the latest minutes
    forecast: Forecast | None  # None if statistics are switched off
    pause: Pause | None
    attained: Attainment | None = None  # of the last hour, if the queue has an objective

    @property
    def failure_share(self) -> float | None:
        """Of the runs that ended lately; None without any."""
        ended = self.counts.successful + self.counts.failed
        return self.counts.failed / ended if ended else None


def queues_shown(store: Store, situation: Situation | None = None) -> list[QueueShown]:
    """
    Return the queues in which something waits or runs, or that are paused, or in which something
    finished in the latest minutes, in the order of their names.
    """
    situation = situation or Situation(store)
    states = {(one.backend, one.queue_name): one for one in situation.queues}
    in_hand = _in_hand(store)
    counts = _counts_by_queue(situation)
    before = depths_before(store, LATELY) if conf().statistics else None
    pauses = {(one.backend, one.name): one for one in situation.pauses if one.kind == QUEUE}
    names, wanted = {*states, *in_hand, *counts, *pauses}, objectives()
    found = []
    for name in sorted(names):
        state, counted = states.get(name, QueueState(*name)), counts.get(name, Counts())
        slots = sum(worker.all_slots for worker in situation.attending(state))
        flow = Flow.of(state, slots, counted, before)
        expected = forecast(flow) if conf().statistics else None
        pause = pauses.get(name)
        attained = _attained(store, name, wanted.get(name))
        found.append(
            QueueShown(state, in_hand.get(name, 0), slots, counted, expected, pause, attained)
        )
    return found


def _attained(store: Store, name: Queue, objective: Objective | None) -> Attainment | None:
    if objective is None or not conf().statistics:
        return None
    backend, queue_name = name
    return attainment(store, objective, AN_HOUR, backend=backend, queue_name=queue_name)


def _in_hand(store: Store) -> dict[Queue, int]:
    numbers: Counter[Queue] = Counter()
    for held in store.held():
        numbers[held.backend, held.queue_name] += held.number
    return dict(numbers)


def _counts_by_queue(situation: Situation) -> dict[Queue, Counts]:
    added: dict[Queue, Counts] = {}
    for key, counts in situation.counts.items():
        name = key.backend, key.queue_name
        added[name] = added.get(name, Counts()).plus(counts)
    return added
