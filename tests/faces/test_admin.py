"""Runs and workers in the admin."""

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.messages import get_messages
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.timezone import localtime
from django.utils.translation import override

from taskworks.admin import run_admin as admin
from taskworks.filtering import sources
from taskworks.models import RunState, Schedule, TaskRun, Worker
from taskworks.models.run import FINISHED, new_run_id
from taskworks.signals import task_cancelled
from tests import tasks
from tests.behavior import executed, raising, received
from tests.faces.conftest import MakeRun, client_of_reader
from tests.plans import plans

pytestmark = pytest.mark.django_db

LIST = "/admin/taskworks/taskrun/"
AT = datetime(2026, 1, 1, tzinfo=UTC)
WORKERS = "/admin/taskworks/worker/"
SCHEDULES = "/admin/taskworks/schedule/"


@pytest.fixture
def reader(client: Client) -> Client:
    return client_of_reader(client, "view_taskrun")


def page(client: Client, url: str = LIST, **query: Any) -> str:
    response = client.get(url, query)
    assert response.status_code == 200
    return response.content.decode()


def page_of(client: Client, run: TaskRun) -> str:
    return page(client, reverse("admin:taskworks_taskrun_change", args=[run.id]))


def listed(client: Client, **query: Any) -> set[str]:
    """The ids of the runs that the list shows."""
    return set(re.findall(rf"{LIST}([0-9a-f-]{{36}})/change/", page(client, **query)))


def ids(*runs: TaskRun) -> set[str]:
    return {str(run.id) for run in runs}


def act(client: Client, action: str, *runs: TaskRun, **more: Any) -> list[str]:
    """What the admin says after an action."""
    data = {"action": action, "_selected_action": [str(run.id) for run in runs], **more}
    response = client.post(LIST, data)
    assert response.status_code in (200, 302), response.content
    return sorted(str(message) for message in get_messages(response.wsgi_request))


def state_of(run: TaskRun) -> str:
    return TaskRun.objects.get(id=run.id).state


