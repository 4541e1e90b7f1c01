"""
Celery's crontab as a cron expression of ours.

The syntax hardly differs: ranges of Celery may wrap around (``fri-mon``). The meaning
differs where both the day of the month and the day of the week are restricted: Celery fires on days
that match both, cron on those that match either.
"""

import re
from calendar import day_abbr, month_abbr
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from taskworks.moving.beat.entries import CannotImport, Crontab

MONTHS = {name.lower(): n for n, name in enumerate(month_abbr) if n}
DAYS = {name.lower(): (n + 1) % 7 for n, name in enumerate(day_abbr)}
SUNDAY = 7  # another name of 0


class _Field(NamedTuple):
    name: str
    lowest: int
    highest: int
    words: Mapping[str, int] = {}

    @property
    def everything(self) -> list[int]:
        return [*range(self.lowest, self.highest + 1)]


FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day_of_month", 1, 31),
    _Field("month_of_year", 1, 12, MONTHS),
    _Field("day_of_week", 0, 6, DAYS),
)
DAY_OF_MONTH, DAY_OF_WEEK = FIELDS[2], FIELDS[4]
WEEKS = {frozenset(range(first, first + 7)): n for n, first in enumerate((1, 8, 15, 22), 1)}

_STEP = r"(?:/(?P<step>\d+))?"
_PART = re.compile(rf"(?:(?P<star>\*)|(?P<first>\w+?)(?:-(?P<last>\w+)|(?!/))){_STEP}")
# What both write in the same way.
_PLAIN = re.compile(r"(\*(/\d+)?|\d+(-\d+(/\d+)?)?)(,(\*(/\d+)?|\d+(-\d+(/\d+)?)?))*")


def expression(crontab: Crontab) -> str:
    """Return the cron expression with the same times; raise CannotImport if there is none."""
    texts = {field.name: getattr(crontab, field.name).replace(" ", "") for field in FIELDS}
    values = {field.name: _values(texts[field.name], field) for field in FIELDS}
    written = {f.name: _written(texts[f.name], values[f.name], f) for f in FIELDS}
    if "*" not in {written["day_of_month"], written["day_of_week"]}:
        days = frozenset(values["day_of_month"]), values["day_of_week"]
        written["day_of_month"], written["day_of_week"] = "*", _of_a_week(*days, crontab)
    return " ".join(written[field.name] for field in FIELDS)


def _of_a_week(days: frozenset[int], weekdays: Iterable[int], crontab: Crontab) -> str:
    """Return weekdays of one week of the month, such as the first Monday."""
    if days not in WEEKS:
        raise CannotImport(
            f"Celery fires on days that match both day_of_month={crontab.day_of_month!r} and "
            f"day_of_week={crontab.day_of_week!r}; a cron expression has those that match either. "
            "Schedule the task by one of them, and let it look at the other."
        )
    return ",".join(f"{weekday}#{WEEKS[days]}" for weekday in sorted(weekdays))


def _values(text: str, field: _Field) -> set[int]:
    """Return the values of a field; raise CannotImport for what Celery would refuse."""
    values: set[int] = set()
    for part in text.split(","):
        values |= {*_values_of_part(part, text, field)}
    return values


def _values_of_part(part: str, text: str, field: _Field) -> list[int]:
    found = _PART.fullmatch(part)
    if found is None or (found["step"] and int(found["step"]) == 0):
        raise _invalid(text, field)
    step = int(found["step"] or 1)
    if found["star"]:
        return field.everything[::step]
    first = _number(found["first"], text, field)
    if found["last"] is None:
        return [first]
    if field is DAY_OF_WEEK and found["last"] == str(SUNDAY):
        return [day % SUNDAY for day in range(first, SUNDAY + 1)[::step]]
    last = _number(found["last"], text, field)
    if last >= first:
        return [*range(first, last + 1)][::step]
    return [*range(first, field.highest + 1), *range(field.lowest, last + 1)][::step]


def _number(word: str, text: str, field: _Field) -> int:
    if word.isdecimal():
        number = int(word)
        if field is DAY_OF_WEEK and number == SUNDAY:
            return 0
        if field.lowest <= number <= field.highest:
            return number
    elif (known := field.words.get(word[:3].lower())) is not None:
        return known
    raise _invalid(text, field)


def _invalid(text: str, field: _Field) -> CannotImport:
    return CannotImport(f"{field.name}={text!r} of its crontab is not valid.")


def _written(text: str, values: set[int], field: _Field) -> str:
    """Return the field as it is if it means the same here, else its values."""
    if values == {*field.everything}:
        return "*"
    if _PLAIN.fullmatch(text) and _is_ours(text, field):
        return text
    return ",".join(_ranges(sorted(values)))


def _is_ours(text: str, field: _Field) -> bool:
    """Return whether no range wraps around, and no step is longer than the field."""
    for part in text.split(","):
        numbers, _, step = part.partition("/")
        first, _, last = numbers.partition("-")
        if int(step or 1) > len(field.everything) or (last and int(last) < int(first)):
            return False
    return True


def _ranges(values: list[int]) -> list[str]:
    """Return the values as text, those that follow each other as a range."""
    groups: list[list[int]] = []
    for value in values:
        if groups and groups[-1][-1] == value - 1:
            groups[-1].append(value)
        else:
            groups.append([value])
    return [f"{g[0]}-{g[-1]}" if len(g) > 2 else ",".join(map(str, g)) for g in groups]
