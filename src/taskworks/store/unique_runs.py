"""
Enqueue runs under unique keys: each new run, unless one that was enqueued before holds its key.

Which run has a key is a row; whether that run still holds it is judged by the run. So nothing has
to be written when a run ends, and no change of a run's state can fail because of its key.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db import IntegrityError
from django.db.models import Case, Q, QuerySet, Value, When

from taskworks.chunks import in_chunks
from taskworks.database.clock import DatabaseClock, as_aware, later
from taskworks.database.composed import fetch, fetch_with_now, with_now
from taskworks.database.fields import decoded
from taskworks.database.notifications import NOTIFY_IF_DUE_WITHIN
from taskworks.database.transactions import writing
from taskworks.models import RunState, TaskRun, UniqueKey
from taskworks.models.run import FINISHED, TaskRunQuerySet
from taskworks.options.owner import ANYBODY
from taskworks.options.unique import (
    REFUSE,
    REPLACE,
    SUPERSEDE,
    UNFINISHED,
    WAITING,
    Debounce,
    Unique,
)
from taskworks.reserved_metadata import with_carried
from taskworks.store import cancelling
from taskworks.store.cancelling import Cancelling
from taskworks.store.enqueueing import MAX_TRIES
from taskworks.store.new_runs import NewRuns

KEYS_PER_STATEMENT = 200  # with up to four variables each; SQLite may allow only 999
# How long after a run has become ready an enqueue waits for another transaction that has locked it.
MAX_PATIENCE = timedelta(seconds=60)
# The columns in which all runs with a key are alike.
ALIKE = ("backend", "task_path")
TIMES_WHEN_STORED = ("run_after", "enqueued_at", "available_at", "expires_at", "state")


class KeyHeld(Exception):  # noqa: N818 - not a programming error
    """A run holds the key, and no other is wanted; or that run is somebody else's."""

    def __init__(self, place: int, run: TaskRun, *, is_of_other_owner: bool = False) -> None:
        super().__init__(place, run)
        self.place, self.run, self.is_of_other_owner = place, run, is_of_other_owner


class Call(NamedTuple):
    """New runs that are enqueued together under unique keys."""

    new: NewRuns
    keys: Sequence[UUID]  # in the order of the runs
    unique: Unique
    superseded: Mapping[str, Any]  # the entry in the errors of runs that are cancelled
    only_own: bool = False  # whether a run of another owner is refused

    def representatives(self) -> dict[UUID, int]:
        """Return, by the key, the place of the run that stands for all with that key."""
        places = range(len(self.keys))
        in_order = places if self.unique.latest_stands else reversed(places)
        return {self.keys[place]: place for place in in_order}

    def demand_may_meet(self, place: int, run: TaskRun) -> None:
        """Raise KeyHeld if a run that holds a key does not allow a second one to be enqueued."""
        owner = self.new.template.columns.get("owner")
        # Who is not signed in proves by an id that a run is theirs, and must not be told one.
        if self.only_own and (run.owner != owner or owner == ANYBODY):
            raise KeyHeld(place, run, is_of_other_owner=True)
        if self.unique.on_conflict == REFUSE:
            raise KeyHeld(place, run)


@dataclass(slots=True)
class Standing:
    """Which runs stand for new ones, by the places of these."""

    stand_in: list[int]  # the place of the run that stands for one: equal ones have the same
    met: dict[int, TaskRun] = field(default_factory=dict)  # those that stood already
    cancelled: list[UUID] = field(default_factory=list)  # those that waited, and were superseded

    @property
    def inserted(self) -> list[int]:
        """The places of the runs that are new."""
        return sorted({*self.stand_in} - {*self.met})


class _Found(NamedTuple):
    """The runs that have some keys."""

    run_of: dict[UUID, UUID]  # by the key
    holding: dict[UUID, TaskRun]  # by the key, those that hold it
    locked: set[UUID]  # those that cannot begin before the caller commits

    @property
    def stale(self) -> dict[UUID, UUID]:
        """By the key, the runs that hold it no more."""
        return {key: run for key, run in self.run_of.items() if key not in self.holding}