class TestTheList:
    def test_shows_each_run_in_a_row(self, admin_client: Client, make_run: MakeRun) -> None:
        run = make_run("running", target=30, progress=12)
        run.last_attempted_at = run.enqueued_at
        run.save()
        text = page(admin_client)
        begun = f"{localtime(run.enqueued_at):%Y-%m-%d %H:%M:%S}"
        for shown in ("tests.tasks.noop", "Running", " 12 of 30", begun, " s</td>"):
            assert shown in text
        assert f'<span title="{run.id}">{str(run.id)[-8:]}</span>' in text

    def test_shows_what_a_run_has_failed_with_in_a_line(
        self, admin_client: Client, failed_run: TaskRun
    ) -> None:
        shown = r'<span title="ValueError: \x1b[31mred">ValueError: \x1b[31mred</span>'
        assert shown in page(admin_client)
        TaskRun.objects.update(state="successful")
        assert "ValueError" not in page(admin_client)

    def test_shows_the_class_of_a_group(self, admin_client: Client) -> None:
        executed(raising.fail_with_group.enqueue(7))
        assert ">ExceptionGroup: both (2 sub-exceptions)<" in page(admin_client)

    @pytest.mark.parametrize("state", RunState.values)
    def test_says_each_state_in_a_word(
        self, admin_client: Client, make_run: MakeRun, state: str
    ) -> None:
        make_run(state)
        assert f'<span class="taskworks-{state}">{state.title()}</span>' in page(admin_client)

    def test_says_that_a_run_was_asked_to_stop(
        self, admin_client: Client, make_run: MakeRun
    ) -> None:
        run = make_run("running")
        run.cancel_requested_at = run.enqueued_at
        run.save()
        assert "Running, asked to stop" in page(admin_client)

    def test_tells_how_long_the_latest_attempt_took(
        self, admin_client: Client, make_run: MakeRun
    ) -> None:
        run = make_run("successful")
        run.last_attempted_at = run.finished_at - timedelta(seconds=2.5)
        run.save()
        assert "2.500 s" in page(admin_client)
        with override("de"):
            german = admin_client.get(LIST, headers={"accept-language": "de"})
        assert "2,500 s" in german.content.decode()
        run.last_attempted_at = run.finished_at - timedelta(hours=2, seconds=1.5)
        run.save()
        assert "2 h 0 min" in page(admin_client)

    def test_has_the_newest_first(self, admin_client: Client, make_run: MakeRun) -> None:
        old, new = make_run(), make_run()
        early, late = sorted([old.id, new.id], key=str)
        text = page(admin_client)
        assert text.index(str(late)) < text.index(str(early))

    @pytest.mark.parametrize(
        ("query", "columns"),
        [
            ({"state__exact": "failed"}, {"state": "failed", "finished_at": AT}),
            ({"queue_name": "mail"}, {"queue_name": "mail"}),
            ({"backend": "other"}, {"backend": "other"}),
            ({"backend": "gone"}, {"backend": "gone"}),
            ({"executor__exact": "process"}, {"executor": "process"}),
        ],
    )
    def test_is_filtered(
        self,
        admin_client: Client,
        make_run: MakeRun,
        query: dict[str, str],
        columns: dict[str, Any],
    ) -> None:
        make_run()
        wanted = make_run()
        TaskRun.objects.filter(id=wanted.id).update(**columns)
        assert listed(admin_client, **query) == ids(wanted)

    def test_is_filtered_by_when_a_run_finished(
        self, admin_client: Client, make_run: MakeRun
    ) -> None:
        new, old = make_run("successful"), make_run("successful")
        long_ago = old.finished_at - timedelta(days=400)
        TaskRun.objects.filter(id=old.id).update(finished_at=long_ago)
        since = (new.finished_at - timedelta(days=7)).isoformat()
        assert listed(admin_client, finished_at__gte=since) == ids(new)

    def test_offers_the_queues_of_the_settings_and_those_where_a_run_is_ready(
        self, admin_client: Client, make_run: MakeRun
    ) -> None:
        TaskRun.objects.filter(id=make_run().id).update(backend="other", queue_name="surprise")
        text = page(admin_client)
        for queue in ("default", "mail", "imports", "surprise"):
            assert f"?queue_name={queue}" in text
        for backend in ("default", "other"):
            assert f"?backend={backend}" in text
        assert "?backend=dummy" not in text

    def test_is_searched_by_id(self, admin_client: Client, make_run: MakeRun) -> None:
        wanted = make_run()
        make_run()
        assert listed(admin_client, q=f" {wanted.id} ") == ids(wanted)
        assert listed(admin_client, q=str(new_run_id())) == set()

    @pytest.mark.parametrize("term", ["ValueError", "valueerr", "builtins.ValueError", "no Value"])
    def test_is_searched_by_the_class_of_an_error(
        self, admin_client: Client, make_run: MakeRun, failed_run: TaskRun, term: str
    ) -> None:
        other = {**failed_run.errors[0], "exception_class_path": "shop.Sold"}
        make_run("failed", errors=[other])  # its traceback has the word too
        make_run()
        assert listed(admin_client, q=term) == ids(failed_run)

    @pytest.mark.parametrize("term", ['"', "\\", "a.*b", "(", "%", "ä", "'", 'Ü.Sold"}'])
    def test_is_searched_for_whatever_somebody_types(
        self, admin_client: Client, failed_run: TaskRun, term: str
    ) -> None:
        assert listed(admin_client, q=term) == set()
        TaskRun.objects.update(task_path=f"shop.{term}")
        assert listed(admin_client, q=term) == ids(failed_run)

    def test_is_searched_by_what_a_schedule_calls(
        self, admin_client: Client, make_run: MakeRun
    ) -> None:
        make_run()
        wanted = make_run(task_path="taskworks.call", callable_path="shop.close")
        assert listed(admin_client, q="shop.cl") == ids(wanted)

    def test_is_searched_by_a_part_of_a_path(self, admin_client: Client, make_run: MakeRun) -> None:
        make_run()
        wanted = make_run(task=tasks.count_runs)
        assert listed(admin_client, q="count_r") == ids(wanted)


