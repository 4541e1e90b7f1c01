"""What firing reads and writes of schedules, in one database."""

import math
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import models
from django.db.models import Exists, F, OuterRef
from django.db.models.signals import post_save
from django.dispatch import receiver

from taskworks.conf import conf
from taskworks.database import clock
from taskworks.database.clock import DatabaseClock
from taskworks.database.notifications import SCHEDULE_SAVED, Notification, notify_on_commit
from taskworks.models import Firing, Schedule
from taskworks.models.schedule import ScheduleQuerySet
from taskworks.store import store
from taskworks.store.verbs import Store

FEW = 10  # that are asked for at first
CANDIDATES = 500  # of which some are chosen, so that workers do not all try the same

# What a plan or a firing writes.
PLANNED = (
    "enabled",
    "last_run",
    "next_run",
    "behind_until",
    "due_at",
    "fired",
    "error",
    "finished_at",
)


class Agenda(NamedTuple):
    """What there is to do for who fires."""

    due: list[int]  # the ids of those that are to be looked at now
    seconds: float  # until the next one after these; infinite if none is enabled


class Schedules:
    """The schedules of a store's database."""

    def __init__(self, store: Store) -> None:
        self.store = store

    @property
    def rows(self) -> ScheduleQuerySet:
        return self.store.schedules

    @property
    def firings(self) -> "models.QuerySet[Firing]":
        return Firing.objects.using(self.store.alias)

    def agenda(self) -> Agenda:
        """What is to be looked at now, or as many of that as is reasonable, and what is next."""
        rows = self.rows.enabled().order_by("due_at").annotate(now=DatabaseClock())
        first = list(rows.values_list("id", "due_at", "now")[:FEW])
        due = [schedule_id for schedule_id, due_at, now in first if due_at <= now]
        if len(due) == FEW:
            more = self._due().order_by("due_at").values_list("id", flat=True)
            return Agenda(list(more[:CANDIDATES]), 0.0)
        for _, due_at, now in first[len(due) :]:
            return Agenda(due, float((due_at - now).total_seconds()))
        return Agenda(due, math.inf)

    @contextmanager
    def taken(self, ids: Collection[int]) -> Iterator[list[tuple[Schedule, datetime]]]:
        """
        A transaction in which those of these are ours that are still due and that nobody else
        holds; each with the database's time.
        """
        with self.store.locking():
            self.store.lock_to_write()
            free = self._due().filter(id__in=ids).order_by("id").annotate(now=DatabaseClock())
            schedules = list(free.select_for_update(skip_locked=True))
            yield [(schedule, clock.as_aware(schedule.now)) for schedule in schedules]

    def fired_before(self, schedule: Schedule, times: Iterable[datetime]) -> set[datetime]:
        """For which of these planned times it has fired."""
        wanted = [clock.as_stored(planned) for planned in times]
        fired = self.firings.filter(schedule_id=schedule.pk, planned_at__in=wanted)
        return {clock.as_aware(at) for at in fired.values_list("planned_at", flat=True)}

    def add(self, firings: list[Firing]) -> None:
        """Insert these; raise IntegrityError if one is there."""
        self.firings.bulk_create(firings)

    def write(self, schedule: Schedule, count: int = 0) -> None:
        """What firing has changed of it; it has fired ``count`` times more."""
        values = {name: getattr(schedule, name) for name in PLANNED if name != "fired"}
        self.rows.filter(pk=schedule.pk).update(**values, fired=F("fired") + count)
        schedule.fired += count

    def mark(self, schedule_id: int, error: str, patience: timedelta) -> None:
        """
        That it cannot fire, and why; it is looked at again after so long. Unless it is not due any
        more, for then another has fired it.
        """
        self._due().filter(pk=schedule_id).update(error=error, due_at=DatabaseClock(patience))

    def forget_firings(self, after: int, before: timedelta, limit: int) -> int | None:
        """
        Of the next firings by their id, delete those that are so old, and whose runs are gone; the
        last id that was looked at, None if there are no more so old.
        """
        old = self.firings.filter(id__gt=after, fired_at__lt=DatabaseClock(-before))
        run_of = dict(old.order_by("id").values_list("id", "run")[:limit])
        kept = {
            *self.store.runs.filter(id__in=[*filter(None, run_of.values())]).values_list(
                "id", flat=True
            )
        }
        gone = [firing for firing, run in run_of.items() if run not in kept]
        if gone:
            self.firings.filter(id__in=gone).delete()
        return max(run_of, default=None) if len(run_of) == limit else None

    def forget_finished(self, before: timedelta, limit: int) -> int:
        """Delete schedules that were used up so long ago, and have no firing left; how many."""
        firings = Firing.objects.filter(schedule=OuterRef("id"))
        used_up = self.rows.filter(enabled=False, declared=None)
        old = used_up.filter(finished_at__lt=DatabaseClock(-before)).filter(~Exists(firings))
        ids = list(old.values_list("id", flat=True)[:limit])
        return self.rows.filter(id__in=ids, enabled=False).delete()[0] if ids else 0

    def _due(self) -> ScheduleQuerySet:
        return self.rows.enabled().filter(due_at__lte=DatabaseClock())


@receiver(post_save, sender=Schedule, dispatch_uid="taskworks.schedules")
def _tell_schedulers(instance: Schedule, using: str, **kwargs: Any) -> None:
    """Have workers look at once, where the database can tell them."""
    told = store(using)
    if told.can_notify and conf().notify and instance.enabled:
        notice = Notification(using, "", "schedules", lambda payload: told.notify(SCHEDULE_SAVED))
        notify_on_commit(notice, told.connection)
