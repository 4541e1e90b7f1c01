"""When a queue will be empty, or how many slots keep it from growing forever."""

import math
from datetime import timedelta
from typing import NamedTuple

from django.utils.translation import gettext_noop as _

from taskworks.durations import in_words
from taskworks.sentences import counted, sentence
from taskworks.statistics.gauges import DepthsBefore
from taskworks.statistics.reading import Counts
from taskworks.store.surveying import QueueState

LATELY = timedelta(minutes=15)  # for which rates and shares of failures are told
STEADY = 0.05  # of what is finished: a smaller difference is none
LONGEST = timedelta(days=30)


class Flow(NamedTuple):
    """What is known of a queue."""

    depth: int  # ready runs now
    depth_before: float | None  # and ``minutes`` ago; None if nobody knows
    minutes: float
    finished: float  # runs that have finished since
    run_seconds: float  # that an attempt takes, on average
    slots: int  # of the living workers that take the queue

    @classmethod
    def of(cls, queue: QueueState, slots: int, lately: Counts, before: DepthsBefore) -> "Flow":
        """Return what is known if so much became of its runs ``LATELY``."""
        ago, depths = before or (LATELY, {})
        is_known = before is not None and not queue.is_capped
        return cls(
            queue.ready,
            depths.get((queue.backend, queue.queue_name), 0.0) if is_known else None,
            ago.total_seconds() / 60,
            lately.finished * (ago / LATELY),
            lately.run_sum / lately.attempts if lately.attempts else 0.0,
            slots,
        )


class Forecast(NamedTuple):
    """What will become of a queue if all goes on as in the latest minutes."""

    finished_per_minute: float
    enqueued_per_minute: float | None  # None if nobody knows
    empty_in: timedelta | None = None  # None if it does not become empty
    more_slots: int = 0  # that would keep it from growing

    @property
    def in_words(self) -> str:
        """The forecast as a few words; "" if there is nothing to say."""
        if self.empty_in is not None:
            left = in_words(self.empty_in, decimals=0)
            return sentence(_("empty in %(time)s"), time=left) if self.empty_in else ""
        if self.enqueued_per_minute is None:
            return ""
        growth = self.enqueued_per_minute - self.finished_per_minute
        if growth <= STEADY * self.enqueued_per_minute:
            return sentence(_("steady"))
        grows = sentence(_("grows by %(number)s a minute"), number=_number(growth))
        if not self.more_slots:
            return grows
        return counted(
            self.more_slots,
            _("%(grows)s: %(number)s more slot would hold it"),
            _("%(grows)s: %(number)s more slots would hold it"),
            grows=grows,
        )


def forecast(flow: Flow) -> Forecast:
    """
    Return the forecast. What is enqueued is what is finished, and what the queue has grown by. By
    Little's law, as many slots are busy as runs come in a second times the seconds that one takes.
    """
    per_minute = flow.finished / flow.minutes
    if flow.depth == 0:
        return Forecast(per_minute, _enqueued(flow), timedelta())
    enqueued = _enqueued(flow)
    if enqueued is None:
        return Forecast(per_minute, None)
    falls_by = per_minute - enqueued
    if falls_by > STEADY * max(per_minute, enqueued):
        left = timedelta(minutes=min(flow.depth / falls_by, LONGEST.total_seconds() / 60))
        return Forecast(per_minute, enqueued, left)
    return Forecast(per_minute, enqueued, None, _more_slots(flow, enqueued))


def _enqueued(flow: Flow) -> float | None:
    if flow.depth_before is None:
        return None
    return max(0.0, (flow.finished + flow.depth - flow.depth_before) / flow.minutes)


def _more_slots(flow: Flow, enqueued: float) -> int:
    needed = enqueued / 60 * flow.run_seconds
    return max(0, math.ceil(needed) - flow.slots) if flow.run_seconds else 0


def _number(value: float) -> str:
    return f"{value:.1f}" if value < 10 else f"{value:,.0f}"