class TestALongList:
    def test_is_counted_so_far_and_no_further(
        self, admin_client: Client, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(admin, "MAX_ROWS_COUNTED", 3)
        for _ in range(3):
            make_run()
        assert "\n3 task runs" in page(admin_client)
        make_run()
        with CaptureQueriesContext(connection) as captured:
            assert "\n3+ task runs" in page(admin_client)
        counts = [query["sql"] for query in captured if "COUNT(" in query["sql"]]
        assert counts
        assert all("LIMIT 4" in count for count in counts)

    def test_what_no_index_has_is_looked_for_in_the_newest_runs(
        self, admin_client: Client, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sources, "WINDOW", 3)
        old, *others = sorted((make_run() for _ in range(5)), key=lambda run: run.id)
        newest = others[-1]
        TaskRun.objects.filter(id__in=[old.id, newest.id]).update(queue_name="mail")
        said = "Only the newest 3 task runs were searched"
        assert listed(admin_client, queue_name="mail") == ids(newest)
        assert said in page(admin_client, queue_name="mail")
        assert listed(admin_client, q=str(old.id)) == ids(old)
        assert said not in page(admin_client, q=str(old.id))
        assert said not in page(admin_client)

    @pytest.mark.parametrize("more", [{"q": ""}, {"o": "1"}, {"all": ""}, {"_popup": "1"}], ids=str)
    def test_what_is_no_condition_narrows_nothing(
        self,
        admin_client: Client,
        make_run: MakeRun,
        monkeypatch: pytest.MonkeyPatch,
        more: dict[str, str],
    ) -> None:
        self._have_windows_of(3, monkeypatch)
        runs = [make_run("failed") for _ in range(5)]
        for state in ({}, {"state__exact": "failed"}):
            assert listed(admin_client, **more, **state) == ids(*runs)
            assert "were searched" not in page(admin_client, **more, **state)

    @staticmethod
    def _have_windows_of(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sources, "WINDOW", size)
        monkeypatch.setattr(sources, "ERRORS_WINDOW", size * sources.FEWER_ON_MYSQL)

    @pytest.mark.parametrize("state", FINISHED)
    def test_what_the_index_of_ends_does_not_have_is_looked_for_in_those_that_ended_last(
        self,
        admin_client: Client,
        make_run: MakeRun,
        monkeypatch: pytest.MonkeyPatch,
        state: RunState,
    ) -> None:
        self._have_windows_of(3, monkeypatch)
        for _ in range(4):
            make_run("failed" if state != "failed" else "successful")
        first, *others = (make_run(state) for _ in range(4))
        for minute, run in enumerate([first, *others]):
            at = AT + timedelta(minutes=minute)
            TaskRun.objects.filter(id=run.id).update(queue_name="mail", finished_at=at)
        query = {"state__exact": state.value, "queue_name": "mail"}
        assert listed(admin_client, **query) == ids(*others)
        said = f"Only the 3 {state.value} task runs that ended last were searched."
        assert said in page(admin_client, **query)
        TaskRun.objects.filter(id=others[0].id).delete()
        assert listed(admin_client, **query) == ids(first, *others[1:])

    @pytest.mark.parametrize("state", FINISHED)
    def test_times_beside_a_final_state_are_looked_for_in_all(
        self,
        admin_client: Client,
        make_run: MakeRun,
        monkeypatch: pytest.MonkeyPatch,
        state: RunState,
    ) -> None:
        self._have_windows_of(3, monkeypatch)
        old = make_run(state)
        TaskRun.objects.filter(id=old.id).update(finished_at=AT)
        for _ in range(4):
            make_run(state)
        times = {
            "finished_at__gte": (AT - timedelta(days=1)).isoformat(),
            "finished_at__lt": (AT + timedelta(days=1)).isoformat(),
        }
        assert listed(admin_client, state__exact=state.value, **times) == ids(old)
        assert "were searched" not in page(admin_client, state__exact=state.value, **times)
        assert listed(admin_client, **times) == set()
        assert "Only the newest 3 task runs were searched" in page(admin_client, **times)

    @pytest.mark.parametrize("state", ["ready", "scheduled", "blocked"])
    def test_too_many_that_wait_are_listed_in_the_order_of_their_index(
        self,
        admin_client: Client,
        make_run: MakeRun,
        monkeypatch: pytest.MonkeyPatch,
        state: str,
    ) -> None:
        self._have_windows_of(3, monkeypatch)
        runs = sorted((make_run(state) for _ in range(5)), key=lambda run: run.id)
        for minute, run in enumerate(reversed(runs)):
            due = {"available_at": AT + timedelta(minutes=minute), "queue_name": "mail"}
            TaskRun.objects.filter(id=run.id).update(**due)
        for _ in range(4):
            make_run("successful")  # the newest
        text = page(admin_client, state__exact=state)
        places = [text.index(str(run.id)) for run in reversed(runs)]
        assert places == sorted(places)
        said = f"More than 3 task runs are in the state {state.capitalize()}; they are listed in"
        assert said in text
        # No index has them with a further condition in any order.
        narrowed = {"state__exact": state, "q": "noop"}
        assert listed(admin_client, **narrowed) == set()
        said = "Only the newest 3 task runs, in whatever state, were searched, because more than 3"
        assert f"{said} are in the state {state.capitalize()}" in page(admin_client, **narrowed)

    @pytest.mark.parametrize("has_others", [False, True])
    @pytest.mark.parametrize("is_limited", [False, True])
    def test_of_too_many_ready_ones_those_with_a_limit_are_told_apart(
        self,
        admin_client: Client,
        make_run: MakeRun,
        monkeypatch: pytest.MonkeyPatch,
        is_limited: bool,
        has_others: bool,
    ) -> None:
        self._have_windows_of(3, monkeypatch)
        limit = {"limit_name": "narrow", "lane": "a"}
        many = [make_run(**(limit if is_limited else {})) for _ in range(5)]
        others = [make_run(**({} if is_limited else limit))] if has_others else []
        has_one_index = connection.vendor == "mysql"
        shown = [*many, *others] if has_one_index else many
        assert listed(admin_client, state__exact="ready") == ids(*shown)
        said = "Only those with a limit are" if is_limited else "Those with a limit are not"
        is_said = f"{said} listed." in page(admin_client, state__exact="ready")
        assert is_said == (has_others and not has_one_index)

    def test_the_dashboard_is_named_only_where_there_is_one(
        self,
        admin_client: Client,
        make_run: MakeRun,
        monkeypatch: pytest.MonkeyPatch,
        settings: Any,
    ) -> None:
        self._have_windows_of(1, monkeypatch)
        make_run()
        text = page(admin_client, q="a")
        assert "Only the newest 1 task runs were searched." in text
        assert "dashboard searches" not in text
        settings.ROOT_URLCONF = "tests.shards.urls"
        assert "searched. The dashboard searches further." in page(admin_client, q="a")

    def test_what_was_searched_is_said_in_german(
        self, admin_client: Client, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self._have_windows_of(1, monkeypatch)
        make_run("failed")
        query = {"state__exact": "failed", "q": "a"}
        with override("de"):
            answer = admin_client.get(LIST, query, headers={"accept-language": "de"})
        said = "Nur die 1 fehlgeschlagenen Läufe wurden durchsucht, die zuletzt geendet haben."
        assert said in answer.content.decode()

    @pytest.mark.parametrize("state", RunState.values)
    def test_those_of_a_state_are_found_however_old_they_are(
        self,
        admin_client: Client,
        make_run: MakeRun,
        monkeypatch: pytest.MonkeyPatch,
        state: str,
    ) -> None:
        monkeypatch.setattr(sources, "WINDOW", 3)
        old = make_run(state)
        for _ in range(4):
            make_run("successful" if state != "successful" else "failed")
        assert listed(admin_client, state__exact=state) == ids(old)
        assert "were searched" not in page(admin_client, state__exact=state)
        for _ in range(2):
            make_run(state)
        assert listed(admin_client, state__exact=state, queue_name=old.queue_name) >= ids(old)

    @pytest.mark.parametrize("state", RunState.values)
    def test_those_of_a_state_are_read_from_its_index(
        self, admin_client: Client, make_run: MakeRun, state: str
    ) -> None:
        make_run(state)
        times = {"finished_at__gte": AT.isoformat()} if state in FINISHED else {}
        for more in ({}, times):
            query = {"state__exact": state, **more}
            for how in plans(partial(page, admin_client, **query), "taskworks_taskrun"):
                # Of three rows, PostgreSQL, MySQL and MariaDB may read the table.
                assert connection.vendor != "sqlite" or "SCAN taskworks_taskrun\n" not in f"{how}\n"

    def test_is_read_without_distinct_values_large_columns_and_many_statements(
        self, admin_client: Client, make_run: MakeRun
    ) -> None:
        for _ in range(5):
            make_run()
        with CaptureQueriesContext(connection) as captured:
            page(admin_client)
        statements = [query["sql"] for query in captured if "taskworks_taskrun" in query["sql"]]
        probes = [one for one in statements if "MIN(" in one.upper() or "RECURSIVE" in one]
        assert len(statements) - len(probes) == 2  # the count and the rows
        assert len(probes) <= 2 * 2  # queues, of two backends, and limits
        assert not any("DISTINCT" in statement for statement in statements)
        [rows] = [statement for statement in statements if "task_path" in statement]
        for column in ("args", "return_value", "messages"):
            assert column not in rows

    def test_cannot_be_sorted_by_what_no_index_has(
        self, admin_client: Client, make_run: MakeRun
    ) -> None:
        make_run()
        with CaptureQueriesContext(connection) as captured:
            page(admin_client, o="3")
        [rows] = [query["sql"] for query in captured if "task_path" in query["sql"]]
        order = rows.partition("ORDER BY")[2]
        assert "id" in order
        assert "queue_name" not in order


@pytest.mark.parametrize("address", [LIST, WORKERS, SCHEDULES])
def test_a_list_of_many_takes_as_many_statements_as_one_of_one(
    admin_client: Client, failed_run: TaskRun, worker: Worker, make_run: MakeRun, address: str
) -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as captured:
            page(admin_client, address)
        return len(captured)

    Schedule(label="first", path="tests.tasks.noop", cron="@daily").save()
    of_one = statements()
    for number in range(5):
        make_run("failed", errors=failed_run.errors)
        Worker.objects.create(
            label=f"{number}",
            hostname="here",
            pid=number,
            heartbeat_at=worker.heartbeat_at,
            started_at=worker.started_at,
        )
        Schedule(label=f"{number}", path="tests.tasks.noop", cron="@daily").save()
    assert statements() == of_one


class TestARun:
    def test_is_shown_with_its_traceback_escaped(
        self, admin_client: Client, failed_run: TaskRun
    ) -> None:
        text = page_of(admin_client, failed_run)
        assert "<script>alert" not in text
        assert "<b>w</b>" not in text
        assert "<pre>Traceback:\n" in text
        assert '  File "<script>alert(1)</script>"\nValueError' in unescape(text)
        assert "Attempt 1: builtins.ValueError" in text

    def test_is_shown_with_what_it_was_given_and_gave(
        self, admin_client: Client, make_run: MakeRun
    ) -> None:
        run = make_run(
            "successful",
            args=["<i>ä</i>"],
            kwargs={"to": "Ada"},
            return_value={"sent": 3},
            metadata={"trace": "abc"},
            messages=[{"at": "2020-01-01T10:00:00+00:00", "level": "info", "text": "<u>half</u>"}],
            worker_ids=["w1", "w2"],
        )
        raw = page_of(admin_client, run)
        assert "<i>" not in raw
        assert "<u>" not in raw
        text = unescape(raw)
        for shown in ("<i>ä</i>", '"to": "Ada"', '"sent": 3', '"trace": "abc"', "w1, w2"):
            assert shown in text
        assert "info: <u>half</u>" in text

    @pytest.mark.parametrize("state", RunState.values)
    def test_is_shown_in_every_state(
        self, admin_client: Client, make_run: MakeRun, state: str
    ) -> None:
        text = page_of(admin_client, make_run(state))
        assert state.title() in text
        assert ">None<" not in text

    def test_of_a_backend_and_a_task_that_are_gone_is_shown(
        self, admin_client: Client, make_run: MakeRun
    ) -> None:
        run = make_run(backend="gone", task_path="gone.tasks.gone")
        assert "gone.tasks.gone" in page_of(admin_client, run)
        assert listed(admin_client) == ids(run)

    def test_cannot_be_added_changed_or_deleted(
        self, admin_client: Client, make_run: MakeRun
    ) -> None:
        run = make_run()
        assert 'name="_save"' not in page_of(admin_client, run)
        for view, arguments in (("add", []), ("delete", [run.id]), ("change", [run.id])):
            url = reverse(f"admin:taskworks_taskrun_{view}", args=arguments)
            assert admin_client.post(url, {"queue_name": "mail"}).status_code == 403
        assert "delete_selected" not in page(admin_client)
        assert TaskRun.objects.get().queue_name == "default"

    def test_that_is_unknown_is_no_error(self, admin_client: Client) -> None:
        url = reverse("admin:taskworks_taskrun_change", args=[new_run_id()])
        assert admin_client.get(url).status_code == 302


class TestActions:
    def test_retry_what_has_failed(self, admin_client: Client, make_run: MakeRun) -> None:
        failed, cancelled = make_run("failed"), make_run("cancelled")
        done = make_run("successful")
        assert act(admin_client, "retry", failed, cancelled, done) == [
            "1 task run: not applicable. Only a failed or cancelled run can be retried.",
            "2 task runs: retried.",
        ]
        assert [state_of(run) for run in (failed, cancelled, done)] == [
            "ready",
            "ready",
            "successful",
        ]

    def test_cancel_what_has_not_finished(self, admin_client: Client, make_run: MakeRun) -> None:
        ready, scheduled = make_run(), make_run("scheduled")
        running, done = make_run("running"), make_run("successful")
        with received(task_cancelled) as sent:
            said = act(admin_client, "cancel", ready, scheduled, running, done)
        assert said == [
            "1 task run: asked to stop.",
            "1 task run: not applicable. It had finished before.",
            "2 task runs: cancelled.",
        ]
        assert {signal["task_result"].id for signal in sent} == ids(ready, scheduled)
        assert state_of(ready) == state_of(scheduled) == "cancelled"
        running.refresh_from_db()
        assert (running.state, running.cancel_requested_at is None) == ("running", False)

    @pytest.mark.parametrize("action", ["retry", "cancel"])
    def test_say_that_a_backend_is_gone(
        self, admin_client: Client, make_run: MakeRun, action: str
    ) -> None:
        run, other = make_run("failed", backend="gone"), make_run(backend="dummy")
        first, second = act(admin_client, action, run, other)
        assert "'dummy', a DummyBackend, cannot" in first
        assert "TASKS has no backend 'gone'" in second
        assert (state_of(run), state_of(other)) == ("failed", "ready")

    def test_reach_all_that_a_filter_shows(self, admin_client: Client, make_run: MakeRun) -> None:
        first, second, failed = make_run(), make_run(), make_run("failed")
        data = {"action": "cancel", "_selected_action": [str(first.id)], "select_across": "1"}
        admin_client.post(f"{LIST}?state__exact=ready", data)
        assert state_of(first) == state_of(second) == "cancelled"
        assert state_of(failed) == "failed"

    def test_take_so_many_at_once(
        self, admin_client: Client, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(admin, "MAX_RUNS_PER_ACTION", 2)
        runs = [make_run("failed") for _ in range(3)]
        taken, left = act(admin_client, "retry", *runs)
        assert taken == "2 task runs: retried."
        assert left.startswith("Only the first 2 of the selected task runs were handled.")
        assert TaskRun.objects.failed().count() == 1

    def test_need_the_permission_to_change(self, reader: Client, make_run: MakeRun) -> None:
        run = make_run("failed")
        text = page(reader)
        assert str(run.id) in text
        assert 'value="retry"' not in text
        assert 'value="cancel"' not in text
        assert act(reader, "retry", run) != ["1 task run: retried."]
        assert state_of(run) == "failed"

    def test_are_offered_to_who_may_change(self, reader: Client, make_run: MakeRun) -> None:
        user = User.objects.get()
        user.user_permissions.add(Permission.objects.get(codename="change_taskrun"))
        run = make_run("failed")
        assert 'value="retry"' in page(reader)
        assert act(reader, "retry", run) == ["1 task run: retried."]


def button(client: Client, run: TaskRun, action: str, **options: Any) -> Any:
    """What is answered to who presses a button of the run's page."""
    address = reverse("admin:taskworks_taskrun_action", args=[run.id, action])
    return client.post(address, **options)


class TestButtons:
    @pytest.mark.parametrize(
        ("state", "offered"),
        [
            ("ready", ["cancel"]),
            ("running", ["cancel"]),
            ("successful", []),
            ("failed", ["retry"]),
            ("cancelled", ["retry"]),
        ],
    )
    def test_are_those_that_apply(
        self, admin_client: Client, make_run: MakeRun, state: str, offered: list[str]
    ) -> None:
        text = page_of(admin_client, make_run(state))
        forms = re.findall(r'<form class="taskworks-action" method="post" action="(.*?)">', text)
        assert [address.split("/")[-2] for address in forms] == offered

    def test_do_what_the_actions_do_and_show_the_page_again(
        self, admin_client: Client, make_run: MakeRun
    ) -> None:
        run, other = make_run("failed"), make_run("failed")
        answer = button(admin_client, run, "retry", follow=True)
        assert answer.redirect_chain[-1][0].endswith(f"{run.id}/change/")
        assert "1 task run: retried." in answer.content.decode()
        button(admin_client, run, "cancel")
        assert (state_of(run), state_of(other)) == ("cancelled", "failed")

    def test_say_that_they_do_not_apply_any_more(
        self, admin_client: Client, make_run: MakeRun
    ) -> None:
        answer = button(admin_client, make_run("successful"), "cancel", follow=True)
        assert "not applicable. It had finished before." in answer.content.decode()

    def test_need_the_permission_to_change(self, reader: Client, make_run: MakeRun) -> None:
        run = make_run("failed")
        assert "taskworks-action" not in page_of(reader, run)
        assert button(reader, run, "retry").status_code == 403
        assert state_of(run) == "failed"
        User.objects.get().user_permissions.add(Permission.objects.get(codename="change_taskrun"))
        assert button(reader, run, "retry").status_code == 302
        assert state_of(run) == "ready"

    def test_need_somebody_who_has_signed_in(self, client: Client, make_run: MakeRun) -> None:
        run = make_run("failed")
        assert button(client, run, "retry").headers["Location"].startswith("/admin/login/")
        assert state_of(run) == "failed"

    def test_are_posted_with_a_token(self, admin_client: Client, make_run: MakeRun) -> None:
        run = make_run("failed")
        address = reverse("admin:taskworks_taskrun_action", args=[run.id, "retry"])
        assert admin_client.get(address).status_code == 405
        admin_client.handler.enforce_csrf_checks = True
        assert admin_client.post(address).status_code == 403
        assert state_of(run) == "failed"

    @pytest.mark.parametrize("action", ["delete_selected", "_answer", "nothing", "\0"])
    def test_are_the_actions_and_nothing_else(
        self, admin_client: Client, make_run: MakeRun, action: str
    ) -> None:
        assert button(admin_client, make_run("failed"), action).status_code == 403

    @pytest.mark.parametrize("id_", [new_run_id(), "nothing", "\0"])
    def test_of_a_run_that_is_gone_are_not_found(self, admin_client: Client, id_: Any) -> None:
        address = reverse("admin:taskworks_taskrun_action", args=[id_, "retry"])
        assert admin_client.post(address).status_code == 404

    def test_of_a_schedule_do_what_its_actions_do(self, admin_client: Client) -> None:
        schedule = Schedule(label="nightly", path="tests.tasks.noop", cron="@daily")
        schedule.save()
        address = reverse("admin:taskworks_schedule_action", args=[schedule.pk, "run_now"])
        text = page(admin_client, reverse("admin:taskworks_schedule_change", args=[schedule.pk]))
        assert address in text
        assert "Disable</button>" in text
        assert "Enable</button>" not in text
        admin_client.post(address)
        assert TaskRun.objects.get().task_path == "tests.tasks.noop"


@pytest.mark.usefixtures("patience")
class TestWorkers:
    def test_are_listed_with_their_runs(
        self, admin_client: Client, make_run: MakeRun, worker: Worker
    ) -> None:
        make_run("running", claimed_by=worker.id)
        make_run("claimed", claimed_by=worker.id)
        make_run("successful", claimed_by=worker.id)
        text = page(admin_client, WORKERS)
        assert "of a test" in text
        assert '<td class="field-runs_in_hand">2</td>' in text

    def test_without_runs_have_none(self, admin_client: Client, worker: Worker) -> None:
        assert '<td class="field-runs_in_hand">0</td>' in page(admin_client, WORKERS)

    def test_say_that_they_seem_dead(
        self, admin_client: Client, make_run: MakeRun, worker: Worker
    ) -> None:
        make_run("running", claimed_by=worker.id)
        Worker.objects.update(heartbeat_at=worker.heartbeat_at - timedelta(minutes=47))
        text = page(admin_client, WORKERS)
        assert "silent for 47 min" in text
        assert "its 1 run comes back when another worker has lived 30 s" in text

    def test_are_shown_and_nothing_more(self, admin_client: Client, worker: Worker) -> None:
        url = reverse("admin:taskworks_worker_change", args=[worker.id])
        assert "77" in page(admin_client, url)
        assert admin_client.post(url, {"label": "new"}).status_code == 403
        assert admin_client.get(f"{WORKERS}add/").status_code == 403
        assert "delete_selected" not in page(admin_client, WORKERS)


@pytest.mark.any_database
def test_without_the_admin_installed_nothing_needs_it() -> None:
    code = """if True:
        import django
        from django.conf import settings
        settings.configure(INSTALLED_APPS=["taskworks"])
        django.setup()
        import sys
        assert "taskworks.models" in sys.modules
        assert "django.contrib.admin" not in sys.modules
        assert "taskworks.admin.run_admin" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("name", ["taskrun", "worker", "schedule"])
@pytest.mark.parametrize("value", ["\0", "a\0b"])
@pytest.mark.parametrize(
    "parameter",
    ["queue_name", "backend", "state__exact", "executor__exact", "finished_at__gte", "q", "p",
     "state", "kind__exact", "label", "task_path__contains", "owner", "id", "e", "all", "_facets"],
)  # fmt: skip
def test_a_nul_in_the_address_of_a_list_is_no_error_of_ours(
    admin_client: Client, name: str, value: str, parameter: str
) -> None:
    response = admin_client.get(f"/admin/taskworks/{name}/", {parameter: value}, follow=True)
    assert response.status_code in (200, 400)


@pytest.mark.parametrize("name", ["taskrun", "worker", "schedule"])
def test_a_nul_in_the_address_of_a_row_is_no_error_of_ours(admin_client: Client, name: str) -> None:
    response = admin_client.get(f"/admin/taskworks/{name}/%00/change/", follow=True)
    assert response.status_code in (200, 404)
