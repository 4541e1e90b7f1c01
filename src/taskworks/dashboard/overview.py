"""The first page: what is wrong, and how things are."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from django.utils.formats import localize
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from taskworks.dashboard import charts
from taskworks.dashboard.charts import Chart, Series
from taskworks.dashboard.databases_shown import states
from taskworks.dashboard.history import ABOUT_ALL, WINDOWS, About, History, history
from taskworks.dashboard.page import Page
from taskworks.dashboard.problems_shown import problems, unknown
from taskworks.dashboard.queue_lines import queue_lines
from taskworks.dashboard.snapshot import Snapshot, snapshot
from taskworks.dashboard.tags import duration
from taskworks.database.clock import as_aware
from taskworks.jsonvalue import printable
from taskworks.statistics.reading import Busiest
from taskworks.statistics.tally import Tally

MOST_QUEUES = 50
LONGEST = 512  # characters of a name
SHARES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
LABELS = {
    "1h": gettext_lazy("1 hour"),
    "24h": gettext_lazy("24 hours"),
    "7d": gettext_lazy("7 days"),
}


class TaskLine(NamedTuple):
    """A task of those that have taken the most time."""

    counted: Busiest

    @property
    def median(self) -> float | None:
        return self.counted.tally.run_quantile(0.5)

    @property
    def p95(self) -> float | None:
        return self.counted.tally.run_quantile(0.95)


class Overview(Page):
    entry = "overview"
    template = "overview.html"
    live_template = "overview_live.html"

    def title(self) -> str:
        return _("Overview")

    def context(self, **ids: Any) -> Mapping[str, Any]:
        now, past, about = snapshot(), history(self._window), self._about
        lines, counted = queue_lines(now), past.counted(about)
        drawn = charts_of(past, counted.tallies, has_depth=about == ABOUT_ALL)
        return {
            "now": now,
            "problems": problems(self.request),
            "not_known": unknown(),
            "states_of_databases": states(self.request),
            "states": [*(now.states.value or {}).items()],
            "rows": [{"line": line} for line in lines[:MOST_QUEUES]],
            "queues_left_out": max(0, len(lines) - MOST_QUEUES),
            "windows": self._windows,
            "past": past,
            "about": about,
            "about_all": self.address("overview", window=self._window),
            "problem_of_charts": counted.problem,
            "charts": [*map(self._shown, drawn)],
            "tasks": [*map(TaskLine, past.tasks)],
            "workers": _Workers.of(now),
        }

    @property
    def _window(self) -> str:
        wanted = self.request.GET.get("window", "1h")
        return wanted if wanted in WINDOWS else "1h"

    @property
    def _about(self) -> About:
        """Of what the charts are."""
        given = self.request.GET
        return About(*(printable(given.get(name, ""))[:LONGEST] for name in About._fields))

    def _shown(self, chart: Chart) -> "_ShownChart":
        about = self._about._asdict()
        here = self.address("overview", **about, window=self._window)
        more = self.address("overview", **about, window=self._window, numbers=chart.name)
        has_numbers = self.request.GET.get("numbers") == chart.name
        place = f"#tw-{chart.name}"
        return _ShownChart(chart, has_numbers, f"{more}{place}", f"{here}{place}")

    @property
    def _windows(self) -> list[dict[str, Any]]:
        return [
            {
                "label": LABELS[name],
                "address": self.address("overview", **self._about._asdict(), window=name),
                "is_current": name == self._window,
            }
            for name in WINDOWS
        ]


class _ShownChart(NamedTuple):
    """A chart, and where the page has its numbers as a table, which are many."""

    chart: Chart
    has_numbers: bool
    with_numbers: str
    without_numbers: str


class _Workers(NamedTuple):
    """All workers in one line."""

    living: int
    living_in_words: str
    silent: int
    busy: int
    slots: int

    @classmethod
    def of(cls, now: Snapshot) -> "_Workers":
        living = now.living
        silent = [one for one in now.workers.value or () if one.is_silent]
        return cls(
            len(living),
            f"{localize(len(living))}{'+' if now.has_more_workers else ''}",
            len(silent),
            sum(one.busy for one in living),
            sum(one.worker.all_slots for one in living),
        )


def charts_of(
    past: History, tallies: Mapping[datetime, Tally], *, has_depth: bool
) -> Iterable[Chart]:
    """
    Return what came of the runs in the window, how long they waited, and how long they took. How
    many waited is sampled of all together.
    """
    times = past.times
    marks = [(as_aware(mark.at), mark.label) for mark in past.marks]

    def counts(name: str) -> list[float | None]:
        return [tallies[at][name] if at in tallies else 0 for at in times]

    def shares(quantile: Callable[[Tally, float], float | None]) -> list[Series]:
        return [
            Series(
                label=label,
                style=str(place),
                values=[quantile(tallies[at], share) if at in tallies else None for at in times],
            )
            for place, (label, share) in enumerate(SHARES, 1)
        ]

    yield charts.bars(
        "throughput",
        _("What became of runs"),
        times,
        [
            Series(label=_("successful"), style="good", values=counts("successful")),
            Series(label=_("failed"), style="bad", values=counts("failed")),
            Series(label=_("retried"), style="warn", values=counts("retried")),
            Series(label=_("cancelled"), style="muted", values=counts("cancelled")),
        ],
        text=lambda value: str(localize(int(value))),
        marks=marks,
    )
    yield charts.curves(
        "wait",
        _("How long runs waited"),
        times,
        shares(Tally.wait_quantile),
        text=duration,
        marks=marks,
    )
    if has_depth:
        yield _depth(past, marks)
    yield charts.curves(
        "run",
        _("How long attempts took"),
        times,
        shares(Tally.run_quantile),
        text=duration,
        marks=marks,
    )


def _depth(past: History, marks: list[tuple[datetime, str]]) -> Chart:
    depths = {point.at: point.depth for point in past.gauges}
    values: list[float | None] = [depths.get(at, 0) for at in past.times]
    return charts.bars(
        "depth",
        _("How many runs waited, on average"),
        past.times,
        [Series(label=_("ready"), style="muted", values=values)],
        text=lambda value: str(localize(round(value) if value >= 10 else round(value, 1))),
        marks=marks,
    )
