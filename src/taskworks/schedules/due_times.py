"""For which planned times a schedule fires now: those that are due, and those to make up for."""

from datetime import datetime, timedelta
from itertools import chain

from taskworks.database import clock
from taskworks.database.fields import NONE, ONE
from taskworks.models import Schedule, planning
from taskworks.timetables.timetable import TICK

MAX_TIMES_AT_ONCE = 100  # planned times of a schedule in one transaction
# A planned time that is later than this, because no worker was there, is missed.
MISSED_AFTER = timedelta(seconds=10)


def times_to_fire(schedule: Schedule, now: datetime) -> tuple[list[datetime], datetime | None]:
    """Return the planned times to fire now, and the first of those to fire later."""
    if schedule.next_run is None:  # it is used up
        return [], None
    first = _first_wanted(schedule, clock.as_aware(schedule.next_run), now - MISSED_AFTER)
    if first is None:
        return [], None
    times: list[datetime] = []
    for planned in chain([first], planning.times_after(schedule, first)):
        if planned > now or len(times) == MAX_TIMES_AT_ONCE:
            return times, planned
        times.append(planned)
    return times, None


def _first_wanted(schedule: Schedule, first: datetime, missed: datetime) -> datetime | None:
    """
    Return the planned time to go on with if the next one is ``first`` and all before ``missed``
    were missed. Which of these are made up for is decided once; until they are, ``behind_until``
    says so.
    """
    if first >= missed or (schedule.behind_until and first < clock.as_aware(schedule.behind_until)):
        return first
    if schedule.catch_up == NONE:
        return planning.next_after(schedule, missed - TICK)
    schedule.behind_until = clock.as_stored(missed)
    wanted = 1 if schedule.catch_up == ONE else schedule.catch_up
    return planning.nth_latest(schedule, wanted, first, missed) or first
