"""sisy's shortcuts, under their names."""

import uuid
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from taskworks.actions import schedule_actions
from taskworks.models import Firing, TaskRun
from taskworks.schedules import (
    FAR_FUTURE,
    HAS_NOT_RUN,
    Schedule,
    task_with_callable,
    taskinfo_with_label,
)
from tests.behavior import run_worker
from tests.schedules import shelf
from tests.schedules.models import Letter, Parcel
from tests.typed.declared import Sum

pytestmark = pytest.mark.django_db(transaction=True)

SHELF = "tests.schedules.shelf"
LIST = "admin:taskworks_schedule_changelist"
IN_AN_HOUR = timedelta(hours=1)
UNTIL = datetime(2090, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _nothing_heard() -> None:
    shelf.heard.clear()


class TestInWords:
    """How often it runs is said wherever its timing is."""

    @pytest.mark.parametrize(
        ("make", "when", "words"),
        [
            (lambda: Schedule.run_once(shelf.hear), "once, immediately", "Once, immediately"),
            (
                lambda: Schedule.run_once(shelf.hear, delay_until=UNTIL, timezone="Europe/Berlin"),
                "once, at 2090-01-02 04:04:05 CET",
                "Once, at 2090-01-02 04:04:05 CET",
            ),
            (
                lambda: Schedule.run_iterations(shelf.hear, schedule="0 4 * * *"),
                "once, by 0 4 * * *",
                "Once, at the first of these times: At 04:00 every day",
            ),
            (
                lambda: Schedule.run_iterations(shelf.hear, 3),
                "* * * * * *, 3 times",
                "Every second, 3 times",
            ),
            (
                lambda: task_with_callable(shelf.hear, schedule=timedelta(hours=1)),
                "every 1:00:00",
                "Every hour",
            ),
        ],
    )
    def test_they_are_said(self, make: Any, when: str, words: str) -> None:
        row = make()
        row.save()
        assert (schedule_actions.when(row), schedule_actions.in_words(row)) == (when, words)

    def test_everywhere(self, admin_client: Client) -> None:
        row = Schedule.run_once(shelf.hear, label="mine")
        output = StringIO()
        for options in ({}, {"preview": 2}, {"json": True}):
            call_command("taskworks", "schedules", stdout=output, **options)
        change = reverse("admin:taskworks_schedule_change", args=[row.pk])
        for address in (reverse(LIST), change):
            shown = admin_client.get(address).content.decode()
            assert shown.lower().count("once, immediately") == 1
            assert "Every second" not in shown
        assert output.getvalue().lower().count("once, immediately") == 3
        assert "Every second" not in output.getvalue()


class TestTaskWithCallable:
    def test_is_not_saved(self) -> None:
        made = task_with_callable(shelf.hear)
        assert made.pk is None
        assert not Schedule.objects.exists()
        assert (made.schedule, made.path, made.userdata) == ("* * * * *", f"{SHELF}.hear", {})
        before = timezone.now()
        made.save()
        assert Schedule.objects.get().next_run > before

    def test_without_a_label_gets_its_path_and_a_short_id(self) -> None:
        labels = {task_with_callable(shelf.hear).label for _ in range(50)}
        assert len(labels) == 50
        assert all(label.startswith(f"{SHELF}.hear-") for label in labels)
        assert all(len(label) <= len(f"{SHELF}.hear") + 9 for label in labels)

    def test_has_the_default_schedule_of_the_settings(self, settings: Any) -> None:
        settings.SISY_DEFAULT_SCHEDULE = "5 4 * * *"
        assert task_with_callable(shelf.hear).cron == "5 4 * * *"

    def test_takes_every_argument(self) -> None:
        start, end = timezone.now() + IN_AN_HOUR, timezone.now() + 2 * IN_AN_HOUR
        made = task_with_callable(
            shelf.hear,
            "mine",
            "0,15,30,45 9-17 * * mon-fri",
            {"text": "of a test"},
            start_running=start,
            end_running=end,
            iterations=3,
            allow_overlap=False,
            wait_for_schedule=False,
            timezone="America/New_York",
            catch_up="skip",
            jitter=5,
            enabled=False,
        )
        made.save()
        row = Schedule.objects.get(label="mine")
        assert (row.overlap, row.allow_overlap, row.catch_up) == ("skip", False, "skip")
        assert (row.start_running, row.end_running, row.iterations) == (start, end, 3)
        assert (row.userdata, row.jitter) == ({"text": "of a test"}, timedelta(seconds=5))
        assert (row.wait_for_schedule, row.enabled) == (False, False)
        assert row.timezone == "America/New_York"

    def test_takes_the_class_of_a_typed_task(self) -> None:
        made = task_with_callable(Sum, "sum", "@daily", kwargs={"numbers": [1]})
        made.save()
        assert (made.kind, made.path) == ("task", "tests.typed.declared.Sum.task")
        assert made.task.func is Sum.task.func

    def test_takes_an_interval(self) -> None:
        made = task_with_callable(shelf.add, schedule=timedelta(minutes=5), args=(1, 2))
        made.save()
        row = Schedule.objects.get()
        assert (row.interval, row.cron, row.args) == (timedelta(minutes=5), "", [1, 2])

    def test_takes_the_path_of_a_method_and_a_key(self) -> None:
        parcel = Parcel.objects.create()
        path = "tests.schedules.models.Parcel.remember"
        by_path = task_with_callable(path, pk_override=parcel.pk)
        by_method = task_with_callable(parcel.remember)
        assert by_path.described == by_method.described
        by_path.save()
        by_method.save()

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            ({"schedule": "* * *"}, "3 fields"),
            ({"schedule": "61 * * * *"}, "'61' is not a valid minute"),
            ({"schedule": "0 0 30 2 *"}, "never comes"),
            ({"schedule": None, "userdata": dict}, "Userdata must be a dictionary"),
            ({"userdata": [1]}, "Userdata must be a dictionary"),
            ({"schedule": True}, "must be a timedelta"),
            ({"schedule": float("nan")}, "must be a timedelta"),
            ({"allow_overlap": "no"}, "must be True or False"),
            ({"allow_overlap": True, "overlap": "skip"}, "one of the two"),
            ({"jitter": "soon"}, "jitter must be"),
        ],
    )
    def test_refuses_bad_input_at_once(self, arguments: dict[str, Any], reason: str) -> None:
        with pytest.raises(ValueError, match=reason):
            task_with_callable(shelf.hear, **arguments)

    def test_refuses_an_argument_that_there_is_not(self) -> None:
        with pytest.raises(TypeError, match="Did you mean 'iterations'"):
            task_with_callable(shelf.hear, iteration=1)

    def test_refuses_a_label_twice_when_it_is_saved(self) -> None:
        task_with_callable(shelf.hear, "mine").save()
        with pytest.raises(ValidationError) as error:
            task_with_callable(shelf.hear, "mine").save()
        assert [*error.value.message_dict] == ["label"]

    @pytest.mark.parametrize(
        ("arguments", "field"),
        [
            ({"timezone": "Europe/Berlyn"}, "timezone"),
            ({"iterations": -1}, "iterations"),
            (
                {
                    "start_running": datetime(2030, 1, 2, tzinfo=UTC),
                    "end_running": datetime(2030, 1, 1, tzinfo=UTC),
                },
                "end_running",
            ),
            ({"overlap": "never"}, "overlap"),
            ({"args": [1]}, "args"),
            ({"options": {"queue_name": "nowhere"}}, "options"),
        ],
    )
    def test_refuses_the_rest_by_field_when_it_is_saved(
        self, arguments: dict[str, Any], field: str
    ) -> None:
        with pytest.raises(ValidationError) as error:
            task_with_callable(shelf.hear, **arguments).save()
        assert [*error.value.message_dict] == [field]
        assert not Schedule.objects.exists()

    def test_knows_the_times_that_sisy_means_by_none(self) -> None:
        made = task_with_callable(shelf.hear, start_running=HAS_NOT_RUN, end_running=FAR_FUTURE)
        made.save()
        assert (made.start_running, made.end_running) == (None, None)


