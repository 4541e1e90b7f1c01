"""
Charts, drawn here as SVG: they need no script, can be printed, and follow the theme.

A chart has a point for each period. Everything is scaled to a box of WIDTH by HEIGHT; whoever shows
it may stretch it. The same numbers can be had as a table, also by those who do not see the chart.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

WIDTH, HEIGHT = 600.0, 140.0
STRIP_WIDTH, STRIP_HEIGHT = 120, 20
GAP = 0.15  # of the width of a bar, to the next one
HEADROOM = 1.05  # above the largest value


@dataclass(frozen=True, kw_only=True)
class Series:
    """What is drawn in one color; None is a gap."""

    label: str
    style: str  # the class of its color
    values: Sequence[float | None]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A series as the path that draws it."""

    label: str
    style: str
    path: str


@dataclass(frozen=True, kw_only=True)
class Line:
    """A mark: a vertical line, and what it says."""

    x: str
    at: datetime
    label: str


Format = Callable[[float], str]
Marks = Iterable[tuple[datetime, str]]


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart as its template draws it."""

    name: str  # for ids in the page
    title: str
    is_curves: bool
    series: Sequence[Series]
    shapes: Sequence[Shape]
    text: Format  # of a value
    top: str  # the value at its top
    bottom: str
    times: Sequence[datetime]
    marks: Sequence[Line] = field(default_factory=list)
    width: float = WIDTH
    height: float = HEIGHT

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(any(one.values) for one in self.series)

    @property
    def begin(self) -> datetime | None:
        """The time at its left."""
        return self.times[0] if self.times else None

    @property
    def end(self) -> datetime | None:
        """The time at its right."""
        return self.times[-1] if self.times else None

    @property
    def rows(self) -> Iterator[tuple[datetime, list[str]]]:
        """The numbers of each period in which there are some, as texts."""
        for at, *values in zip(self.times, *(one.values for one in self.series), strict=True):
            if any(values):
                yield at, ["—" if value is None else self.text(value) for value in values]


def bars(
    name: str,
    title: str,
    times: Sequence[datetime],
    series: Sequence[Series],
    *,
    text: Format,
    marks: Marks = (),
) -> Chart:
    """Return a chart of counts, stacked on one another."""
    sums = [sum(one.values[i] or 0 for one in series) for i in range(len(times))]
    most = max(sums, default=0)
    below = [0.0] * len(times)
    shapes = []
    for one in series:
        shapes.append(Shape(label=one.label, style=one.style, path=_bars(one, below, most)))
        below = [low + (value or 0) for low, value in zip(below, one.values, strict=True)]
    return Chart(
        name=name,
        title=title,
        is_curves=False,
        series=series,
        shapes=shapes,
        text=text,
        top=text(most),
        bottom=text(0),
        times=times,
        marks=[*_lines(times, marks)],
    )


def curves(
    name: str,
    title: str,
    times: Sequence[datetime],
    series: Sequence[Series],
    *,
    text: Format,
    marks: Marks = (),
) -> Chart:
    """Return a chart of seconds, on a logarithmic scale: 3 ms and 5 minutes are both seen."""
    known = [value for one in series for value in one.values if value is not None and value > 0]
    low, high = min(known, default=0.001), max(known, default=1.0)
    low, high = low / HEADROOM, max(high, low * 2) * HEADROOM
    shapes = [
        Shape(label=one.label, style=one.style, path=_curve(one.values, low, high))
        for one in series
    ]
    return Chart(
        name=name,
        title=title,
        is_curves=True,
        series=series,
        shapes=shapes,
        text=text,
        top=text(high),
        bottom=text(low),
        times=times,
        marks=[*_lines(times, marks)],
    )


def strip(values: Sequence[float]) -> str:
    """Return the path of a small bar chart without axes, of STRIP_WIDTH by STRIP_HEIGHT."""
    most = max(values, default=0)
    if not most:
        return ""
    step = STRIP_WIDTH / len(values)
    return "".join(
        _bar(
            i * step,
            STRIP_HEIGHT * (1 - value / most),
            step * (1 - GAP),
            value / most * STRIP_HEIGHT,
        )
        for i, value in enumerate(values)
        if value
    )


def _bars(series: Series, below: Sequence[float], most: float) -> str:
    step = WIDTH / max(len(below), 1)
    return "".join(
        _bar(
            i * step,
            HEIGHT - (below[i] + value) / most * HEIGHT,
            step * (1 - GAP),
            value / most * HEIGHT,
        )
        for i, value in enumerate(series.values)
        if value
    )


def _bar(x: float, y: float, width: float, height: float) -> str:
    return f"M{_n(x)} {_n(y)}h{_n(width)}v{_n(height)}h{_n(-width)}z"


def _curve(values: Sequence[float | None], low: float, high: float) -> str:
    step, span = WIDTH / max(len(values), 1), math.log(high / low)
    path, is_drawing = "", False
    for i, value in enumerate(values):
        if value is None:
            is_drawing = False
            continue
        y = HEIGHT * (1 - math.log(max(value, low) / low) / span)
        # A point without neighbors is a short line, or nobody would see it.
        path += f"{'L' if is_drawing else 'M'}{_n((i + 0.5) * step)} {_n(y)}"
        path += "" if is_drawing else "h1"
        is_drawing = True
    return path


def _lines(times: Sequence[datetime], marks: Marks) -> Iterable[Line]:
    if len(times) < 2:
        return
    step = times[1] - times[0]
    length = (times[-1] - times[0]) + step
    for at, label in marks:
        share = (at - times[0]) / length
        if 0 <= share <= 1:
            yield Line(x=_n(share * WIDTH), at=at, label=label)


def _n(number: float) -> str:
    """Return a number as SVG has it, short, whatever the language of the page."""
    return f"{number:.1f}".removesuffix(".0")