class UniqueRuns(Cancelling):
    """Insert runs under unique keys."""

    def enqueue_unique(self, call: Call, insert: Callable[[NewRuns], None]) -> Standing:
        """
        Have ``insert`` insert those of the new runs whose keys no other run holds, in the caller's
        transaction if there is one; return which runs stand.

        Of two callers with one key, the second waits until the first has committed. A run that is
        not to begin before the caller commits is locked until then.

        Raise KeyHeld if the second run is refused. Then nothing is written.
        """
        place_of = call.representatives()
        standing = Standing([place_of[key] for key in call.keys])
        if call.unique.changes_nothing_that_stands and not self.connection.in_atomic_block:
            self._look_first(call, place_of, standing)
        keys = sorted(key for key, place in place_of.items() if place not in standing.met)
        if keys:
            with writing(self.alias):
                self._settle_and_insert(call, {k: place_of[k] for k in keys}, standing, insert)
        return standing

    def _look_first(self, call: Call, places: dict[UUID, int], standing: Standing) -> None:
        """
        Meet the runs that hold these keys, by reads alone: most calls that are not the first with
        their key end with them. Not in a transaction, which on SQLite could not write after a read.
        """
        for keys in in_chunks(sorted(places), KEYS_PER_STATEMENT):
            found = self._find(keys, call.unique)
            self._demand_may_meet(call, places, found)
            self._meet(call, places, found, standing)

    def _settle_and_insert(
        self,
        call: Call,
        places: dict[UUID, int],
        standing: Standing,
        insert: Callable[[NewRuns], None],
    ) -> None:
        superseded: list[UUID] = []
        for keys in in_chunks([*places], KEYS_PER_STATEMENT):
            superseded += self._settle(call, {key: places[key] for key in keys}, standing)
        self._insert_new(call.new, standing, insert)
        for run_id in superseded:
            if self.cancel(run_id, call.superseded) == RunState.CANCELLED:
                standing.cancelled.append(run_id)

    def _settle(self, call: Call, places: dict[UUID, int], standing: Standing) -> list[UUID]:
        """Take these keys, or meet the runs that hold them; return the runs that are superseded."""
        superseded: list[UUID] = []
        open_keys = [*places]
        for _ in range(MAX_TRIES):
            ids = {key: UUID(int=call.new.ids[places[key]]) for key in open_keys}
            taken = self._take_free(ids)
            found = self._find([key for key in open_keys if key not in taken], call.unique)
            self._demand_may_meet(call, places, found)
            if call.unique.on_conflict == SUPERSEDE:
                taken |= (won := self._take_over(found.run_of, ids))
                superseded += [found.run_of[key] for key in won if key in found.holding]
            else:
                taken |= self._take_over(found.stale, ids) | {*found.holding}
                self._meet(call, places, found, standing)
            open_keys = [key for key in open_keys if key not in taken]
            if not open_keys:
                return superseded
        # In a transaction that does not see what others commit.
        raise IntegrityError(
            f"The unique key {open_keys[0]} is taken, but its run is not visible here."
        )

    def _demand_may_meet(self, call: Call, places: dict[UUID, int], found: _Found) -> None:
        for key, run in found.holding.items():
            call.demand_may_meet(places[key], run)

    def _meet(self, call: Call, places: dict[UUID, int], found: _Found, standing: Standing) -> None:
        for key, run in found.holding.items():
            place = places[key]
            if call.unique.on_conflict == REPLACE and run.id in found.locked:
                self._replace(run, call.new.one(place), call.unique)
            standing.met[place] = run

    def _insert_new(
        self, new: NewRuns, standing: Standing, insert: Callable[[NewRuns], None]
    ) -> None:
        some = new.only({new.ids[place] for place in standing.inserted})
        if some:
            insert(some)
        for name in TIMES_WHEN_STORED:
            setattr(new, name, getattr(some, name))

    # Keys.

    def _take_free(self, ids: dict[UUID, UUID]) -> set[UUID]:
        """Insert the keys that do not exist, each with its run; return them."""
        write = self._writer_of_keys()
        quote = self.connection.ops.quote_name
        statement = f"""
            INSERT INTO {self._quoted(UniqueKey)} ({quote("key")}, run, request)
            VALUES {", ".join(["(%s, %s, '')"] * len(ids))}
            ON CONFLICT DO NOTHING RETURNING {quote("key")}"""  # noqa: S608 - only names
        parameters = [write(value) for pair in ids.items() for value in pair]
        return {UUID(str(key)) for (key,) in self._fetch(statement, parameters)}

    def _writer_of_keys(self) -> Callable[[UUID], Any]:
        column: Any = UniqueKey._meta.get_field("key")
        connection = self.connection
        return lambda value: column.get_db_prep_save(value, connection)

    def _take_over(self, old: dict[UUID, UUID], ids: dict[UUID, UUID]) -> set[UUID]:
        """Give keys to new runs, and return them, except those that another session gave away."""
        if not old:
            return set()
        rows = self.keys.filter(key__in=[*old], run__in=[*old.values()])
        if len(old) > 1:  # in order, as they are inserted, so that two sessions do not deadlock
            [*rows.order_by("key").select_for_update().values_list("key")]
        new_run = Case(*(When(key=key, then=Value(ids[key])) for key in old))
        if rows.update(run=new_run) == len(old):
            return {*old}
        mine = self.keys.filter(key__in=[*old], run__in=[ids[key] for key in old])
        return {*mine.values_list("key", flat=True)}

    # Runs that have keys.

    def _find(self, keys: Sequence[UUID], unique: Unique) -> _Found:
        """Look up the runs of these keys, and lock those that must not begin."""
        run_of = dict(fetch(self.connection, _runs_of, keys))
        ids = {*run_of.values()}
        locked = self._hold_back(ids, unique) if unique.holds_back else set()
        rows = fetch_with_now(self.connection, TaskRun, _by_ids, [*ids])
        runs = {run.id: run for run in rows}
        holding = {
            key: run
            for key, run_id in run_of.items()
            if (run := runs.get(run_id)) and _is_held(run, unique, is_locked=run_id in locked)
        }
        return _Found(run_of, holding, locked)

    def _hold_back(self, ids: Collection[UUID], unique: Unique) -> set[UUID]:
        """
        Lock those of these runs that wait and have not begun; return them. Of a run that has long
        been ready, do not wait for another session's lock: such sessions, one after another, would
        keep it from workers for good.

        Who waits has locked only runs that come before the one that it waits for, so two sessions
        never wait for each other.
        """
        if not ids or self._all_are_locked(ids):
            return {*ids}
        waiting = self._not_begun(ids).annotate(is_overdue=Q(**overdue(unique)))
        is_overdue = dict(waiting.values_list("id", "is_overdue"))
        patient = [run_id for run_id in is_overdue if not is_overdue[run_id]]
        locked = self._lock_not_begun(patient, skip_locked=False)
        return locked | self._lock_not_begun({*is_overdue}.difference(patient), skip_locked=True)

    def _all_are_locked(self, ids: Collection[UUID]) -> bool:
        """Lock these runs if all of them are free, wait and have not begun; else none."""
        try:
            with writing(self.alias):
                self._lock_all(ids, skip_locked=True)
        except _SomeAreLeft:
            return False
        return True

    def _lock_not_begun(self, ids: Collection[UUID], *, skip_locked: bool) -> set[UUID]:
        """
        Lock those of these runs that wait and have not begun; return their ids. If others were
        among them, all locks are undone and taken again: PostgreSQL keeps the lock of a row even if
        it no longer matches, and a run that has begun must not be locked, or its worker could not
        finish it.
        """
        while ids:
            try:
                with writing(self.alias):
                    self._lock_all(ids, skip_locked=skip_locked)
            except _SomeAreLeft as some:
                ids = some.locked
            else:
                break
        return {*ids}

    def _lock_all(self, ids: Collection[UUID], *, skip_locked: bool) -> None:
        locked = self._locked_not_begun(ids, skip_locked=skip_locked)
        if len(locked) < len(ids):
            raise _SomeAreLeft(locked)

    def _locked_not_begun(self, ids: Collection[UUID], *, skip_locked: bool) -> set[UUID]:
        rows = self._not_begun(ids).order_by("id").select_for_update(skip_locked=skip_locked)
        return {*rows.values_list("id", flat=True)}

    def _not_begun(self, ids: Collection[UUID]) -> TaskRunQuerySet:
        not_begun = self.runs.filter(id__in=[*ids], attempts=0, last_attempted_at=None)
        return self._in(not_begun, *cancelling.WAITING)

    # Replace.

    def _replace(self, run: TaskRun, latest: NewRuns, unique: Unique) -> None:
        """Give a run that waits, and is locked, the arguments, options and time of a new one."""
        _schedule(latest, run, unique)
        [(args, kwargs)] = latest.texts
        columns = {
            **{name: v for name, v in latest.template.columns.items() if name not in ALIKE},
            "metadata": with_carried(latest.template.columns["metadata"], run.metadata),
            "owner": latest.template.columns.get("owner") or run.owner,
            "lane": latest.lanes[0] if latest.lanes else None,
            "args": decoded(args),
            "kwargs": decoded(kwargs),
            "run_after": latest.run_after,
            "available_at": latest.available_at,
            "expires_at": latest.expires_at,
            "state": latest.state,
        }
        self.runs.filter(id=run.id).update(**columns)
        for name, value in columns.items():
            setattr(run, name, value)
        if run.state != RunState.BLOCKED and run.available_at - _now(run) < NOTIFY_IF_DUE_WITHIN:
            self._notify_queues_of([run], {run.id})


