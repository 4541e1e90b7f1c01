"""Schedules in the admin."""

import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.messages import get_messages
from django.db import connections
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from taskworks import discovery
from taskworks.models import Firing, Schedule, TaskRun
from taskworks.schedules import cron, sync, task_with_callable
from taskworks.schedules.firing import fire
from taskworks.timetables.declared import declarations
from tests.schedules import shelf
from tests.typed import declared as typed

pytestmark = [pytest.mark.thorough_on_servers, pytest.mark.django_db]

TAGS = r"<textarea.*?</textarea>|<select.*?</select>|<input.*?>"
LIST = "/admin/taskworks/schedule/"
ADD = "tests.tasks.add"
HEAR = "tests.schedules.shelf.hear"
GOOD = {
    "label": "mine",
    "callable": ADD,
    "args": "[1, 2]",
    "kwargs": "{}",
    "userdata": "{}",
    "cron": "*/5 * * * *",
    "interval": "",
    "timezone": "Europe/Berlin",
    "enabled": "on",
    "wait_for_schedule": "on",
    "iterations": "0",
    "overlap": "run",
    "catch_up": "one",
    "jitter": "0",
}


@pytest.fixture
def admin_client(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.fixture
def schedule() -> Schedule:
    row = task_with_callable(shelf.hear, "mine", "*/5 * * * *", {"text": "so"})
    row.save()
    return Schedule.objects.get()


def address(schedule: Schedule) -> str:
    return reverse("admin:taskworks_schedule_change", args=[schedule.pk])


def page(client: Client, url: str = LIST, **query: Any) -> str:
    response = client.get(url, query)
    assert response.status_code == 200
    return unescape(response.content.decode())


def errors(client: Client, url: str = f"{LIST}add/", **changes: Any) -> dict[str, list[str]]:
    """What the form says against it, by field; nothing if it was saved."""
    response = client.post(url, {**GOOD, **changes})
    if response.status_code == 302:
        return {}
    form = response.context["adminform"].form
    return {name: [unescape(text) for text in texts] for name, texts in form.errors.items()}


def act(client: Client, action: str, *schedules: Schedule) -> list[str]:
    """What the admin says after an action."""
    data = {"action": action, "_selected_action": [row.pk for row in schedules]}
    response = client.post(LIST, data)
    assert response.status_code == 302, response.content
    said = sorted(str(message) for message in get_messages(response.wsgi_request))
    client.get(LIST)  # or they would be said again
    return said


def posted(client: Client, schedule: Schedule, **changes: Any) -> dict[str, Any]:
    """What a browser sends back of the schedule's page, hidden fields and all, with changes."""
    response = client.get(address(schedule))
    form = response.context["adminform"].form
    data: dict[str, Any] = {}
    for html in [str(field) for field in form]:
        for tag in re.findall(TAGS, html, re.DOTALL):
            name, value = _sent(tag)
            if name and value is not None:
                data[name] = value
    return {**data, **changes}


def _sent(tag: str) -> tuple[str, str | None]:
    attributes = dict(re.findall(r'([\w-]+)="([^"]*)"', tag.partition(">")[0]))
    name = attributes.get("name", "")
    if tag.startswith("<textarea"):
        return name, unescape(re.search(r">(.*)</textarea>", tag, re.DOTALL)[1]).lstrip("\n")
    if tag.startswith("<select"):
        chosen = re.search(r'<option value="([^"]*)" selected', tag)
        return name, unescape(chosen[1]) if chosen else ""
    if attributes.get("type") == "checkbox":
        return name, "on" if re.search(r"\bchecked\b", tag) else None
    return name, unescape(attributes.get("value", ""))


class TestAdding:
    def test_makes_a_row(self, admin_client: Client) -> None:
        before = timezone.now()
        assert errors(admin_client) == {}
        row = Schedule.objects.get()
        assert (row.label, row.path, row.kind, row.args) == ("mine", ADD, "task", [1, 2])
        assert (row.cron, row.timezone, row.catch_up) == ("*/5 * * * *", "Europe/Berlin", "one")
        assert row.next_run > before

    def test_takes_an_interval_and_options(self, admin_client: Client) -> None:
        given = {"cron": "", "interval": "0:05:00", "queue_name": "mail", "priority": "7"}
        given |= {"timeout": "30", "max_attempts": "3", "catch_up": "12", "jitter": "10"}
        assert errors(admin_client, **given) == {}
        row = Schedule.objects.get()
        assert (row.interval, row.catch_up) == (timedelta(minutes=5), 12)
        assert row.jitter == timedelta(seconds=10)
        options = {"queue_name": "mail", "priority": 7, "timeout": 30, "max_attempts": 3}
        assert row.options == options

    def test_offers_tasks_and_what_settings_allow(
        self, admin_client: Client, settings: Any
    ) -> None:
        text = page(admin_client, f"{LIST}add/")
        assert f'<option value="{ADD}">' in text
        assert HEAR not in text
        settings.TASKWORKS = {"SCHEDULE_CALLABLES": [HEAR, "nowhere.f"]}
        text = page(admin_client, f"{LIST}add/")
        assert f'<option value="{HEAR}">' in text
        assert "nowhere.f" not in text
        assert errors(admin_client, callable=HEAR, args="[]") == {}
        assert Schedule.objects.get().kind == "function"

    def test_offers_typed_tasks(
        self, admin_client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(discovery, "task_modules", lambda: [typed])
        path = "tests.typed.declared.Sum.task"
        assert [*errors(admin_client, callable=path, args="[]")] == ["kwargs"]
        assert errors(admin_client, callable=path, args="[]", kwargs='{"numbers": [1]}') == {}
        assert Schedule.objects.get().path == path

    @pytest.mark.parametrize("path", [HEAR, "os.system", "tests.schedules.broken.f", "", "os"])
    def test_refuses_what_is_not_offered(self, admin_client: Client, path: str) -> None:
        assert [*errors(admin_client, callable=path)] == ["callable"]

    @pytest.mark.parametrize(
        ("given", "field", "reason"),
        [
            ({"cron": "* * *"}, "cron", "3 fields"),
            ({"cron": "61 * * * *"}, "cron", "'61' is not a valid minute"),
            ({"cron": "0 0 30 2 *"}, "cron", "never comes"),
            ({"cron": ""}, "cron", "neither"),
            ({"interval": "60"}, "cron", "both"),
            ({"timezone": "Europe/Berlyn"}, "timezone", "Did you mean 'Europe/Berlin'"),
            ({"iterations": "-1"}, "iterations", "greater than or equal to 0"),
            ({"catch_up": "all"}, "catch_up", '"skip", "one" or a number'),
            ({"overlap": "never"}, "overlap", "not one of the available"),
            ({"args": "[1, 2, 3]"}, "args", "does not take"),
            ({"args": "{"}, "args", "valid JSON"),
            ({"args": "7"}, "args", "must be a list"),
            ({"args": "[" * 9999}, "args", "valid JSON"),
            ({"args": "1" * 9999}, "args", "valid JSON"),
            (
                {"end_running_0": "2020-01-01", "end_running_1": "00:00:00"},
                "end_running",
                "no planned time",
            ),
            (
                {"start_running_0": "9999-12-31", "start_running_1": "23:59:00"},
                "start_running",
                "no planned time",
            ),
            ({"userdata": "[]"}, "userdata", "must be a dict"),
            ({"queue_name": "nowhere"}, "queue_name", "nowhere"),
            ({"queue_name": "mail", "timeout": "0"}, "timeout", "greater than 0"),
            ({"iterations": "99999999999999999999"}, "iterations", "less than or equal"),
            ({"catch_up": "-1"}, "catch_up", "0"),
            ({"interval": "soon"}, "interval", "valid duration"),
            ({"userdata": '{"a": "\\u0000"}'}, "userdata", "NUL"),
            ({"priority": "1000"}, "priority", "less than or equal to 100"),
            ({"jitter": "-5"}, "jitter", "0 or more"),
            (
                {
                    "start_running_0": "2030-01-02",
                    "start_running_1": "00:00:00",
                    "end_running_0": "2030-01-01",
                    "end_running_1": "00:00:00",
                },
                "end_running",
                "must be after the start",
            ),
        ],
    )
    def test_refuses_bad_input_beside_its_field(
        self, admin_client: Client, given: dict[str, str], field: str, reason: str
    ) -> None:
        found = errors(admin_client, **given)
        assert [*found] == [field]
        assert reason in found[field][0]
        assert not Schedule.objects.exists()

    def test_says_once_that_nothing_was_chosen(self, admin_client: Client) -> None:
        assert errors(admin_client, callable="") == {"callable": ["This field is required."]}

    def test_refuses_a_label_twice(self, admin_client: Client, schedule: Schedule) -> None:
        assert [*errors(admin_client)] == ["label"]

    def test_needs_the_permission(self, client: Client) -> None:
        user = User.objects.create_user("reader", is_staff=True)
        user.user_permissions.add(Permission.objects.get(codename="view_schedule"))
        client.force_login(user)
        assert client.get(f"{LIST}add/").status_code == 403
        row = task_with_callable(shelf.hear, "mine", options={"priority": 3})
        row.save()
        assert '"priority": 3' in page(client, address(row))
        data = {**GOOD, "label": "another"}
        assert client.post(address(row), data).status_code == 403
        assert client.post(LIST, {"action": "run_now", "_selected_action": [row.pk]}).status_code
        assert not TaskRun.objects.exists()
        assert 'name="action"' not in page(client)


class TestTheList:
    def test_shows_each_schedule(self, admin_client: Client, schedule: Schedule) -> None:
        text = page(admin_client)
        for shown in ("mine", HEAR, "*/5 * * * *", "enabled"):
            assert shown in text

    def test_shows_why_one_cannot_fire(self, admin_client: Client, schedule: Schedule) -> None:
        Schedule.objects.update(error="TaskNotFound: it is gone")
        assert "cannot fire: TaskNotFound: it is gone" in page(admin_client, state="unable")
        assert "0 schedules" in page(admin_client, state="finished")

    @pytest.mark.parametrize("state", ["enabled", "unable", "disabled", "finished"])
    def test_is_filtered_by_state(
        self, admin_client: Client, schedule: Schedule, state: str
    ) -> None:
        columns: dict[str, dict[str, Any]] = {
            "enabled": {},
            "unable": {"error": "no"},
            "disabled": {"enabled": False},
            "finished": {"enabled": False, "finished_at": timezone.now()},
        }
        Schedule.objects.update(**columns[state])
        assert ">mine</a>" in page(admin_client, state=state)


class TestActions:
    def test_disable_and_enable(self, admin_client: Client, schedule: Schedule) -> None:
        assert act(admin_client, "disable", schedule) == ["1 schedule: disabled."]
        schedule.refresh_from_db()
        assert (schedule.enabled, schedule.next_run) == (False, None)
        before = timezone.now()
        assert act(admin_client, "enable", schedule) == ["1 schedule: enabled."]
        schedule.refresh_from_db()
        assert schedule.next_run > before
        assert act(admin_client, "enable", schedule) == ["1 schedule: already enabled."]

    def test_run_now(self, admin_client: Client, schedule: Schedule) -> None:
        assert act(admin_client, "run_now", schedule) == ["1 schedule: enqueued."]
        run = TaskRun.objects.get()
        assert run.metadata["taskworks.schedule"]["label"] == "mine"
        assert str(run.id) in page(admin_client, address(schedule))
        before = schedule.next_run
        schedule.refresh_from_db()
        assert schedule.next_run == before

    def test_run_now_of_what_is_gone(self, admin_client: Client, schedule: Schedule) -> None:
        Schedule.objects.update(path="tests.schedules.shelf.gone")
        [message] = act(admin_client, "run_now", schedule)
        assert message.startswith("mine: ")
        assert "gone" in message
        assert not TaskRun.objects.exists()

    def test_enable_of_what_is_used_up(self, admin_client: Client, schedule: Schedule) -> None:
        Schedule.objects.update(
            iterations=1, fired=1, enabled=False, finished_at=timezone.now(), next_run=None
        )
        [message] = act(admin_client, "enable", schedule)
        assert "as often as it may" in message
        assert not Schedule.objects.get().enabled


class TestThePage:
    def test_shows_the_callable_and_does_not_take_another(
        self, admin_client: Client, schedule: Schedule
    ) -> None:
        text = page(admin_client, address(schedule))
        assert f"{HEAR} (Function)" in text
        assert 'name="callable"' not in text
        assert 'name="path"' not in text
        data = posted(admin_client, schedule, callable=ADD, path=ADD, kind="task")
        assert errors(admin_client, address(schedule), **data) == {}
        schedule.refresh_from_db()
        assert (schedule.path, schedule.kind) == (HEAR, "function")

    def test_does_not_take_options_that_a_worker_would_import(
        self, admin_client: Client, schedule: Schedule
    ) -> None:
        data = posted(admin_client, schedule, options='{"retry_on": ["os.system"]}', priority="3")
        assert errors(admin_client, address(schedule), **data) == {}
        schedule.refresh_from_db()
        assert schedule.options == {"priority": 3}

    def test_says_when_it_runs(self, admin_client: Client, schedule: Schedule) -> None:
        text = page(admin_client, address(schedule))
        assert schedule.in_words() in text
        for planned in schedule.upcoming(10):
            assert f"{planned:%Y-%m-%d %H:%M:%S}" in text

    def test_does_not_enable_what_is_used_up(
        self, admin_client: Client, schedule: Schedule
    ) -> None:
        Schedule.objects.update(iterations=1, fired=1, enabled=False, finished_at=timezone.now())
        schedule.refresh_from_db()
        data = posted(admin_client, schedule, enabled="on")
        assert [*errors(admin_client, address(schedule), **data)] == ["iterations"]

    def test_says_when_it_has_fired_in_the_project_s_zone(
        self, admin_client: Client, schedule: Schedule
    ) -> None:
        planned = datetime(2026, 5, 1, 12, 34, 56, tzinfo=UTC)
        Firing.objects.create(schedule=schedule, planned_at=planned, fired_at=planned)
        assert "Fri 2026-05-01 14:34:56 CEST" in page(admin_client, address(schedule))

    def test_links_its_runs(self, admin_client: Client, schedule: Schedule) -> None:
        act(admin_client, "run_now", schedule)
        Firing.objects.create(
            schedule=schedule, planned_at=timezone.now(), fired_at=timezone.now(), run=None
        )
        text = page(admin_client, address(schedule))
        run = TaskRun.objects.get()
        assert f'<a href="/admin/taskworks/taskrun/{run.id}/change/">' in text
        assert "no run" in text
        TaskRun.objects.all().delete()
        assert f"{run.id}, deleted" in page(admin_client, address(schedule))
        # And the run its schedule.
        act(admin_client, "run_now", schedule)
        run = TaskRun.objects.get()
        assert address(schedule) in page(admin_client, f"/admin/taskworks/taskrun/{run.id}/change/")

    def test_of_a_row_with_a_bad_timetable_says_so(
        self, admin_client: Client, schedule: Schedule
    ) -> None:
        Schedule.objects.update(cron="nonsense", next_run=None)
        assert "is not a cron expression" in page(admin_client, address(schedule))

    def test_changes_what_was_changed(self, admin_client: Client, schedule: Schedule) -> None:
        data = posted(admin_client, schedule, cron="30 3 * * *", label="another")
        assert errors(admin_client, address(schedule), **data) == {}
        row = Schedule.objects.get()
        assert (row.cron, row.label, row.userdata) == ("30 3 * * *", "another", {"text": "so"})
        assert row.next_run is not None
        assert f"{timezone.localtime(row.next_run):%H:%M}" == "03:30"

    def test_undoes_nothing_that_was_written_since_it_was_shown(
        self, admin_client: Client, schedule: Schedule
    ) -> None:
        data = posted(admin_client, schedule, cron="0 3 * * *")
        Schedule.objects.update(
            userdata={"text": "of a firing"}, timezone="America/New_York", iterations=7, fired=6
        )
        assert errors(admin_client, address(schedule), **data) == {}
        row = Schedule.objects.get()
        assert (row.cron, row.userdata) == ("0 3 * * *", {"text": "of a firing"})
        assert (row.timezone, row.iterations, row.fired) == ("America/New_York", 7, 6)

    def test_does_not_enable_again_what_was_used_up_meanwhile(
        self, admin_client: Client, schedule: Schedule
    ) -> None:
        data = posted(admin_client, schedule, jitter="00:00:05")
        Schedule.objects.update(
            enabled=False, finished_at=timezone.now(), iterations=1, fired=1, next_run=None
        )
        assert errors(admin_client, address(schedule), **data) == {}
        row = Schedule.objects.get()
        assert (row.enabled, row.jitter) == (False, timedelta(seconds=5))

    @pytest.mark.parametrize(
        ("given", "field"),
        [
            ({"cron": "61 * * * *"}, "cron"),
            ({"timezone": "Mars/Olympus"}, "timezone"),
            ({"iterations": "-1"}, "iterations"),
            ({"args": "[1]"}, "args"),
            ({"label": ""}, "label"),
        ],
    )
    def test_refuses_bad_input_beside_its_field(
        self, admin_client: Client, schedule: Schedule, given: dict[str, str], field: str
    ) -> None:
        data = posted(admin_client, schedule, **given)
        assert [*errors(admin_client, address(schedule), **data)] == [field]

    def test_shows_what_was_changed_of_a_declared_one(self, admin_client: Client) -> None:
        before = {**declarations}
        try:
            cron("0 3 * * *", label="declared")(shelf.add)
            sync.synchronize()
            row = Schedule.objects.get(label="declared")
            assert "yes, unchanged" in page(admin_client, address(row))
            data = posted(admin_client, row, cron="0 4 * * *", label="another")
            assert errors(admin_client, address(row), **data) == {}
            row.refresh_from_db()
            assert (row.label, row.cron) == ("declared", "0 4 * * *")
            assert "cron is '0 4 * * *'; code declares '0 3 * * *'" in page(
                admin_client, address(row)
            )
            del declarations["declared"]
            sync.synchronize()
            assert "not declared in code any more" in page(admin_client)
        finally:
            declarations.clear()
            declarations.update(before)


@pytest.mark.django_db(transaction=True)
def test_an_edit_and_a_firing_at_once_undo_nothing_of_each_other(schedule: Schedule) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    for turn in range(1, 6):
        now = timezone.now()
        Schedule.objects.update(next_run=now, due_at=now)
        data = posted(client, Schedule.objects.get(), label=f"turn {turn}")
        edit = partial(client.post, address(schedule), data)
        assert together(partial(fire, schedule.pk), edit) == []
        fire(schedule.pk)  # as a worker does again, if the row was locked
        row = Schedule.objects.get()
        assert (row.label, row.fired) == (f"turn {turn}", turn)
        assert row.next_run > now


def together(*acts: Callable[[], Any]) -> list[BaseException]:
    """Do these in the same moment, each in a thread with a connection of its own."""
    barrier, raised = threading.Barrier(len(acts)), []

    def run(act: Callable[[], Any]) -> None:
        try:
            barrier.wait(timeout=30)
            act()
        except BaseException as error:
            raised.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=[act]) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return raised


class TestWhatIsNotTouched:
    """Only what a person has changed is validated."""

    @pytest.fixture
    def twice(self, settings: Any, schedule: Schedule) -> Schedule:
        """Starts in the hour that comes twice, which no form can read back."""
        settings.TIME_ZONE = "Europe/Berlin"
        schedule.start_running = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
        schedule.save()
        return schedule

    def test_is_not_read_back(self, admin_client: Client, twice: Schedule) -> None:
        data = posted(admin_client, twice, iterations="3")
        assert errors(admin_client, address(twice), **data) == {}
        row = Schedule.objects.get()
        assert (row.iterations, row.start_running) == (3, twice.start_running)

    def test_is_read_once_it_is_changed(self, admin_client: Client, twice: Schedule) -> None:
        data = posted(admin_client, twice, start_running_1="02:45:00")
        assert [*errors(admin_client, address(twice), **data)] == ["start_running"]
        data = posted(admin_client, twice, start_running_1="04:00:00")
        assert errors(admin_client, address(twice), **data) == {}
        assert Schedule.objects.get().start_running == datetime(2026, 10, 25, 3, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("column", "value"),
        [("overlap", "as before"), ("timezone", "Mars/Olympus"), ("cron", "61 * * * *")],
    )
    def test_does_not_keep_the_rest_from_being_saved(
        self, admin_client: Client, schedule: Schedule, column: str, value: str
    ) -> None:
        data = posted(admin_client, schedule, label="another")
        Schedule.objects.update(**{column: value})
        kept = {f"initial-{column}": value, column: value}
        assert errors(admin_client, address(schedule), **{**data, **kept}) == {}
        row = Schedule.objects.get()
        assert (row.label, getattr(row, column)) == ("another", value)

    def test_is_validated_in_a_new_schedule(self, admin_client: Client) -> None:
        given = {"start_running_0": "2026-10-25", "start_running_1": "99:00"}
        assert [*errors(admin_client, **given)] == ["start_running"]
