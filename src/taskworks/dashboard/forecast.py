"""When a queue will be empty, from how many runs begin to wait and how many end."""

import math
from datetime import timedelta
from typing import NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from taskworks.durations import in_words
from taskworks.statistics.tally import Tally

STEADY = 0.02  # of what ends, by which a queue may grow or shrink and count as neither
NOT_SOON = timedelta(days=30)


class Flow(NamedTuple):
    """Runs per second of a queue: those that are enqueued, and those that end."""

    enters: float
    leaves: float
    seconds_each: float | None  # that a run takes, on average

    @classmethod
    def of(cls, enters: float, tally: Tally | None, seconds: float) -> "Flow":
        """Return the flow, given what was counted in so many seconds."""
        if tally is None:
            return cls(enters, 0.0, None)
        begun = tally.runs.total
        return cls(enters, tally.finished / seconds, tally.run_sum / begun if begun else None)


def outlook(ready: int, flow: Flow) -> str:
    """Return, in a sentence, when so many ready runs will have ended; "" if none is ready."""
    if not ready:
        return ""
    if not flow.leaves:
        return _("nothing has ended in the last 15 minutes")
    net = flow.leaves - flow.enters
    if abs(net) <= STEADY * flow.leaves:
        return _("neither grows nor shrinks")
    if net < 0:
        return _growing(flow)
    left = timedelta(seconds=min(ready / net, NOT_SOON.total_seconds()))
    if left >= NOT_SOON:
        return _("shrinks, but will not be empty in the next 30 days")
    return _("empty in %(duration)s") % {"duration": in_words(left, decimals=0)}


def _growing(flow: Flow) -> str:
    per_minute = math.ceil((flow.enters - flow.leaves) * 60)
    grows = _("grows by %(number)s a minute") % {"number": per_minute}
    if not flow.seconds_each:
        return grows
    # Little's law: as many slots are busy as runs begin per second, times how long each takes.
    slots = max(1, math.ceil((flow.enters - flow.leaves) * flow.seconds_each))
    more = ngettext(
        "%(slots)s more slot would hold it", "%(slots)s more slots would hold it", slots
    ) % {"slots": slots}
    return f"{grows}: {more}"