def _runs_of(keys: Sequence[UUID]) -> "QuerySet[UniqueKey, tuple[UUID, UUID]]":
    return UniqueKey.objects.filter(key__in=keys).values_list("key", "run")


def _by_ids(ids: Sequence[UUID]) -> "QuerySet[TaskRun, Any]":
    return with_now(TaskRun.objects.filter(id__in=ids))


class _SomeAreLeft(Exception):  # noqa: N818 - does not leave this module
    """Undoes locks: these runs were locked, and others could not be."""

    def __init__(self, locked: set[UUID]) -> None:
        super().__init__(locked)
        self.locked = locked


def _is_held(run: TaskRun, unique: Unique, *, is_locked: bool) -> bool:
    """Return whether a run holds its key against a second one."""
    if unique.holds_back and _waits_to_begin(run) and not is_locked:
        return False  # it may begin before the caller commits
    if unique.period is not None:
        age = as_aware(_now(run)) - as_aware(run.enqueued_at)
        if age < timedelta(seconds=unique.period):
            return True
    if unique.while_ == WAITING:
        return is_locked
    return unique.while_ == UNFINISHED and run.state not in FINISHED


def _waits_to_begin(run: TaskRun) -> bool:
    """Return whether a run waits for its first attempt: one that was undone was its first too."""
    has_begun = run.attempts > 0 or run.last_attempted_at is not None
    return run.state in cancelling.WAITING and not has_begun


