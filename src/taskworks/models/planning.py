"""
When a schedule is due: its planned times, and its plan, which is what the row stores of them.

Planned times are aware, whatever ``USE_TZ`` is; a ``now`` that goes into a column is as the
database gives it.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import takewhile
from typing import TYPE_CHECKING

from taskworks.database import clock
from taskworks.sentences import moment_in_words
from taskworks.timetables.cron import Cron
from taskworks.timetables.interval import Interval
from taskworks.timetables.timetable import TICK, Timetable, zone_of

if TYPE_CHECKING:
    from taskworks.models.schedule import Schedule

# sisy's moments for "never": before all runs, and after them.
HAS_NOT_RUN = datetime(1970, 1, 1, tzinfo=UTC)
FAR_FUTURE = datetime(2217, 12, 31, 23, 59, tzinfo=UTC)

# Columns that decide when a schedule is due.
TIMING = {"cron", "interval", "timezone", "start_running", "end_running", "wait_for_schedule"}
# Columns that a plan sets; it may disable the schedule as well.
PLAN = {"error", "finished_at", "next_run", "due_at", "behind_until"}


def not_planned() -> datetime:
    """Return the ``due_at`` of a schedule without a plan: long ago, so that a worker plans it."""
    return clock.as_stored(HAS_NOT_RUN)


# Planned times.


def timetable_of(schedule: "Schedule") -> Timetable:
    """Return its planned times without its start and end; raise InvalidTimetable for bad ones."""
    if schedule.interval is not None:
        start = schedule.start_running or schedule.created_at
        return Interval(schedule.interval, clock.as_aware(start))
    return Cron(schedule.cron, schedule.timezone)


def in_words(schedule: "Schedule") -> str:
    """Return when it runs, and how often in all; raise InvalidTimetable for bad timing."""
    words = timetable_of(schedule).in_words()
    match schedule.iterations:
        case 0:
            return words
        case 1 if schedule.wait_for_schedule:
            return f"Once, at the first of these times: {words}"
        case 1:
            return _capitalised(once(schedule))
        case number:
            return f"{words}, {number} times"


def once(schedule: "Schedule") -> str:
    """Return when it runs if it does so once, without waiting for a planned time."""
    if schedule.start_running is None:
        return "once, immediately"
    start = clock.as_aware(schedule.start_running).astimezone(zone_of(schedule.timezone))
    return f"once, at {moment_in_words(start)}"


def _capitalised(words: str) -> str:
    return words[0].upper() + words[1:]


def times_after(schedule: "Schedule", moment: datetime) -> Iterator[datetime]:
    """Yield the planned times after this moment, within its start and end."""
    times = filter(clock.can_be_stored, timetable_of(schedule).after(_from_start(schedule, moment)))
    return takewhile(lambda planned: _is_before_end(schedule, planned), times)


def next_after(schedule: "Schedule", moment: datetime) -> datetime | None:
    """Return the first planned time after this moment, within its start and end."""
    return next(times_after(schedule, moment), None)


def nth_latest(schedule: "Schedule", n: int, since: datetime, until: datetime) -> datetime | None:
    """
    Return the nth latest of the planned times after one moment and before another, within its
    start and end; None if there are fewer.
    """
    if schedule.end_running:
        until = min(until, clock.as_aware(schedule.end_running))
    found = timetable_of(schedule).nth_latest(n, _from_start(schedule, since), until)
    return found and next_after(schedule, found - TICK)  # which can be stored


def first_run(schedule: "Schedule", now: datetime) -> datetime | None:
    """Return when it is due if it is planned now; None if it never is."""
    if schedule.wait_for_schedule or schedule.last_run:
        return next_after(schedule, now)
    start = schedule.start_running
    first = max(now, clock.as_aware(start)) if start else now
    return first if _is_before_end(schedule, first) else None


def is_used_up(schedule: "Schedule") -> bool:
    """Return whether it has fired as often as its iterations allow."""
    return 0 < schedule.iterations <= schedule.fired


def upcoming(
    schedule: "Schedule", n: int, after: datetime, planned: datetime | None
) -> list[datetime]:
    """
    Return the next n times after this moment, or fewer if it ends before, in its own time zone.
    ``planned`` is the next one if that is known: it may not be a time of its timetable.
    """
    if schedule.iterations:
        n = min(n, max(0, schedule.iterations - schedule.fired))
    times = [planned] if planned and planned > after else []
    for following in times_after(schedule, times[-1] if times else after):
        if len(times) >= n:
            break
        times.append(following)
    zone = zone_of(schedule.timezone)
    return [moment.astimezone(zone) for moment in times[:n]]


def _from_start(schedule: "Schedule", moment: datetime) -> datetime:
    """Return the moment, or one just before its start if that is later."""
    start = schedule.start_running and clock.as_aware(schedule.start_running)
    return start - TICK if start and start > moment else moment


def _is_before_end(schedule: "Schedule", moment: datetime) -> bool:
    return schedule.end_running is None or moment < clock.as_aware(schedule.end_running)


# The plan. Nothing is written here.


def needs_a_plan(schedule: "Schedule", changed: set[str]) -> bool:
    """Return whether the plan of a stored schedule depends on columns that have changed."""
    had_ended = is_used_up(schedule) or schedule.finished_at is not None
    return bool(changed & {*TIMING, "enabled"}) or ("iterations" in changed and had_ended)


def plan(schedule: "Schedule", now: datetime) -> None:
    """Set the columns of the plan as of now."""
    schedule.error, schedule.finished_at, schedule.behind_until = "", None, None
    if not schedule.enabled:
        schedule.next_run, schedule.due_at = None, not_planned()
        return
    planned = None if is_used_up(schedule) else first_run(schedule, clock.as_aware(now))
    if planned is None:
        finish(schedule, now)
    else:
        schedule.next_run = schedule.due_at = clock.as_stored(planned)


def finish(schedule: "Schedule", now: datetime) -> None:
    """Disable it: its iterations or its time are used up."""
    schedule.enabled, schedule.finished_at = False, now
    schedule.next_run = schedule.behind_until = None
    schedule.due_at = clock.as_stored(FAR_FUTURE)
