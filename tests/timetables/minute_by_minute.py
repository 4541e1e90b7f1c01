"""The planned times of a timetable."""

from datetime import datetime
from itertools import islice

from taskworks.timetables.timetable import Timetable


def next_run(timetable: Timetable, moment: datetime) -> datetime | None:
    """The first after this moment; None if there is none."""
    return next(timetable.after(moment), None)


def upcoming(timetable: Timetable, n: int, moment: datetime) -> list[datetime]:
    """The next n after this moment."""
    return list(islice(timetable.after(moment), n))
