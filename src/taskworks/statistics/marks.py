"""Marks in charts: new releases, and whatever a person wants to see there."""

from datetime import timedelta

from django.db import Error as DatabaseError

from taskworks.database.clock import DatabaseClock
from taskworks.jsonvalue import printable
from taskworks.logs import steady_logger
from taskworks.models import Mark
from taskworks.release import release
from taskworks.store import Store

KEPT_FOR = timedelta(days=400)
MAX_LABEL = 200  # characters
MAX_MARKS = 500  # that are read at once

logger = steady_logger(__name__)


def mark(store: Store, label: str) -> Mark:
    """Mark this moment. Raise ValueError for a label that is empty or too long."""
    text = " ".join(printable(label).split())
    if not 1 <= len(text) <= MAX_LABEL:
        raise ValueError(f"A mark needs a label of 1 to {MAX_LABEL} characters, not {label!r}.")
    return Mark.objects.using(store.alias).create(at=store.read_clock(), label=text)


def mark_release(store: Store) -> None:
    """Mark that this process's release has started, unless one has before; errors are logged."""
    if not (name := release()):
        return
    marks = Mark.objects.using(store.alias)
    try:
        if not marks.filter(release=name).exists():
            row = Mark(at=store.read_clock(), label=name, release=name)
            marks.bulk_create([row], ignore_conflicts=True)
    except DatabaseError as error:
        logger.warning("The release %s could not be marked: %s", name, error)


def marks(store: Store, duration: timedelta) -> list[Mark]:
    """Return the marks of the latest ``duration``, the latest MAX_MARKS, the oldest first."""
    since = Mark.objects.using(store.alias).filter(at__gte=DatabaseClock(-duration))
    return [*since.order_by("-at", "-id")[:MAX_MARKS]][::-1]


def forget_marks(store: Store) -> None:
    """Delete marks that no chart shows any more."""
    Mark.objects.using(store.alias).filter(at__lt=DatabaseClock(-KEPT_FOR)).delete()
