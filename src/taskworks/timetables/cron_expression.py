"""
Cron expressions: five fields or six, or an alias such as ``@daily``, which cronsim parses field by
field, so that an error can name the field and its values.
"""

import re
from datetime import datetime
from functools import lru_cache

from cronsim import CronSim, CronSimError

from taskworks.conf import nearest
from taskworks.timetables.timetable import InvalidTimetable

ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
# The fields of an expression, in its order, under cronsim's names.
FIELDS = ("minute", "hour", "day-of-month", "month", "day-of-week", "second")
VALUES = {
    "minute": "0 to 59",
    "hour": "0 to 23",
    "day-of-month": "1 to 31, or L for the last",
    "month": "1 to 12, or JAN to DEC",
    "day-of-week": "0 to 7, or SUN to SAT",
    "second": "0 to 59",
}
COUNTS = {
    "minute": 60,
    "hour": 24,
    "day-of-month": 31,
    "month": 12,
    "day-of-week": 7,
    "second": 60,
}
EVERY_HOUR = frozenset(range(24))
SOME_DAY = datetime(2024, 1, 1)  # noqa: DTZ001 - a local time


@lru_cache(maxsize=1000)
def parsed(expression: str) -> tuple[str, bool]:
    """
    Return the expression in cronsim's order, the second first, and whether it runs in every hour.
    Raise InvalidTimetable if it is not valid, or never comes.
    """
    parts = _fields(expression)
    for name, part in zip(FIELDS, parts, strict=True):
        _validate(expression, name, part)
    *others, second = parts
    hours = CronSim(f"0 {parts[1]} * * *", SOME_DAY).hours
    second_first = " ".join([second, *others])
    _validate_that_it_comes(expression, second_first, parts[2])
    return second_first, hours >= EVERY_HOUR


def _fields(expression: str) -> list[str]:
    given = expression.strip()
    if given.startswith("@"):
        given = _of_alias(given)
    # Sunday at the end of a range is the 7th day.
    parts = given.upper().replace("-SUN", "-7").split()
    if len(parts) not in (5, 6):
        raise InvalidTimetable(
            f"{expression!r} is not a cron expression: it has {len(parts)} fields, and needs 5 "
            "(minute, hour, day of month, month, day of week), or 6 with the second last."
        )
    return parts if len(parts) == 6 else [*parts, "0"]


def _of_alias(alias: str) -> str:
    try:
        return ALIASES[alias.lower()]
    except KeyError:
        raise InvalidTimetable(
            f"{alias!r} is not a cron expression.{nearest(alias, list(ALIASES))}"
        ) from None


def _validate(expression: str, name: str, part: str) -> None:
    tried = ["0", "*", "*", "*", "*", "*"]  # in cronsim's order
    tried[0 if name == "second" else FIELDS.index(name) + 1] = part
    try:
        CronSim(" ".join(tried), SOME_DAY)
    except (CronSimError, ValueError, IndexError):
        raise InvalidTimetable(
            f"{expression!r} is not a cron expression: {part!r} is not a valid {name}. Give "
            f"{VALUES[name]}, with *, lists, ranges and steps."
        ) from None
    _validate_steps(expression, name, part)


def _validate_steps(expression: str, name: str, part: str) -> None:
    # cronsim starts over with each hour, day or year, so such a step would do nothing.
    for step in re.findall(r"/([0-9]+)", part):
        if int(step) > COUNTS[name]:
            raise InvalidTimetable(
                f"{expression!r} is not a cron expression: the step {step} of {part!r} exceeds "
                f"the {name}'s {COUNTS[name]} values. For an interval of any length use @every, "
                "such as @every(minutes=90)."
            )


def _validate_that_it_comes(expression: str, second_first: str, days: str) -> None:
    try:
        first = next(CronSim(second_first, SOME_DAY), None)
    except CronSimError:
        first = None
    if first is None:
        raise InvalidTimetable(
            f"{expression!r} never comes: none of its months has the day-of-month {days!r}."
        )
