"""Schedules: which are due, what they have fired, and when each is looked at next."""

import math
from abc import abstractmethod
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import models
from django.db.models import Exists, F, OuterRef

from taskworks.chunks import in_chunks
from taskworks.database import clock
from taskworks.database.clock import DatabaseClock
from taskworks.database.payloads import SCHEDULE_SAVED
from taskworks.models import Firing, Schedule, TaskRun
from taskworks.models.schedule import ScheduleQuerySet
from taskworks.store.base import Base

FIRST_LOOK = 10  # schedules that an agenda reads at first, due or not
LATEST_FIRINGS = 20  # among which a successful run is looked for
SCHEDULES_PER_STATEMENT = 50
MAX_CANDIDATES = 500  # due schedules in an agenda; each worker fires some of them, chosen at random

# Columns that planning and firing write.
PLANNED_COLUMNS = (
    "enabled",
    "last_run",
    "next_run",
    "behind_until",
    "due_at",
    "error",
    "finished_at",
)


class Agenda(NamedTuple):
    """What a scheduler has to do now, and when there will be more."""

    due: list[int]  # ids of schedules
    seconds: float  # until the next one after these is due; infinite if none is enabled


class Scheduling(Base):
    """How schedules are fired, and how what is left of them goes."""

    @property
    def firings(self) -> "models.QuerySet[Firing]":
        return Firing.objects.using(self.alias)

    def notify_schedulers(self) -> None:
        """Notify workers of the schedules once this is committed, if the database can."""
        self._tell_on_commit("", "schedules", lambda _: self._tell(SCHEDULE_SAVED))

    def schedule_agenda(self) -> Agenda:
        """Return up to MAX_CANDIDATES schedules that are due, and when the next one is."""
        rows = self.schedules.enabled().order_by("due_at").annotate(now=DatabaseClock())
        first = list(rows.values_list("id", "due_at", "now")[:FIRST_LOOK])
        due = [schedule_id for schedule_id, due_at, now in first if due_at <= now]
        if len(due) == FIRST_LOOK:
            more = self._due_schedules().order_by("due_at").values_list("id", flat=True)
            return Agenda(list(more[:MAX_CANDIDATES]), 0.0)
        for _, due_at, now in first[len(due) :]:
            return Agenda(due, float((due_at - now).total_seconds()))
        return Agenda(due, math.inf)

    @contextmanager
    def lock_due_schedules(
        self, ids: Collection[int], max_wait: timedelta | None = None
    ) -> Iterator[list[tuple[Schedule, datetime]]]:
        """
        Open a transaction that locks those of these schedules that are still due and that no other
        session has locked; give each with the database's time. ``max_wait`` is that of ``locking``.
        """
        with self.locking(max_wait):
            due = self._due_schedules().filter(id__in=ids).order_by("id")
            free = due.annotate(now=DatabaseClock()).select_for_update(skip_locked=True)
            yield [(schedule, clock.as_aware(schedule.now)) for schedule in list(free)]

    def fired_before(self, schedule: Schedule, times: Iterable[datetime]) -> set[datetime]:
        """Return those of these planned times for which the schedule has fired."""
        wanted = [clock.as_stored(planned) for planned in times]
        fired = self.firings.filter(schedule_id=schedule.pk, planned_at__in=wanted)
        return {clock.as_aware(at) for at in fired.values_list("planned_at", flat=True)}

    def add_firings(self, firings: list[Firing]) -> None:
        """Insert firings; raise IntegrityError if a planned time was fired before."""
        self.firings.bulk_create(firings)

    def write_schedule(self, schedule: Schedule, count: int = 0) -> None:
        """Write what firing has changed of a schedule, which has fired ``count`` times more."""
        values = {name: getattr(schedule, name) for name in PLANNED_COLUMNS}
        self.schedules.filter(pk=schedule.pk).update(**values, fired=F("fired") + count)
        schedule.fired += count

    def mark_schedule_error(self, schedule_id: int, error: str, patience: timedelta) -> None:
        """
        Write why a schedule cannot fire, and have workers try again after ``patience``. Nothing is
        written if it is not due any more: another worker has fired it.
        """
        due = self._due_schedules().filter(pk=schedule_id)
        due.update(error=error, due_at=DatabaseClock(patience))

    def latest_successes(self, ids: Sequence[int]) -> dict[int, float]:
        """
        Return when the latest successful run of each of these schedules finished, as Unix time; of
        those that are kept of its latest LATEST_FIRINGS. Without one, a schedule is left out.
        """
        now, found = self.read_clock().timestamp(), dict[int, float]()
        for some in in_chunks(ids, SCHEDULES_PER_STATEMENT):
            statement, parameters = self._latest_successes(some)
            rows = self._fetch(statement, parameters)
            found |= {pk: now + float(seconds) for pk, seconds in rows if seconds is not None}
        return found

    def _latest_successes(self, ids: Sequence[int]) -> tuple[str, list[Any]]:
        firings, runs = self._quoted(Firing), self._quoted(TaskRun)
        seconds, clock = self._seconds_until("MAX(run.finished_at)")
        each = f"""
            SELECT %s, {seconds} FROM (
                SELECT run FROM {firings} WHERE schedule_id = %s
                ORDER BY planned_at DESC LIMIT {LATEST_FIRINGS}
            ) AS latest JOIN {runs} AS run ON run.id = latest.run
            WHERE run.state = 'successful'"""  # noqa: S608 - names of tables, our expression
        parameters = [value for pk in ids for value in (pk, *clock, pk)]
        return " UNION ALL ".join([each] * len(ids)), parameters

    def forget_firings(self, after: int, before: timedelta, limit: int) -> int | None:
        """
        Of the next ``limit`` firings after this id that are older than ``before``, delete those
        whose runs are gone. Return the last id that was read, None if there are no more.
        """
        old = self.firings.filter(id__gt=after, fired_at__lt=DatabaseClock(-before))
        run_of = dict(old.order_by("id").values_list("id", "run")[:limit])
        runs = self.runs.filter(id__in=[*filter(None, run_of.values())])
        kept = {*runs.values_list("id", flat=True)}
        gone = [firing for firing, run in run_of.items() if run not in kept]
        self._delete_by_key(Firing, gone)
        return max(run_of, default=None) if len(run_of) == limit else None

    def forget_finished_schedules(self, before: timedelta, limit: int) -> int:
        """
        Delete up to ``limit`` schedules that finished longer than ``before`` ago and have no firing
        left, except those declared in code. Return how many.
        """
        firings = Firing.objects.filter(schedule=OuterRef("id"))
        used_up = self.schedules.filter(enabled=False, declared=None)
        old = used_up.filter(finished_at__lt=DatabaseClock(-before)).filter(~Exists(firings))
        ids = list(old.values_list("id", flat=True)[:limit])
        return self.schedules.filter(id__in=ids, enabled=False).delete()[0] if ids else 0

    @abstractmethod
    def _seconds_until(self, moment: str) -> tuple[str, Sequence[Any]]:
        """See ``Claiming``."""

    def _due_schedules(self) -> ScheduleQuerySet:
        return self.schedules.enabled().filter(due_at__lte=DatabaseClock())
