"""What one worker at a time does for all: the row of the duty is its lock."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.db.models import Exists, Q

from taskworks.database.clock import DatabaseClock
from taskworks.models import Duty, RunState, Statistic, TaskRun
from taskworks.models.statistic import TEN_SECONDS
from taskworks.store.base import Base

BOOKKEEPING, GAUGES = "bookkeeping", "gauges"
# A worker that waits for the database writes a failure later than it happened. What is later than
# this is found by the look at all failures, once an hour.
LATEST_FAILURES = timedelta(minutes=2)
DUTY_INTERVAL = timedelta(seconds=30)  # from one beginning to the next


class SharedDuties(Base):
    """Take turns in what need not be done by every worker."""

    @contextmanager
    def duty_held(self, name: str) -> Iterator[bool]:
        """
        Open a transaction that holds a duty. Gives False if another session holds it; then nothing
        that belongs to the duty may be written.
        """
        duties = Duty.objects.using(self.alias).filter(name=name)
        if not duties.exists():
            Duty.objects.using(self.alias).bulk_create([Duty(name=name)], ignore_conflicts=True)
        with self.locking():
            yield duties.select_for_update(skip_locked=True).first() is not None

    def begin_duty(self, name: str) -> bool:
        """Note that a duty is done now; return False if it is not due, or another is at it."""
        with self.duty_held(name) as is_held:
            due = Duty.objects.using(self.alias).filter(name=name).exclude(_recent())
            return is_held and bool(due.update(done_at=DatabaseClock()))


def statistics_are_due() -> Exists:
    """Return an expression: whether there is something to compact, and nobody has begun to."""
    rows = Statistic.objects.filter(seconds=TEN_SECONDS)
    return Exists(rows.filter(_nobody_has_begun()))


def failures_are_due() -> Exists:
    """Return an expression: whether a recent failure is there that nobody has begun to group."""
    failed = TaskRun.objects.filter(
        state=RunState.FAILED, finished_at__gte=DatabaseClock(-LATEST_FAILURES)
    )
    return Exists(failed.filter(_nobody_has_begun()))


def gauges_are_due() -> Any:
    """Return an expression: whether nobody has begun to sample how much waits."""
    return ~Exists(Duty.objects.filter(_recent(), name=GAUGES))


def _nobody_has_begun() -> Q:
    return Q(~Exists(Duty.objects.filter(_recent(), name=BOOKKEEPING)))


def _recent() -> Q:
    # After a clock was set back, the latest time may be far ahead of it.
    since, until = DatabaseClock(-DUTY_INTERVAL), DatabaseClock(DUTY_INTERVAL)
    return Q(done_at__isnull=False, done_at__gt=since, done_at__lt=until)