class TestRunOnce:
    def test_runs_at_once_and_returns_the_saved_row(self) -> None:
        row = Schedule.run_once(shelf.hear, {"text": "now"})
        assert row.pk is not None
        assert (row.iterations, row.fired, row.enabled) == (1, 1, False)
        assert row.finished_at is not None
        run_worker()
        assert shelf.heard == ["now"]

    def test_is_a_run_that_knows_its_schedule(self) -> None:
        row = Schedule.run_once(shelf.hear)
        [firing] = Firing.objects.filter(schedule=row)
        run = TaskRun.objects.get(id=firing.run)
        assert run.metadata["taskworks.schedule"]["label"] == row.label

    def test_waits_until_its_time(self) -> None:
        until = timezone.now() + IN_AN_HOUR
        row = Schedule.run_once(shelf.hear, delay_until=until)
        assert (row.next_run, row.start_running, row.fired) == (until, until, 0)
        assert not TaskRun.objects.exists()

    def test_runs_tasks_methods_and_coroutines(self) -> None:
        letter, parcel = Letter.objects.create(), Parcel.objects.create()
        for given in (shelf.add, letter.remember, parcel.remember, shelf.hear_later):
            Schedule.run_once(given, {"text": "so"})
        Schedule.run_once(
            "tests.schedules.models.Parcel.remember", {"text": "so"}, pk_override=str(parcel.pk)
        )
        run_worker()
        assert {*TaskRun.objects.values_list("state", flat=True)} == {"successful"}
        assert Letter.objects.get().last_text == "so"
        assert Parcel.objects.get().calls == 2
        assert shelf.heard == ["so"]

    def test_of_an_instance_that_is_gone_is_a_run_that_has_failed(self) -> None:
        key = uuid.uuid4()
        Schedule.run_once("tests.schedules.models.Parcel.remember", pk_override=key)
        run_worker()
        run = TaskRun.objects.get()
        assert run.state == "failed"
        assert str(key) in run.errors[-1]["traceback"]


