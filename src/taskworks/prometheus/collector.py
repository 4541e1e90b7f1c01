"""``TaskworksCollector``: the metrics, for a registry of prometheus_client."""

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from taskworks.prometheus.counted import counters, histograms
from taskworks.prometheus.facts import read_facts
from taskworks.prometheus.gauges import build_info, gauges
from taskworks.prometheus.latest import Latest, Reading
from taskworks.store import store


class TaskworksCollector(Collector):
    """
    Reads the metrics from the database, at most every five seconds. If that fails, it repeats what
    it has read before. Registering it costs no query.
    """

    def __init__(self) -> None:
        self._latest = Latest(lambda: read_facts(store()))

    def describe(self) -> Iterator[Metric]:
        """Yield the metrics without values."""
        return families(None)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        return families(self._latest.get())


def families(reading: Reading | None) -> Iterator[Metric]:
    """Yield the metrics of what was read; without values if it is None."""
    yield from _of_the_scrape(reading)
    facts = reading.facts if reading else None
    yield from gauges(facts)
    yield from _at(reading, [*counters(facts), *histograms(facts)])


def _of_the_scrape(reading: Reading | None) -> Iterator[Metric]:
    ok = GaugeMetricFamily(
        "taskworks_scrape_ok",
        "Whether the metrics were just read; if not, they are those of an earlier scrape.",
    )
    took = GaugeMetricFamily("taskworks_scrape_seconds", "How long it took to read the metrics.")
    if reading:
        ok.add_metric([], float(reading.is_ok))
        took.add_metric([], reading.seconds)
    yield from (ok, took, build_info(reading))


def _at(reading: Reading | None, metrics: Iterable[Metric]) -> Iterator[Metric]:
    """
    Give counts that were read before the time of that. A process that repeats older counts than
    another process has told since would make counters fall, which Prometheus takes for a restart;
    with a time that has passed, it leaves them out.
    """
    for metric in metrics:
        if reading and not reading.is_ok:
            metric.samples = [
                sample._replace(timestamp=reading.read_at) for sample in metric.samples
            ]
        yield metric


def new_registry() -> CollectorRegistry:
    """Return a registry with nothing else in it."""
    registry = CollectorRegistry()
    registry.register(TaskworksCollector())
    return registry


REGISTRY = new_registry()  # of the views
