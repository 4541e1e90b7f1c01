"""Rebuilds statistics from the record: what killed workers have lost, and much else."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple
from uuid import UUID

from taskworks.chunks import in_chunks
from taskworks.models import RunState, Statistic, TaskRun
from taskworks.models.statistic import COUNTS, EVER, TEN_SECONDS
from taskworks.statistics.compaction import (
    COMPACTED_AFTER,
    KEPT_FOR,
    compact_within,
    merge,
    unix_time,
)
from taskworks.statistics.places import Place, with_wider
from taskworks.statistics.tally import FINISHED, Tally
from taskworks.store import Store
from taskworks.store.shared_duties import BOOKKEEPING

READ_AT_ONCE = 2000  # runs
CHUNK = 500  # rows that one transaction writes


class Rebuilt(NamedTuple):
    """How many finished runs were read, and how many of them were added that were not counted."""

    read: int
    added: int


class BusyError(Exception):
    """A worker is at its bookkeeping; nothing more was changed."""


def rebuild(store: Store) -> Rebuilt:
    """
    Add what the record has and the statistics have not, of runs that finished two minutes ago or
    earlier: what a killed worker had not written, runs that no worker has ended, all of them if
    statistics were off. Each count becomes as large as that of the record if it was smaller;
    nothing becomes smaller, so totals keep what they have of runs that were pruned.

    Raise BusyError if a worker is at its bookkeeping for long.
    """
    before = (unix_time(store) - COMPACTED_AFTER) // TEN_SECONDS * TEN_SECONDS
    recorded, read = _recorded(store, before)
    with _held(store):
        while compact_within(store, CHUNK, before):
            pass
    added, without_row = 0, list[Place]()
    for places in in_chunks(sorted(recorded), CHUNK):
        with _held(store):
            rows = _rows(store, places)
            without_row += [place for place in places if place.id not in rows]
            with_row = {place: recorded[place] for place in places if place.id in rows}
            added += _add(store, _missing(with_row, rows))
    for of_others in in_chunks(_by_others(without_row), CHUNK):
        with _held(store):
            rows = _rows(store, [others for others, _ in of_others])
            told: dict[Place, Tally] = {}
            for others, places in of_others:
                told |= _as_stored(others, {place: recorded[place] for place in places}, rows)
            added += _add(store, _missing(told, rows))
    return Rebuilt(read, added)


def _rows(store: Store, places: Iterable[Place]) -> dict[UUID, Statistic]:
    return Statistic.objects.using(store.alias).in_bulk([place.id for place in places])


def _by_others(places: Iterable[Place]) -> list[tuple[Place, list[Place]]]:
    """Return these places by the row that has what their periods do not tell apart."""
    grouped: dict[Place, list[Place]] = defaultdict(list)
    for place in places:
        grouped[place.of_others].append(place)
    return [*grouped.items()]


def _as_stored(
    others: Place, recorded: Mapping[Place, Tally], rows: Mapping[UUID, Statistic]
) -> Mapping[Place, Tally]:
    """Return what has no row of its own, as one if its period does not tell it apart."""
    if others.id not in rows:
        return recorded
    together = Tally()
    for tally in recorded.values():
        together.add(tally)
    return {others: together}


def _add(store: Store, missing: Mapping[Place, Tally]) -> int:
    """Add to rows; return how many finished runs that is, by the totals."""
    totals = [tally for place, tally in missing.items() if place.seconds == EVER]
    added = sum(tally.finished for tally in totals)  # before more is added to them
    if missing:
        merge(store, with_wider(missing))
    return added


class _held:  # noqa: N801 - reads as a function
    """The duty of bookkeeping, in a transaction."""

    def __init__(self, store: Store) -> None:
        self._block = store.duty_held(BOOKKEEPING)

    def __enter__(self) -> None:
        if not self._block.__enter__():
            self._block.__exit__(None, None, None)
            raise BusyError("A worker is compacting statistics at this moment. Try again.")

    def __exit__(self, *error: object) -> None:
        self._block.__exit__(*error)  # type: ignore[arg-type]


def _recorded(store: Store, before: int) -> tuple[dict[Place, Tally], int]:
    """Return what the record says of each row, and how many runs that is."""
    tallies: dict[Place, Tally] = defaultdict(Tally)
    read = 0
    now = unix_time(store)
    for run in _finished(store):
        assert run.finished_at is not None, "it has finished"  # noqa: S101
        at = int(run.finished_at.timestamp())
        if at >= before:
            continue
        read += 1
        one = _tally(run)
        for place in _places(run, at, now):
            tallies[place].add(one)
    return dict(tallies), read


def _finished(store: Store) -> Iterator[TaskRun]:
    columns = ("backend", "queue_name", "task_path", "callable_path", "state", "finished_at")
    times = ("available_at", "last_attempted_at")
    return store.runs.finished().only(*columns, *times).iterator(READ_AT_ONCE)


def _places(run: TaskRun, at: int, now: int) -> Iterator[Place]:
    series = run.backend, run.queue_name, run.called_path
    yield Place(EVER, 0, *series)
    for seconds, kept_for in KEPT_FOR.items():
        if at > now - kept_for.total_seconds():
            yield Place(seconds, at // seconds * seconds, *series)


def _tally(run: TaskRun) -> Tally:
    """Return what became of a run in its last attempt."""
    tally = Tally()
    tally.counts[COUNTS.index(RunState(run.state).value)] = 1
    began, ended = run.last_attempted_at, run.finished_at
    if began is not None and ended is not None and ended >= began:
        tally.counts[COUNTS.index("attempts")] = 1
        took = (ended - began).total_seconds()
        waited = max(0.0, (began - run.available_at).total_seconds())
        tally.run_sum, tally.run_max, tally.wait_sum = took, took, waited
        tally.runs.add(took)
        tally.waits.add(waited)
    return tally


def _missing(recorded: Mapping[Place, Tally], rows: Mapping[UUID, Statistic]) -> dict[Place, Tally]:
    """Return what is to be added to rows, so that none of them has less than the record."""
    missing = {}
    for place, tally in recorded.items():
        more = tally
        if row := rows.get(place.id):
            more = _more_than(Tally.of(row), tally)
        if any(more.counts):
            missing[place] = more
    return missing


def _more_than(stored: Tally, recorded: Tally) -> Tally:
    more = Tally()
    for name in FINISHED:
        place = COUNTS.index(name)
        more.counts[place] = max(0, recorded.counts[place] - stored.counts[place])
    lacks = recorded["attempts"] - stored["attempts"]
    if lacks > 0:
        more.counts[COUNTS.index("attempts")] = lacks
        more.wait_sum = max(0.0, recorded.wait_sum - stored.wait_sum)
        more.run_sum = max(0.0, recorded.run_sum - stored.run_sum)
        more.run_max = recorded.run_max
        for own, known, told in (
            (more.waits, stored.waits, recorded.waits),
            (more.runs, stored.runs, recorded.runs),
        ):
            for bucket, count in told.counts.items():
                if count > known.counts.get(bucket, 0):
                    own.counts[bucket] = count - known.counts.get(bucket, 0)
    return more
