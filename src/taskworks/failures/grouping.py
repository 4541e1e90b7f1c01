"""Puts failed runs into their groups."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Exists, OuterRef, Q

from taskworks.database.clock import DatabaseClock
from taskworks.failures.fingerprint import Identity, identity_of, message
from taskworks.models import Failure, FailureGroup, TaskRun
from taskworks.models.run import RunState, TaskRunQuerySet
from taskworks.release import MAX_LENGTH as MAX_RELEASE
from taskworks.store import Store
from taskworks.store.shared_duties import BOOKKEEPING, LATEST_FAILURES

CHUNK = 200  # runs
GROUPS_KEPT_FOR = timedelta(days=400)  # after the last failure
WRITTEN = ("message", "sample", "first_at", "last_at", "first_release", "last_release", "count")


class Failed(NamedTuple):
    """A failed run, and what it has in common with others."""

    run: TaskRun
    identity: Identity
    entry: dict[str, Any]

    @property
    def at(self) -> datetime:
        """When it failed."""
        assert self.run.finished_at is not None, "it was selected by that"  # noqa: S101
        return self.run.finished_at

    @property
    def release(self) -> str:
        """The release of the project that has executed it, if that was said."""
        said = self.entry.get("release")
        return said[:MAX_RELEASE] if isinstance(said, str) else ""

    @property
    def message(self) -> str:
        """What was raised."""
        return message(self.identity.exception, str(self.entry.get("traceback", "")))


class Grouping:
    """
    Goes through the runs that have failed ``within`` this time, or ever, the earliest first, a
    chunk at a time, and puts them into their groups. A run is counted once for each time that it
    has failed for good. The cost of a step does not grow with how many have failed.
    """

    def __init__(self, store: Store, within: timedelta | None = LATEST_FAILURES) -> None:
        self._store, self._within = store, within
        self._last: Ended | None = None
        self.grouped = 0  # runs

    def step(self) -> bool:
        """
        Look at the next chunk; return whether there may be more. If there is none, or another
        worker is grouping, the next step starts over.
        """
        ended = [*self._next()]
        ungrouped = {*ended}.difference(self._known([one.run for one in ended]))
        if ungrouped and not self._group([one.run for one in ungrouped]):
            ended = []
        self._last = ended[-1] if len(ended) == CHUNK else None
        return self._last is not None

    def _next(self) -> Iterable["Ended"]:
        failed = self._store.runs.filter(state=RunState.FAILED, finished_at__isnull=False)
        if self._within is not None:
            failed = failed.filter(finished_at__gte=DatabaseClock(-self._within))
        if last := self._last:
            failed = failed.filter(finished_at__gte=last.at).filter(
                Q(finished_at__gt=last.at) | Q(id__gt=last.run)
            )
        rows = failed.order_by("finished_at", "id").values_list("finished_at", "id")[:CHUNK]
        return (Ended(at, run) for at, run in rows if at is not None)

    def _known(self, runs: Sequence[UUID]) -> Iterable["Ended"]:
        failures = Failure.objects.using(self._store.alias).filter(run__in=runs)
        return map(Ended._make, failures.values_list("at", "run")) if runs else ()

    def _group(self, ids: Sequence[UUID]) -> bool:
        """Group these runs, in one transaction; return False if another worker is at it."""
        with self._store.duty_held(BOOKKEEPING) as is_held:
            if not is_held:
                return False
            runs = [*_ungrouped(self._store).filter(id__in=ids)]
            if runs:
                _add(self._store, [_identified(run) for run in runs])
            self.grouped += len(runs)
        return True


class Ended(NamedTuple):
    """When a run ended, and which."""

    at: datetime
    run: UUID


def group(store: Store, within: timedelta | None = LATEST_FAILURES) -> int:
    """Put all runs that have failed ``within`` this time into their groups; return how many."""
    grouping = Grouping(store, within)
    while grouping.step():
        pass
    return grouping.grouped


def forget_failures(store: Store, after: UUID | None, limit: int) -> UUID | None:
    """
    Delete those of the next ``limit`` failures whose runs are gone, and groups that are too old.
    Return the last run that was read, None if there are no more.
    """
    failures = Failure.objects.using(store.alias)
    some = failures.filter(run__gt=after) if after else failures
    ids = [*some.order_by("run").values_list("run", flat=True)[:limit]]
    kept = {*store.runs.filter(id__in=ids).values_list("id", flat=True)}
    if gone := [run_id for run_id in ids if run_id not in kept]:
        failures.filter(run__in=gone)._raw_delete(store.alias)
    if after is None:
        old = FailureGroup.objects.using(store.alias)
        old.filter(last_at__lt=DatabaseClock(-GROUPS_KEPT_FOR))._raw_delete(store.alias)
    return ids[-1] if len(ids) == limit else None


def _ungrouped(store: Store) -> TaskRunQuerySet:
    grouped = Failure.objects.filter(run=OuterRef("id"), at=OuterRef("finished_at"))
    failed = store.runs.filter(state=RunState.FAILED, finished_at__isnull=False)
    wanted = failed.filter(~Exists(grouped)).order_by("finished_at", "id")
    return wanted.only("id", "finished_at", "task_path", "callable_path", "errors")


def _identified(run: TaskRun) -> Failed:
    entry = dict(run.errors[-1]) if run.errors else {}
    exception, traceback = (entry.get(name, "") for name in ("exception_class_path", "traceback"))
    return Failed(run, identity_of(run.called_path, exception, traceback), entry)


def _add(store: Store, failed: Sequence[Failed]) -> None:
    of_group: dict[str, list[Failed]] = {}
    for one in failed:
        of_group.setdefault(one.identity.fingerprint, []).append(one)
    stored = FailureGroup.objects.using(store.alias).in_bulk([*of_group])
    groups = [_with(stored.get(name), of_group[name]) for name in sorted(of_group)]
    rows = FailureGroup.objects.using(store.alias)
    rows.bulk_create([one for one in groups if one.fingerprint not in stored])
    # Of the others only what is ours: a person may mute one at this moment.
    rows.bulk_update([one for one in groups if one.fingerprint in stored], WRITTEN)
    _note(store, failed)


def _with(group: FailureGroup | None, failed: Sequence[Failed]) -> FailureGroup:
    """Return a group, new or not, with more failures, the earliest first."""
    first, last = failed[0], failed[-1]
    if group is None:
        group = FailureGroup(
            fingerprint=first.identity.fingerprint,
            **first.identity._asdict(),
            first_at=first.at,
            first_release=first.release,
            last_at=first.at,
        )
    if first.at < group.first_at:
        group.first_at, group.first_release = first.at, first.release
    if last.at >= group.last_at:
        group.last_at, group.last_release = last.at, last.release
        group.message, group.sample = last.message, last.run.id
    group.count += len(failed)
    return group


def _note(store: Store, failed: Sequence[Failed]) -> None:
    failures = Failure.objects.using(store.alias)
    failures.filter(run__in=[one.run.id for one in failed])._raw_delete(store.alias)
    failures.bulk_create(
        Failure(run=one.run.id, fingerprint=one.identity.fingerprint, at=one.at) for one in failed
    )