class TestRunIterations:
    def test_runs_every_second_unless_it_is_told_otherwise(self) -> None:
        row = Schedule.run_iterations(shelf.hear, iterations=3)
        assert (row.cron, row.iterations, row.fired) == ("* * * * * *", 3, 0)
        assert row.next_run - timezone.now() <= timedelta(seconds=1)

    def test_runs_the_first_time_at_once(self) -> None:
        row = Schedule.run_iterations(
            shelf.hear, 2, "twice", "0 0 1 1 *", {"text": "at once"}, run_immediately=True
        )
        assert (row.fired, row.enabled) == (1, True)
        new_year = row.next_run.astimezone(ZoneInfo("Europe/Berlin"))
        assert (new_year.month, new_year.day) == (1, 1)
        assert row.created_at < row.next_run <= row.created_at + timedelta(days=366)
        run_worker()
        assert shelf.heard == ["at once"]

    def test_waits_for_a_planned_time_after_its_start(self) -> None:
        until = timezone.now() + IN_AN_HOUR
        row = Schedule.run_iterations(shelf.hear, schedule="*/5 * * * *", delay_until=until)
        assert until <= row.next_run <= until + timedelta(minutes=5)
        assert row.next_run.minute % 5 == row.next_run.second == 0

    @pytest.mark.parametrize(
        ("until", "reason"),
        [
            ("tomorrow", "must be a datetime.datetime instance"),
            (datetime(2020, 1, 1, tzinfo=UTC), "in the past"),
            (datetime(2099, 1, 1), "an aware datetime"),
        ],
    )
    def test_refuses_a_delay_that_is_none(self, until: Any, reason: str) -> None:
        with pytest.raises(ValueError, match=reason):
            Schedule.run_iterations(shelf.hear, delay_until=until)
        assert not Schedule.objects.exists()

    def test_refuses_a_negative_number(self) -> None:
        with pytest.raises(ValidationError) as error:
            Schedule.run_iterations(shelf.hear, iterations=-1)
        assert [*error.value.message_dict] == ["iterations"]
        assert not Schedule.objects.exists()


class TestUserdata:
    def test_is_written_as_sisys_tasks_do(self) -> None:
        row = Schedule.run_iterations(
            shelf.count, 2, schedule="0 0 1 1 *", userdata={"count": 5}, run_immediately=True
        )
        Schedule.objects.filter(pk=row.pk).update(jitter=timedelta(seconds=3))
        run_worker()
        row = Schedule.objects.get()
        assert (row.userdata, row.jitter) == ({"count": 6}, timedelta(seconds=3))


class TestTaskinfo:
    def test_is_in_sisys_words(self) -> None:
        parcel = Parcel.objects.create()
        task_with_callable(parcel.remember, "parcel").save()
        task_with_callable(shelf.Horn.of_class, "class").save()
        task_with_callable(shelf.hear, "function").save()
        assert taskinfo_with_label("parcel") == {
            "func_type": "instancemethod",
            "func_name": "remember",
            "func_path": "tests.schedules.models.Parcel.remember",
            "module_name": "tests.schedules.models",
            "class_path": "tests.schedules.models.Parcel",
            "class_name": "Parcel",
            "model_pk": parcel.pk,
        }
        assert Schedule.objects.get(label="parcel").funcinfo == taskinfo_with_label("parcel")
        assert taskinfo_with_label("class")["func_type"] == "classmethod"
        assert taskinfo_with_label("function") == {
            "func_type": "function",
            "func_name": "hear",
            "func_path": f"{SHELF}.hear",
            "module_name": SHELF,
        }

    def test_of_a_label_that_there_is_not(self) -> None:
        with pytest.raises(Schedule.DoesNotExist):
            taskinfo_with_label("nobody")
