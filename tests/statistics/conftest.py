from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from taskworks.models import Statistic
from taskworks.models.statistic import (
    COUNTS,
    OF_EVERYTHING,
    OF_QUEUE,
    OF_SERIES,
    OTHERS,
    TEN_SECONDS,
)
from taskworks.statistics import reading
from taskworks.statistics.compaction import KEPT_FOR, unix_time
from taskworks.statistics.flushing import insert, new_totals
from taskworks.statistics.histogram import Histogram
from taskworks.statistics.places import Place, total_of, with_wider
from taskworks.statistics.tally import Tally
from taskworks.store import Store
from taskworks.store import store as store_of

Flushed = Callable[..., Statistic]
Counts = dict[str, int]


@pytest.fixture(autouse=True)
def _database(transactional_db: None) -> None:
    """Every test here has committed rows, which other connections see."""


@pytest.fixture
def store() -> Store:
    return store_of()


@pytest.fixture
def flushed(store: Store) -> Flushed:
    """``flushed(path, ago=0, **counts)``: a row of ten seconds, as a worker inserts it."""

    def flushed(path: str = "a.b", ago: float = 0, **columns: Any) -> Statistic:
        since = int(unix_time(store) - ago) // TEN_SECONDS * TEN_SECONDS
        seconds = columns.pop("took", [])
        histogram = str(Histogram.of(seconds))
        given = {"backend": "default", "queue_name": "mail", "worker": uuid4(), "since": since}
        row = Statistic(
            id=uuid4(),
            seconds=TEN_SECONDS,
            task_path=path,
            **{
                "runs": histogram,
                "run_sum": sum(seconds),
                "run_max": max(seconds, default=None),
                **given,
                **columns,
            },
        )
        place = Place(TEN_SECONDS, row.since, row.backend, row.queue_name, path)
        wider = [
            tally.row(uuid4(), worker=row.worker, **one._asdict())
            for one, tally in with_wider({place: Tally.of(row)}).items()
            if one.level != OF_SERIES
        ]
        insert(store, [row, *wider, *new_totals(store, {total_of(*place[2:5])})])
        return row

    return flushed


def counted(store: Store) -> Counts:
    """All counts of all time that are above 0."""
    totals = reading.totals(store).values()
    added = {name: sum(tally[name] for tally in totals) for name in COUNTS}
    return {name: count for name, count in added.items() if count}


def sums(store: Store) -> dict[int, int]:
    """
    How many runs were successful in all, by the seconds of the longer periods. In each of these the
    rows of queues, and that of everything, have what the rows of tasks add up to.
    """
    rows = [*Statistic.objects.using(store.alias).filter(seconds__in=KEPT_FOR)]
    added = {level: Counter[tuple[Any, ...]]() for level in (OF_SERIES, OF_QUEUE, OF_EVERYTHING)}
    for row in rows:
        for name, number in _numbers(Tally.of(row)).items():
            added[row.level][row.seconds, row.since, row.backend, row.queue_name, name] += number
    of_tasks, of_queues, of_all = (+added[level] for level in (OF_SERIES, OF_QUEUE, OF_EVERYTHING))
    assert _together(of_tasks) == _together(of_queues) == _together(of_all)
    if not any(row.queue_name == OTHERS for row in rows):
        assert of_tasks == of_queues
    successful = Counter[int]()
    for (seconds, *_, name), number in of_all.items():
        successful[seconds] += number if name == "successful" else 0
    return dict(successful)


def _together(added: Counter[tuple[Any, ...]]) -> Counter[tuple[Any, ...]]:
    """The same without the names of backends and queues."""
    together = Counter[tuple[Any, ...]]()
    for (seconds, since, _backend, _queue, name), number in added.items():
        together[seconds, since, name] += number
    return together


def _numbers(tally: Tally) -> dict[Any, int]:
    return {
        **dict(zip(COUNTS, tally.counts, strict=True)),
        **{("runs", bucket): number for bucket, number in tally.runs.counts.items()},
        **{("waits", bucket): number for bucket, number in tally.waits.counts.items()},
    }


def of_tasks(store: Store, name: str = "successful") -> Counts:
    return {key.task_path: tally[name] for key, tally in reading.totals(store).items()}
