"""Durations, as options give them, and as people read and write them."""

import re
from datetime import timedelta
from typing import Any

from django.utils.formats import number_format

MAX_DELAY = 10 * 366 * 86_400.0  # seconds; a longer delay is a mistake
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def seconds(
    given: Any, name: str, longest: float = MAX_DELAY, longest_in_words: str = "ten years"
) -> float:
    """Return seconds or a timedelta as a float; raise ValueError if it is not a delay."""
    number = given.total_seconds() if isinstance(given, timedelta) else given
    is_number = isinstance(number, int | float) and not isinstance(number, bool)
    if not is_number or not 0 <= number <= longest:
        raise ValueError(
            f"{name} must be seconds or a timedelta, from 0 to {longest_in_words}, not {given!r}."
        )
    return float(number)


def in_words(duration: timedelta, decimals: int = 1) -> str:
    """
    Return a duration with its one or two largest units: "41.5 s", "1 min 16 s", "2 h 5 min",
    "3 d 4 h". ``decimals`` are the digits after the point of what takes less than a minute.
    """
    if duration < MINUTE:
        return f"{duration.total_seconds():.{decimals}f} s"
    if duration < HOUR:
        return _two_units(duration, MINUTE, "min", timedelta(seconds=1), "s")
    if duration < DAY:
        return _two_units(duration, HOUR, "h", MINUTE, "min")
    return _two_units(duration, DAY, "d", HOUR, "h")


def localized(duration: timedelta, decimals: int = 1) -> str:
    """Return the same with the decimal sign of the language that is active, for pages."""
    if duration < MINUTE:
        return f"{number_format(round(duration.total_seconds(), decimals), decimals)} s"
    return in_words(duration)


def _two_units(
    duration: timedelta, large: timedelta, of_large: str, small: timedelta, of_small: str
) -> str:
    count, rest = divmod(duration, large)
    return f"{count} {of_large} {rest // small} {of_small}"


_UNITS = {
    "s": timedelta(seconds=1),
    "m": MINUTE,
    "min": MINUTE,
    "h": HOUR,
    "d": DAY,
    "w": timedelta(weeks=1),
}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(s|min|m|h|d|w)(?![a-z])")


def of_text(text: str) -> timedelta:
    """
    Return the duration that a person has written: "2h", "1h 30m", "45s", "3d", "2w". Raise
    ValueError for anything else.
    """
    parts = _PART.findall(text)
    if not parts or _PART.sub("", text).strip() or len(text) > 50:
        raise ValueError(f"{text!r} is not a duration, such as 90s, 15m, 2h, 1h30m, 3d or 2w.")
    try:
        return sum((float(number) * _UNITS[unit] for number, unit in parts), timedelta())
    except OverflowError:
        raise ValueError(f"{text!r} is too long.") from None
