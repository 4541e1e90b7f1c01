"""Copies of a schedule's row: as Django copies rows, and from another database."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from taskworks.actions import schedule_actions
from taskworks.models import Schedule
from taskworks.models.planning import not_planned
from taskworks.schedules import cron, sync
from taskworks.timetables.declared import declarations
from tests.schedules import shelf
from tests.schedules.firing import HOUR, fire_all, scheduled

pytestmark = pytest.mark.django_db


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch) -> Iterator[Schedule]:
    """A row that code declares."""
    before = {**declarations}
    declarations.clear()
    cron("@hourly", label="mine")(shelf.add)
    sync.synchronize()
    yield Schedule.objects.get()
    declarations.clear()
    declarations.update(before)


def copied(row: Schedule, label: str = "copy", **changes: Any) -> Schedule:
    row.pk = None
    row.label = label
    for name, value in changes.items():
        setattr(row, name, value)
    row.save()
    return Schedule.objects.get(label=label)


def test_a_copy_is_another_row(declared: Schedule) -> None:
    copy = copied(declared, cron="@daily")
    assert Schedule.objects.count() == 2
    assert (copy.cron, Schedule.objects.get(label="mine").cron) == ("@daily", "@hourly")


def test_a_copy_may_be_made_as_django_s_documentation_has_it(declared: Schedule) -> None:
    declared._state.adding = True
    copied(declared)
    sync.synchronize()
    assert {*Schedule.objects.values_list("label", "enabled")} == {("mine", True), ("copy", True)}


def test_a_copy_is_not_declared_and_stays_enabled(declared: Schedule) -> None:
    copied(declared)
    sync.synchronize()
    copy = Schedule.objects.get(label="copy")
    assert copy.enabled
    assert copy.declared is None
    assert not sync.is_withdrawn(copy)
    assert Schedule.objects.get(label="mine").declared


def test_a_copy_has_not_fired_and_is_planned_by_itself() -> None:
    row = scheduled(shelf.add)
    row.next_run -= 2 * HOUR
    row.save()
    fire_all()
    copy = copied(Schedule.objects.get(pk=row.pk))
    assert (copy.fired, copy.last_run, copy.error) == (0, None, "")
    assert copy.next_run == copy.due_at != not_planned()
    assert copy.created_at > row.created_at
    assert Schedule.objects.get(pk=row.pk).fired


def test_a_copy_may_be_given_a_next_run(declared: Schedule) -> None:
    soon = declared.next_run + 2 * HOUR
    assert copied(declared, next_run=soon).next_run == soon


def test_a_copy_with_the_same_label_is_refused_by_field(declared: Schedule) -> None:
    with pytest.raises(ValidationError) as caught:
        copied(declared, "mine")
    assert [*caught.value.message_dict] == ["label"]


def test_a_deleted_row_that_is_saved_again_is_declared_as_before(declared: Schedule) -> None:
    declared.delete()
    declared.save()
    sync.synchronize()
    assert Schedule.objects.get().declared


def test_a_row_that_was_read_from_another_database_is_written_whole(declared: Schedule) -> None:
    row = Schedule.objects.get()
    Schedule.objects.all().delete()
    row._state.db = "elsewhere"  # as a row is that was read there
    row.save(using="default")
    sync.synchronize()
    found = Schedule.objects.get()
    assert (found.label, found.cron, found.enabled) == ("mine", "@hourly", True)
    assert found.declared


def test_a_loaded_row_that_a_person_has_enabled_stays_enabled(declared: Schedule) -> None:
    declarations.clear()  # the other deployment's
    sync.synchronize()
    loaded = Schedule.objects.get()
    assert not loaded.enabled
    schedule_actions.enable(loaded)
    sync.synchronize()
    assert Schedule.objects.get().enabled