def overdue(unique: Unique) -> dict[str, Any]:
    """Return which ready runs have been held back long enough."""
    if isinstance(unique, Debounce):
        longest = timedelta(seconds=unique.longest)
        return {"state": RunState.READY, "enqueued_at__lte": DatabaseClock(-longest)}
    return {"state": RunState.READY, "available_at__lte": DatabaseClock(-MAX_PATIENCE)}


def _schedule(latest: NewRuns, run: TaskRun, unique: Unique) -> None:
    """Set the state and the times that the new run gives to the one that waits."""
    now = _now(run)
    if run.state == RunState.BLOCKED and not run.is_parked:
        _count_from_the_end_of_others(latest, now)
        latest.block(run.enqueued_at)
        return
    if isinstance(unique, Debounce):
        due_at_last = later(run.enqueued_at, timedelta(seconds=unique.longest))
        left = as_aware(due_at_last) - as_aware(now)
        latest.wait = min(timedelta(seconds=unique.wait), left)
    latest.schedule(now)
    if latest.state == RunState.READY:  # a run that was ready before keeps its place
        latest.available_at = min(run.available_at, now)
    if run.is_parked:
        latest.state = RunState.BLOCKED.value


def _count_from_the_end_of_others(latest: NewRuns, now: datetime) -> None:
    """Turn a point in time into a delay, which is all that a run that waits for others can have."""
    if latest.run_after is not None:
        left = as_aware(latest.run_after) - as_aware(now)
        latest.delay, latest.run_after = max(left, timedelta()), None


def _now(run: TaskRun) -> datetime:
    """Return the database's time when the run was read."""
    now: datetime = run.now  # type: ignore[attr-defined]
    return now
