"""Schedules of these tests, and what became of them."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from taskworks.models import Firing, Schedule, TaskRun
from taskworks.schedules.firing import fire_some
from taskworks.store import store
from taskworks.store.verbs import Store

HOUR = timedelta(hours=1)


def scheduled(given: Any = "tests.schedules.bell.noop", **fields: Any) -> Schedule:
    """A saved schedule, each hour if nothing else is said."""
    if not {"cron", "interval"} & {*fields}:
        fields["cron"] = "0 * * * *"
    schedule = Schedule(**{"label": "bell", "timezone": "UTC", **fields})
    schedule.describe(given, fields.get("object_pk"))
    schedule.save()
    return schedule


def fire_due(store: Store) -> int:
    """As a worker would, once; how many schedules were seen to."""
    return len(fire_some(store, store.schedule_agenda().due))


def fire_all() -> int:
    """As a worker would, until nothing is due; how many schedules were seen to."""
    seen = 0
    while some := fire_due(store()):
        seen += some
    return seen


def planned_times(schedule: Schedule) -> list[datetime]:
    """For which it has fired."""
    return list(schedule.firings.order_by("planned_at").values_list("planned_at", flat=True))


def runs_of(schedule: Schedule) -> list[TaskRun]:
    """In the order of their planned times."""
    firings: dict[UUID, Firing] = {f.run: f for f in schedule.firings.all() if f.run}
    runs = TaskRun.objects.filter(id__in=firings)
    return sorted(runs, key=lambda run: firings[run.id].planned_at)


def at(moment: str) -> datetime:
    return datetime.fromisoformat(moment).replace(tzinfo=UTC)
