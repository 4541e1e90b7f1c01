"""Metrics of what was ever counted: counters of outcomes, histograms of waits and durations."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from taskworks.prometheus.facts import Facts
from taskworks.prometheus.labels import Labels, by_labels, names_of_series, narrowed
from taskworks.statistics.histogram import PER_DOUBLING, Histogram
from taskworks.statistics.tally import FINISHED, Tally

# The bounds of the buckets: 2^-7 s, which is 8 ms, to 2^12 s, which is 68 minutes.
LOWEST, HIGHEST = -7, 12
MAX_HISTOGRAMS = 300  # of waits, and of durations; each has 22 series

# Each counter, with the count that it shows.
COUNTERS = {
    "taskworks_attempts_started": ("attempts", "Attempts that workers have begun."),
    "taskworks_attempts_retried": (
        "retried",
        "Attempts that failed, and were followed by another.",
    ),
    "taskworks_attempts_snoozed": ("snoozed", "Attempts that ended to go on later."),
    "taskworks_attempts_timed_out": ("timed_out", "Attempts that failed with their timeout."),
    "taskworks_attempts_crashed": (
        "crashed",
        "Attempts whose process died of them, executed alone.",
    ),
    "taskworks_runs_rescued": (
        "rescued",
        "Runs that were made ready again when their worker died.",
    ),
    "taskworks_runs_lost": ("lost", "Runs that failed with their worker, without another attempt."),
}
FINISHED_RUNS = "taskworks_runs_finished"
WAIT, RUN = "taskworks_wait_seconds", "taskworks_run_seconds"


def counters(facts: Facts | None) -> Iterator[Metric]:
    """Yield the counters."""
    names = names_of_series() if facts else ()
    tallies = by_labels(facts.totals) if facts else {}
    for name, (count, text) in COUNTERS.items():
        counter = CounterMetricFamily(name, text, labels=names)
        for labels, tally in tallies.items():
            counter.add_metric(labels, tally[count])
        yield counter
    yield _finished_runs(names, tallies)


def _finished_runs(names: Labels, tallies: dict[Labels, Tally]) -> Metric:
    text = "Runs that have finished, by their outcome."
    finished = CounterMetricFamily(FINISHED_RUNS, text, labels=(*names, "outcome"))
    for labels, tally in tallies.items():
        for outcome in FINISHED:
            finished.add_metric((*labels, outcome), tally[outcome])
    return finished


def histograms(facts: Facts | None) -> Iterator[Metric]:
    """Yield the histograms."""
    names = names_of_series() if facts else ()
    waits = HistogramMetricFamily(
        WAIT, "Seconds from when a run was ready until its attempt began.", labels=names
    )
    runs = HistogramMetricFamily(RUN, "Seconds that attempts took.", labels=names)
    tallies = by_labels(facts.totals) if facts else {}
    for labels, tally in narrowed(tallies, MAX_HISTOGRAMS).items():
        waits.add_metric(labels, buckets_of(tally.waits), tally.wait_sum)
        runs.add_metric(labels, buckets_of(tally.runs), tally.run_sum)
    yield from (waits, runs)


def buckets_of(histogram: Histogram) -> list[tuple[str, int]]:
    """Return the bounds, as Prometheus writes them, and how many values are up to each."""
    within = dict.fromkeys(range(LOWEST, HIGHEST + 1), 0)
    for bucket, count in histogram.counts.items():
        power = max(LOWEST, -(-bucket // PER_DOUBLING))  # of the first bound that it is below
        if power <= HIGHEST:
            within[power] += count
    buckets, so_far = [], 0
    for power, count in within.items():
        so_far += count
        buckets.append((str(2.0**power), so_far))
    return [*buckets, ("+Inf", histogram.total)]
