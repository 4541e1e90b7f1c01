"""Schedules in migrations: added, changed, removed, forwards and backwards, and refused."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.migrations.writer import OperationWriter
from django.utils import timezone

from taskworks.models import Firing, Schedule, TaskRun
from taskworks.schedules import AddSchedule, ChangeSchedule, RemoveSchedule
from tests.schedules import shelf
from tests.schedules.models import Parcel

ADD, HEAR = "tests.schedules.shelf.add", "tests.schedules.shelf.hear"
NIGHTLY = AddSchedule("nightly", ADD, "0 3 * * *", args=[1], options={"priority": 5})


def state() -> ProjectState:
    """The tables as migrations know them: models without their methods."""
    return ProjectState.from_apps(apps)


def forwards(operation: Operation, before: ProjectState | None = None) -> None:
    before = before or state()
    with connection.schema_editor() as editor:
        operation.database_forwards("shop", editor, before, before)


def backwards(operation: Operation) -> None:
    assert operation.reversible
    now = state()
    with connection.schema_editor() as editor:
        operation.database_backwards("shop", editor, now, now)


def only() -> Schedule:
    return Schedule.objects.get()


@pytest.mark.django_db(transaction=True)
class TestAdd:
    def test_makes_a_row_that_is_like_any_other(self) -> None:
        before = timezone.now()
        forwards(NIGHTLY)
        row = only()
        assert (row.label, row.path, row.kind, row.cron) == ("nightly", ADD, "task", "0 3 * * *")
        assert (row.args, row.options, row.timezone) == ([1], {"priority": 5}, "Europe/Berlin")
        assert row.next_run > before
        assert row.due_at == row.next_run
        row.save()

    def test_may_be_done_again(self) -> None:
        forwards(NIGHTLY)
        before = only()
        Schedule.objects.update(fired=7, userdata={"count": 7})
        forwards(NIGHTLY)
        row = only()
        assert (row.pk, row.fired, row.userdata) == (before.pk, 7, {"count": 7})
        assert (row.created_at, row.next_run) == (before.created_at, before.next_run)

    def test_makes_a_schedule_that_is_there_already_what_it_is_to_be(self) -> None:
        Schedule(label="nightly", path=ADD, cron="0 1 * * *", enabled=False).save()
        forwards(NIGHTLY)
        assert (only().enabled, only().cron) == (True, "0 3 * * *")

    def test_of_what_is_over_by_now_makes_a_row_that_is(self) -> None:
        """A migration is applied to new databases for years."""
        forwards(AddSchedule("it", ADD, "@hourly", end_running=datetime(2025, 1, 1, tzinfo=UTC)))
        assert (only().enabled, only().next_run) == (False, None)
        assert only().finished_at is not None

    def test_refuses_a_label_twice(self) -> None:
        Schedule(label="nightly", path="tests.tasks.noop", cron="0 1 * * *").save()
        with pytest.raises(ValueError, match=r"label: .* runs 'tests.tasks.noop'.* another label"):
            forwards(NIGHTLY)
        assert (only().path, only().cron) == ("tests.tasks.noop", "0 1 * * *")

    def test_is_undone(self) -> None:
        forwards(NIGHTLY)
        Firing.objects.create(schedule=only(), planned_at=timezone.now(), fired_at=timezone.now())
        backwards(NIGHTLY)
        assert not Schedule.objects.exists()
        assert not Firing.objects.exists()
        backwards(NIGHTLY)

    @pytest.mark.parametrize(
        ("given", "kind"),
        [
            (HEAR, "function"),
            (shelf.hear, "function"),
            (shelf.add, "task"),
            ("tests.schedules.shelf.Horn.of_class", "class_method"),
            ("tests.schedules.shelf.Horn.Mouthpiece.of_nobody", "static_method"),
        ],
    )
    def test_takes_any_callable(self, given: Any, kind: str) -> None:
        forwards(AddSchedule("it", given, timedelta(minutes=5)))
        assert (only().kind, only().interval) == (kind, timedelta(minutes=5))

    def test_takes_a_method_of_what_the_migration_has_made(self) -> None:
        historical: Any = state().apps.get_model("schedules", "Parcel")
        parcel = historical.objects.create()
        path = "tests.schedules.models.Parcel.remember"
        forwards(AddSchedule("it", path, "@hourly", pk_override=parcel.pk))
        assert only().object_pk == str(parcel.pk)
        assert Parcel.objects.filter(pk=only().object_pk).exists()


@pytest.mark.django_db(transaction=True)
class TestRemove:
    def test_is_the_other_way_round(self) -> None:
        forwards(NIGHTLY)
        remove = RemoveSchedule("nightly", ADD, "0 3 * * *", args=[1])
        forwards(remove)
        assert not Schedule.objects.exists()
        forwards(remove)
        backwards(remove)
        assert (only().path, only().args) == (ADD, [1])

    def test_leaves_its_runs(self) -> None:
        row = Schedule.run_once(shelf.hear, label="nightly")
        forwards(RemoveSchedule("nightly"))
        assert not Schedule.objects.filter(pk=row.pk).exists()
        assert TaskRun.objects.count() == 1

    def test_without_what_it_was_cannot_be_undone(self) -> None:
        assert not RemoveSchedule("nightly").reversible
        with pytest.raises(TypeError, match="both the callable and the schedule"):
            RemoveSchedule("nightly", ADD)


@pytest.mark.django_db(transaction=True)
class TestChange:
    change = ChangeSchedule(
        "nightly",
        before={"schedule": "0 3 * * *", "allow_overlap": True},
        after={"schedule": timedelta(hours=12), "allow_overlap": False},
    )

    def test_changes_and_is_undone(self) -> None:
        forwards(NIGHTLY)
        before = only()
        forwards(self.change)
        row = only()
        assert (row.cron, row.interval, row.overlap) == ("", timedelta(hours=12), "skip")
        assert row.next_run - timezone.now() <= timedelta(hours=12)
        forwards(self.change)
        backwards(self.change)
        row = only()
        assert (row.cron, row.interval, row.overlap) == ("0 3 * * *", None, "run")
        assert (row.pk, row.next_run) == (before.pk, before.next_run)

    def test_leaves_what_a_person_has_changed(self) -> None:
        forwards(NIGHTLY)
        row = only()
        row.overlap = "queue"
        row.save()
        forwards(self.change)
        assert (only().interval, only().overlap) == (timedelta(hours=12), "queue")

    def test_of_a_schedule_that_is_not_there_is_nothing(self) -> None:
        forwards(self.change)
        assert not Schedule.objects.exists()

    def test_disables(self) -> None:
        forwards(NIGHTLY)
        disable = ChangeSchedule("nightly", before={"enabled": True}, after={"enabled": False})
        forwards(disable)
        assert (only().enabled, only().next_run) == (False, None)
        before = timezone.now()
        backwards(disable)
        assert only().enabled
        assert only().next_run > before

    @pytest.mark.parametrize(("before", "after"), [({}, {}), ({"enabled": True}, {"jitter": 1})])
    def test_needs_the_same_columns(self, before: Any, after: Any) -> None:
        with pytest.raises(ValueError, match="the same columns before and after"):
            ChangeSchedule("nightly", before, after)

    def test_refuses_bad_input_by_field(self) -> None:
        forwards(NIGHTLY)
        change = ChangeSchedule("nightly", {"iterations": 0}, {"iterations": -1})
        with pytest.raises(ValueError, match="Change iterations of the schedule 'nightly': iterat"):
            forwards(change)
        assert only().iterations == 0


YEAR = timedelta(days=365)
BAD_WHEN_MADE = [
    ({"schedule": "* * *"}, "3 fields"),
    ({"schedule": "61 * * * *"}, "'61' is not a valid minute"),
    ({"schedule": "0 0 30 2 *"}, "never comes"),
    ({"label": ""}, "1 to 255 characters"),
    ({"label": "x" * 256}, "1 to 255 characters"),
    ({"userdata": []}, "Userdata must be a dictionary"),
]
BAD_WHEN_APPLIED = [
    ({"timezone": "Mars/Olympus"}, "timezone: 'Mars/Olympus'"),
    ({"iterations": -1}, "iterations"),
    (
        {
            "start_running": datetime(2030, 1, 1, tzinfo=UTC) + YEAR,
            "end_running": datetime(2030, 1, 1, tzinfo=UTC),
        },
        "end_running: The end",
    ),
    ({"the_callable": "tests.schedules.shelf.of_two"}, "must take one argument"),
    ({"the_callable": "tests.schedules.shelf.nothing"}, "leads to nothing"),
    ({"the_callable": shelf.anonymous}, "lambda"),
    ({"args": [1, 2, 3]}, "args"),
    ({"overlap": "never"}, "overlap"),
]


@pytest.mark.django_db(transaction=True)
class TestBadInput:
    @pytest.mark.parametrize(("given", "reason"), BAD_WHEN_MADE)
    def test_is_refused_when_the_migration_is_read(self, given: Any, reason: str) -> None:
        with pytest.raises(ValueError, match=reason):
            AddSchedule(**{"label": "it", "the_callable": ADD, "schedule": "@hourly", **given})

    @pytest.mark.parametrize(("given", "reason"), BAD_WHEN_APPLIED)
    def test_is_refused_before_anything_is_written(self, given: Any, reason: str) -> None:
        operation = AddSchedule(
            **{"label": "it", "the_callable": ADD, "schedule": "@hourly", **given}
        )
        with pytest.raises(ValueError, match=reason) as error:
            forwards(operation)
        assert "'it'" in str(error.value)
        assert not Schedule.objects.exists()

    def test_an_argument_that_there_is_not(self) -> None:
        with pytest.raises(TypeError, match="Did you mean 'iterations'"):
            AddSchedule("it", ADD, "@hourly", iteration=1)

    def test_a_migration_that_depends_on_no_table(self) -> None:
        with pytest.raises(ValueError, match="'taskworks', '0001_initial'"):
            forwards(NIGHTLY, ProjectState())


@pytest.mark.any_database
@pytest.mark.parametrize(
    "operation",
    [
        NIGHTLY,
        AddSchedule("it", "shop.models.Order.remind", "@daily", pk_override=7),
        RemoveSchedule("nightly"),
        RemoveSchedule("nightly", ADD, timedelta(minutes=5)),
        TestChange.change,
    ],
)
def test_is_written_as_it_was(operation: Operation) -> None:
    """As squashmigrations does."""
    text, imports = OperationWriter(operation, indentation=0).serialize()
    names: dict[str, Any] = {}
    exec("\n".join(sorted(imports)), names)
    again = eval(text.strip().rstrip(","), names)
    assert again.deconstruct() == operation.deconstruct()
