"""
The indexes from which the runs of a filter are read, newest or oldest first.

Each read has a bound. A condition that the index does not have is looked for in a window of so many
entries, and then, if it is asked for, in the next one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connections
from django.db.models import CharField, F, Q
from django.db.models.functions import Cast, Coalesce

from taskworks.filtering.run_filter import RunFilter
from taskworks.models import Failure, RunState, TaskRun
from taskworks.models.run import FINISHED, IN_HAND, TaskRunQuerySet
from taskworks.store import Store

WINDOW = 100_000  # entries of an index
ERRORS_WINDOW = 10_000  # if the texts of errors are to be searched, which are long
FEWER_ON_MYSQL = 4  # times
MAX_IDS = 500  # in one statement
BY_END = ("states", "since", "until")  # the conditions that the index of what has ended has
READ_TO_DECIDE = ("args", "kwargs", "errors", "task_path", "callable_path")


class Key(NamedTuple):
    """Where a run stands in a list: when it ended, unless the list is by ids alone."""

    at: datetime | None
    id: UUID


class Batch(NamedTuple):
    """Runs that were found, how far has been looked, and whether a window ends there."""

    runs: list[TaskRun]
    last: Key
    ends_window: bool = False


@dataclass(frozen=True)
class Source:
    """Runs that are read in the order of an index."""

    store: Store
    meant: RunFilter  # at fixed times
    rows: TaskRunQuerySet
    served: tuple[str, ...] = ()  # the conditions that the rows meet already
    newest_first: bool = True
    columns: tuple[str, ...] = ("id",)  # that are needed of a run

    is_by_end = False
    is_sorted = True  # by the index

    def batches(self, after: Key | None, size: int) -> Iterator[Batch]:
        """Yield what there is after this key; ``size`` is how many runs are read at once."""
        while True:
            end = self._end_of_window(after)
            for found in self._read(after, end, size):
                last = self.key(found[-1])
                yield Batch([run for run in found if self.meant.admits(run)], last)
            if end is None:
                return
            yield Batch([], end, ends_window=True)
            after = end

    @property
    def window(self) -> int:
        """How many entries are searched at once."""
        if not self.meant.errors:
            return WINDOW
        # InnoDB has runs in the order of their ids, and those that have failed are far apart.
        is_mysql = self.store.connection.vendor == "mysql"
        return ERRORS_WINDOW // FEWER_ON_MYSQL if is_mysql else ERRORS_WINDOW

    @property
    def is_searched(self) -> bool:
        """Whether there are conditions that its index does not have."""
        return bool({*self.meant.given}.difference(self.served))

    def key(self, run: TaskRun) -> Key:
        return Key(None, run.id)

    def _read(self, after: Key | None, end: Key | None, size: int) -> Iterator[list[TaskRun]]:
        found_all = self.meant.narrow(self.rows, without=self.served)
        if end is not None:
            found_all = self._up_to(found_all, end)
        columns = {*self.columns, *(READ_TO_DECIDE if self.meant.is_read else ())}
        found_all = self._ordered(found_all.only(*columns, *self._order))
        while found := [*(self._after(found_all, after) if after else found_all)[:size]]:
            yield found
            if len(found) < size:
                return
            after = self.key(found[-1])

    def _end_of_window(self, after: Key | None) -> Key | None:
        """Return the last key of the window; None if that has the last run."""
        if not (self.is_searched and self.is_sorted):
            return None
        keys = self._ordered(self.rows)
        keys = self._after(keys, after) if after else keys
        found = [*keys.only(*self._order)[self.window - 1 : self.window]]
        return self.key(found[0]) if found else None

    # The order, and what comes after a key in it.

    @property
    def _order(self) -> tuple[str, ...]:
        return ("id",)

    def _ordered(self, rows: TaskRunQuerySet) -> TaskRunQuerySet:
        sign = "-" if self.newest_first else ""
        return rows.order_by(*(f"{sign}{column}" for column in self._order))

    def _after(self, rows: TaskRunQuerySet, key: Key) -> TaskRunQuerySet:
        return rows.filter(**{f"id__{self._beyond}": key.id})

    def _up_to(self, rows: TaskRunQuerySet, key: Key) -> TaskRunQuerySet:
        return rows.filter(**{f"id__{self._before}e": key.id})

    @property
    def _beyond(self) -> str:
        return "lt" if self.newest_first else "gt"

    @property
    def _before(self) -> str:
        return "gt" if self.newest_first else "lt"


class Ended(Source):
    """Runs in a final state, in the order of their ends."""

    is_by_end = True

    def key(self, run: TaskRun) -> Key:
        return Key(run.finished_at, run.id)

    @property
    def _order(self) -> tuple[str, ...]:
        # The state is the same of all: with it, MySQL and MariaDB see the order of the index.
        return ("state", "finished_at", "id")

    # Spelled out, because MySQL and MariaDB do not read an index for a comparison of rows.

    def _after(self, rows: TaskRunQuerySet, key: Key) -> TaskRunQuerySet:
        return self._on_the_side(rows, key, self._beyond, self._beyond)

    def _up_to(self, rows: TaskRunQuerySet, key: Key) -> TaskRunQuerySet:
        return self._on_the_side(rows, key, self._before, f"{self._before}e")

    @staticmethod
    def _on_the_side(rows: TaskRunQuerySet, key: Key, side: str, of_id: str) -> TaskRunQuerySet:
        return rows.filter(**{f"finished_at__{side}e": key.at}).filter(
            Q(**{f"finished_at__{side}": key.at}) | Q(**{f"id__{of_id}": key.id})
        )


class Few(Source):
    """Runs of an index that does not have them in order of their ids. They are sorted."""

    is_sorted = False

    # By an expression, so that no database reads the index of all ids instead.

    def _ordered(self, rows: TaskRunQuerySet) -> TaskRunQuerySet:
        expression = self._sorted_id
        return rows.order_by(expression.desc() if self.newest_first else expression.asc())

    def _after(self, rows: TaskRunQuerySet, key: Key) -> TaskRunQuerySet:
        found = rows.alias(sorted_id=self._sorted_id)
        last = str(key.id) if self._has_own_order else key.id
        return found.filter(**{f"sorted_id__{self._beyond}": last})

    @property
    def _sorted_id(self) -> Any:
        """The id, in the order that Python has, too: what several sources have is merged by it."""
        if self._has_own_order:
            return Cast(F("id"), CharField(max_length=36))
        return Coalesce(F("id"), F("id"))

    @property
    def _has_own_order(self) -> bool:
        """Whether the database, which is MariaDB, sorts ids that are not ours by other bytes."""
        connection = self.store.connection
        return connection.vendor == "mysql" and connection.features.has_native_uuid_field


class OfGroup(Ended):
    """The runs of a group of failures that have not been retried since."""

    def _read(self, after: Key | None, end: Key | None, size: int) -> Iterator[list[TaskRun]]:
        failures, size = self._failures(), min(size, MAX_IDS)
        while rows := [*(self._failed_after(failures, after) if after else failures)[:size]]:
            after = Key(*rows[-1])
            found = self._still_failed([Key(*row) for row in rows])
            if found:
                yield found
            if len(rows) < size:
                return

    def _end_of_window(self, after: Key | None) -> Key | None:
        return None

    def _failures(self) -> Any:
        rows = Failure.objects.using(self.store.alias).filter(fingerprint=self.meant.group)
        if self.meant.since is not None:
            rows = rows.filter(at__gte=self.meant.since)
        if self.meant.until is not None:
            rows = rows.filter(at__lt=self.meant.until)
        sign = "-" if self.newest_first else ""
        return rows.order_by(f"{sign}at", f"{sign}run").values_list("at", "run")

    def _failed_after(self, failures: Any, key: Key) -> Any:
        return failures.filter(**{f"at__{self._beyond}e": key.at}).filter(
            Q(**{f"at__{self._beyond}": key.at}) | Q(**{f"run__{self._beyond}": key.id})
        )

    def _still_failed(self, keys: Sequence[Key]) -> list[TaskRun]:
        columns = {*self.columns, *READ_TO_DECIDE, "finished_at", "state"}
        rows = self.rows.filter(id__in=[key.id for key in keys])
        rows = self.meant.narrow(rows, without=("group", *BY_END))
        found = {self.key(run): run for run in rows.only(*columns) if run.state == RunState.FAILED}
        return [found[key] for key in keys if key in found]


# Which are read.


def sources_to_show(store: Store, meant: RunFilter, columns: tuple[str, ...]) -> list[Source]:
    """Return those of which the newest runs are shown; their keys are of one kind."""

    def source(kind: type[Source], rows: TaskRunQuerySet, *served: str) -> Source:
        return kind(store, meant, rows, served, columns=columns)

    if named := _of_few(store, meant, source):
        return [named]
    if meant.is_of_ended_runs:
        return [source(Ended, _ended(store, meant, one), *BY_END) for one in meant.states]
    return sources_by_id(store, meant, columns)


def sources_by_id(store: Store, meant: RunFilter, columns: tuple[str, ...]) -> list[Source]:
    """Return those of which the runs with the latest ids are shown, also of ended ones."""

    def source(kind: type[Source], rows: TaskRunQuerySet, *served: str) -> Source:
        return kind(store, meant, rows, served, columns=columns)

    if meant.owner is not None:
        return [source(Source, store.runs.filter(owner=meant.owner), "owner")]
    waiting = [source(Few, rows, "states") for rows in unfinished(store, meant.states)]
    if meant.states and not {*meant.states} & {*FINISHED} and all(map(_is_small, waiting)):
        return waiting
    return [source(Source, store.runs)]


def sources_to_act_on(
    store: Store, meant: RunFilter, before: datetime, columns: tuple[str, ...]
) -> list[Source]:
    """
    Return those in which all runs are, the oldest first, without such as have ended after
    ``before``; the filter has to name states.
    """

    def source(kind: type[Source], rows: TaskRunQuerySet, *served: str) -> Source:
        return kind(store, meant, rows, served, newest_first=False, columns=columns)

    if named := _of_few(store, meant, source):
        return [named]
    ended = [
        _ended(store, meant, state).filter(finished_at__lte=before)
        for state in meant.states
        if state in FINISHED
    ]
    return [
        *(source(Ended, rows, *BY_END) for rows in ended),
        *(source(Few, rows, "states") for rows in unfinished(store, meant.states)),
    ]


def _of_few(store: Store, meant: RunFilter, source: Any) -> Source | None:
    """Return the source of what is named so closely that there are few of it."""
    found: Source | None = None
    if meant.ids:
        found = source(Few, store.runs.filter(id__in=meant.ids), "ids")
    elif meant.group is not None and meant.states == (RunState.FAILED,):
        found = source(OfGroup, store.runs, "group", *BY_END)
    elif meant.workflow is not None:
        found = source(Few, store.runs.filter(workflow=meant.workflow), "workflow")
    return found


def _ended(store: Store, meant: RunFilter, state: RunState) -> TaskRunQuerySet:
    """Those in this state, and between the times, which are the bounds of a range."""
    rows = ended(store.runs, state)
    if meant.since is not None:
        rows = rows.filter(finished_at__gte=meant.since)
    if meant.until is not None:
        rows = rows.filter(finished_at__lt=meant.until)
    return rows


def ended(runs: TaskRunQuerySet, state: RunState) -> TaskRunQuerySet:
    """Return those of these runs that have ended in this state, as the index of their ends has."""
    some = runs.filter(finished_at__isnull=False)
    if connections[runs.db].vendor == "mysql":
        # As a range: of what equals a value, MariaDB reads all entries, however far back, and does
        # not stop at a bound of the times.
        return some.filter(state__gte=state, state__lte=state)
    return some.filter(state=state)


def unfinished(store: Store, states: Sequence[RunState]) -> Iterator[TaskRunQuerySet]:
    """Yield the unfinished ones of these states, from each of their indexes."""
    runs = store.runs
    for state in states:
        if state == RunState.READY:
            yield runs.ready().unlimited()
            yield runs.ready().limited()
        elif state in IN_HAND:
            yield runs.in_hand().filter(state=state)
        elif state not in FINISHED:
            yield runs.filter(state=state)


def _is_small(source: Source) -> bool:
    return source.rows[: WINDOW + 1].count() <= WINDOW
