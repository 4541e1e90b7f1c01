from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from taskworks.models import Statistic
from taskworks.models.statistic import COUNTS, TEN_SECONDS
from taskworks.statistics import reading
from taskworks.statistics.compaction import unix_time
from taskworks.statistics.flushing import insert, new_totals
from taskworks.statistics.histogram import Histogram
from taskworks.statistics.places import total_of
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
        total = total_of(row.backend, row.queue_name, row.task_path)
        insert(store, [row, *new_totals(store, {total})])
        return row

    return flushed


def counted(store: Store) -> Counts:
    """All counts of all time that are above 0."""
    totals = reading.totals(store).values()
    added = {name: sum(tally[name] for tally in totals) for name in COUNTS}
    return {name: count for name, count in added.items() if count}


def of_tasks(store: Store, name: str = "successful") -> Counts:
    return {key.task_path: tally[name] for key, tally in reading.totals(store).items()}
