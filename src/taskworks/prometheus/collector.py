"""``TaskworksCollector``: the metrics, for a registry of prometheus_client."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from taskworks.backends.shards import databases
from taskworks.database.shards import using
from taskworks.prometheus.counted import counters, histograms
from taskworks.prometheus.facts import Facts, read_facts
from taskworks.prometheus.gauges import build_info, gauges
from taskworks.prometheus.latest import Latest, Reading
from taskworks.store import store

SHARD = "shard"  # the label of metrics, if there are several; "database" is one of build_info


class TaskworksCollector(Collector):
    """
    Reads the metrics from each database that has runs, at most every five seconds. If that fails,
    it repeats what it has read before. Registering it costs no query.
    """

    def __init__(self) -> None:
        self._latest: dict[str, Latest] = {}

    def describe(self) -> Iterator[Metric]:
        """Yield the metrics without values."""
        return families(None)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; if there are several databases, with the label ``shard``."""
        aliases = databases()
        readings = {alias: self._of(alias).get() for alias in aliases}
        if len(aliases) == 1:
            return families(readings[aliases[0]])
        return _together(readings)

    def _of(self, alias: str) -> Latest:
        return self._latest.setdefault(alias, Latest(partial(_read, alias)))


def _read(alias: str) -> Facts:
    with using(alias):
        return read_facts(store())


def _together(readings: Mapping[str, Reading]) -> Iterator[Metric]:
    """Yield each metric once, with the samples of all databases."""
    metrics: dict[str, Metric] = {}
    for alias, reading in readings.items():
        for metric in families(reading):
            samples = [
                sample._replace(labels={**sample.labels, SHARD: alias}) for sample in metric.samples
            ]
            known = metrics.setdefault(metric.name, metric)
            known.samples = samples if known is metric else [*known.samples, *samples]
    yield from metrics.values()


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
