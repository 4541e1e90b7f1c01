"""What shows runs shows those of all databases, and which of these does not answer."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import timedelta
from io import StringIO
from threading import Event
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import Error as DatabaseError
from django.db import connections
from django.test import Client
from rest_framework.test import APIClient

from taskworks import TaskResult, task_backends
from taskworks.dashboard import databases_shown, problems_shown
from taskworks.database.shards import using
from taskworks.filtering import sources
from taskworks.health import views as health_views
from taskworks.models import TaskRun, Worker
from taskworks.prometheus import collector, latest
from taskworks.store import store
from taskworks.workflows import Workflow
from tests import tasks
from tests.behavior import run_worker
from tests.prometheus.conftest import Metrics
from tests.shards.backends import SHARD
from tests.shards.several import counts, down, without_a_table
from tests.shards.test_runs import bulk

FAILED = b'</a> <span class="tw-bad">answers with an error</span>'
SILENT = b'</a> <span class="tw-bad">does not answer</span>'  # of a database, on the overview
Broken = Callable[[str], AbstractContextManager[None]]

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", SHARD])


@pytest.fixture(autouse=True)
def _site(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.ROOT_URLCONF = "tests.shards.urls"
    monkeypatch.setattr(health_views, "_answers", [])
    monkeypatch.setattr(collector, "REGISTRY", collector.new_registry())


def command(*arguments: str, code: int = 0) -> str:
    """What a subcommand prints, its error at the end."""
    output = StringIO()
    if not code:
        call_command("taskworks", *arguments, stdout=output, stderr=output)
        return output.getvalue()
    with pytest.raises(CommandError) as caught:
        call_command("taskworks", *arguments, stdout=output, stderr=output)
    assert caught.value.returncode == code, caught.value
    return f"{output.getvalue()}{caught.value}"


@pytest.fixture
def runs() -> list[TaskResult]:
    """One in each database."""
    return [tasks.noop.enqueue(), bulk(tasks.send_mail).enqueue("ann")]


class TestCommands:
    def test_lists_are_of_each_database(self, runs: list[TaskResult]) -> None:
        printed = command("list")
        first, second = printed.split(f"Database '{SHARD}':")
        assert (runs[0].id in first, runs[1].id in second) == (True, True)
        assert runs[0].id not in command("list", "--database", SHARD)
        assert runs[0].id not in command("list", "--backend", "bulk")

    def test_json_is_one_document(self, runs: list[TaskResult]) -> None:
        listed = json.loads(command("list", "--json"))["databases"]
        assert [*listed] == ["default", SHARD]
        assert [run["id"] for run in listed[SHARD]] == [runs[1].id]
        assert isinstance(json.loads(command("list", "--json", "--database", SHARD)), list)

    def test_what_is_named_is_found(self, runs: list[TaskResult]) -> None:
        assert json.loads(command("show", runs[1].id, "--json"))["backend"] == "bulk"
        assert "cancelled" in command("cancel", *[run.id for run in runs])
        for run in runs:
            run.refresh()
            assert run.is_cancelled
        assert "no run with the id" in command("show", "0" * 32, code=2)

    def test_a_filter_means_the_runs_of_all(self, runs: list[TaskResult]) -> None:
        assert command("delete", "--state", "ready", "--no-input", code=2)
        assert command("cancel", "--state", "ready").count("Cancelled 1 run") == 2

    def test_queues_tasks_and_limits(self, runs: list[TaskResult]) -> None:
        assert "paused" in command("pause", "mail", "--backend", "bulk")
        assert command("pause", "--task", "tests.tasks.noop").count("paused") == 2
        status = command("status", code=4)
        first, second = status.split(f"Database '{SHARD}':")
        assert ("'mail'" in first, "'mail'" in second) == (False, True)
        command("resume", "mail", "--backend", "bulk")
        command("resume", "--task", "tests.tasks.noop")

    @pytest.mark.parametrize("name", ["health", "queues", "limits", "schedules", "failures"])
    def test_others(self, name: str) -> None:
        assert command(name).count("Database '") == 2

    def test_top(self) -> None:
        assert command("top", "--once").count("Database '") == 2
        with down(SHARD):
            said = command("top", "--once", code=1)
        assert "Nothing is wrong." in said
        assert said.count(f"The database '{SHARD}' cannot be reached") == 2  # shown, and the error

    def test_run_goes_to_the_database_of_the_task(self) -> None:
        command("run", "tests.tasks.noop")
        assert counts() == (1, 0)

    def test_prune_refuses_a_database_that_its_backend_has_no_runs_in(
        self, runs: list[TaskResult]
    ) -> None:
        said = command("prune", "--database", SHARD, code=2)
        assert f"'default' has its runs in the database 'default', not in '{SHARD}'" in said
        assert "Deleted 0" in command("prune", "--backend", "bulk", "--database", SHARD)
        assert "Deleted 0" in command("prune", "--backend", "bulk")

    def test_an_unknown_database(self) -> None:
        said = command("list", "--database", "quue", code=2)
        assert "has its runs in the database 'quue'. Did you mean 'queue'?" in said

    def test_one_that_is_down_keeps_nobody_from_the_others(self, runs: list[TaskResult]) -> None:
        with down(SHARD):
            said = command("list", code=1)
            assert runs[0].id in said
            assert f"The database '{SHARD}' cannot be reached" in said
            assert runs[0].id in command("show", runs[0].id)
            said = command("show", runs[1].id, code=1)
            assert f"No other database has {runs[1].id}. The database '{SHARD}' cannot be" in said
            assert "cannot be reached" in command("health", code=2)
            documents = json.loads(command("queues", "--json", code=1).rpartition("}")[0] + "}")
            assert "error" in documents["databases"][SHARD]
        with down("default"):
            assert runs[1].id in command("list", code=1)

    def test_an_error_of_a_shard_is_not_called_silence(self) -> None:
        with without_a_table(SHARD, "taskworks_limit"):
            said = command("limits", code=1)
        assert f"The database '{SHARD}' has failed: " in said
        assert "cannot be reached" not in said

    def test_a_shard_without_tables_is_told(self) -> None:
        with without_a_table(SHARD):
            said = command("status", code=1)
        assert f"Run 'manage.py migrate taskworks --database {SHARD}'" in said


class TestREST:
    @pytest.fixture
    def client(self, settings: Any) -> APIClient:
        from django.contrib.auth.models import User

        client = APIClient(raise_request_exception=False)
        client.force_authenticate(User.objects.create_superuser("root"))
        return client

    def test_a_list_is_of_all_databases(self, client: APIClient) -> None:
        both = [tasks.noop, bulk(tasks.noop)]
        ids = [both[number % 2].enqueue().id for number in range(6)]
        page = client.get("/api/tasks/", {"page_size": 2}).json()
        found = [run["id"] for run in page["results"]]
        while page["next"]:
            page = client.get(page["next"]).json()
            found += [run["id"] for run in page["results"]]
        assert found == sorted(ids, reverse=True)

    def test_what_no_index_has_is_found_to_the_end_of_each(
        self, client: APIClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sources, "WINDOW", 2)
        mail, others = tasks.send_mail, tasks.noop
        # One database has more runs than the other, and those of the queue stand far apart.
        new = [bulk(mail), others, others, mail, bulk(others), others, others, bulk(mail), mail]
        new += [others, others, others, bulk(others), bulk(others), bulk(mail), bulk(mail), mail]
        ids = []
        for one in new:
            run = one.enqueue(*["ann"] * (one.name == "send_mail"))
            ids += [run.id] if one.name == "send_mail" else []
        for page_size in (1, 2, 50):
            asked, pages = f"/api/tasks/?queue=mail&page_size={page_size}", []
            while asked:
                page = client.get(asked).json()
                pages.append([run["id"] for run in page["results"]])
                asked = page["next"]
            assert [one for page in pages for one in page] == sorted(ids, reverse=True)
            assert [] in pages  # nothing of the queue was in the windows of both

    def test_a_run_is_found_by_its_id(self, client: APIClient, runs: list[TaskResult]) -> None:
        for run in runs:
            assert client.get(f"/api/tasks/{run.id}/").json()["id"] == run.id
            assert client.post(f"/api/tasks/{run.id}/cancel/").status_code == 200

    def test_workflows_are_found_too(self, client: APIClient) -> None:
        flow = Workflow("sum")
        flow.add("one", bulk(tasks.add), 1, 2)
        result = flow.enqueue()
        [listed] = client.get("/api/tasks/workflows/").json()["results"]
        assert listed["id"] == result.id
        assert client.get(f"/api/tasks/workflows/{result.id}/steps/").status_code == 200

    @pytest.mark.parametrize(
        ("fault", "said", "status"), [(down, "unavailable", 503), (without_a_table, "failed", 500)]
    )
    def test_one_that_does_not_answer_is_told_from_one_that_has_failed(
        self, client: APIClient, runs: list[TaskResult], fault: Broken, said: str, status: int
    ) -> None:
        with fault(SHARD):
            page = client.get("/api/tasks/").json()
            assert [run["id"] for run in page["results"]] == [runs[0].id]
            assert {"unavailable", "failed"} & {*page} == {said}
            assert page[said] == [SHARD]
            assert client.get(f"/api/tasks/{runs[0].id}/").status_code == 200
            assert client.get(f"/api/tasks/{runs[1].id}/").status_code == status
            assert client.get(f"/api/tasks/{uuid4()}/").status_code == status


class TestPages:
    def test_are_those_of_a_database(self, root: Client, runs: list[TaskResult]) -> None:
        here, there = (
            root.get("/dashboard/runs/").content.decode(),
            root.get(f"/dashboard/database/{SHARD}/runs/").content.decode(),
        )
        assert (runs[0].id in here, runs[1].id in here) == (True, False)
        assert (runs[0].id in there, runs[1].id in there) == (False, True)
        assert f'href="/dashboard/database/{SHARD}/runs/{runs[1].id}/"' in there
        assert 'href="/dashboard/"' in there

    @pytest.mark.parametrize(
        "page", ["", "queues/", "workers/", "schedules/", "workflows/", "limits/", "failures/"]
    )
    def test_each_has_one_of_a_shard(self, root: Client, page: str) -> None:
        assert root.get(f"/dashboard/database/{SHARD}/{page}").status_code == 200

    def test_actions_act_there(self, root: Client, runs: list[TaskResult]) -> None:
        place = f"/dashboard/database/{SHARD}/runs/{runs[1].id}/"
        assert root.get(place).status_code == 200
        answer = root.post(f"{place}cancel/")
        assert answer.status_code == 302
        runs[1].refresh()
        assert runs[1].is_cancelled

    def test_one_that_is_down_is_told_and_the_others_are_shown(
        self, root: Client, runs: list[TaskResult]
    ) -> None:
        with down(SHARD):
            assert SILENT in root.get("/dashboard/").content
            answer = root.get(f"/dashboard/database/{SHARD}/")
            assert answer.status_code == 503
            assert 'href="/dashboard/"' in answer.content.decode()

    def test_one_without_tables_keeps_nobody_from_the_others(
        self, root: Client, caplog: pytest.LogCaptureFixture
    ) -> None:
        with without_a_table(SHARD):
            pages = [root.get("/dashboard/") for _ in range(2)]
        for page in pages:
            assert (page.status_code, FAILED in page.content) == (200, True)
            assert SILENT not in page.content
        assert caplog.text.count(f"The database '{SHARD}' has failed: ") == 1

    def test_a_silent_one_is_not_asked_for_each_page(
        self, root: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tried = list[str]()
        _before_each_connection(monkeypatch, tried.append)
        with down(SHARD):
            for _ in range(3):
                assert SILENT in root.get("/dashboard/").content
            assert tried.count(SHARD) == 1
            monkeypatch.setattr(databases_shown, "ASKED_AGAIN_AFTER", 0.0)
            assert SILENT in root.get("/dashboard/").content
            assert tried.count(SHARD) == 2
        assert SILENT not in root.get("/dashboard/").content

    def test_nobody_waits_for_who_asks_a_silent_one(
        self, root: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        is_asked, may_go_on = Event(), Event()

        def hang(alias: str) -> None:
            if alias == SHARD:
                is_asked.set()
                may_go_on.wait(60)

        _before_each_connection(monkeypatch, hang)
        monkeypatch.setattr(problems_shown, "PATIENCE", 0.01)
        with down(SHARD), ThreadPoolExecutor(1) as another:
            asking = another.submit(_ask, SHARD)
            assert is_asked.wait(60)
            page = root.get("/dashboard/").content
            is_still_asking = not asking.done()
            may_go_on.set()
            assert isinstance(asking.exception(60), DatabaseError)
        assert (is_still_asking, SILENT in page) == (True, True)

    def test_an_outage_of_the_first_which_has_the_users_is_a_sentence(self, root: Client) -> None:
        with down("default"):
            for place in ("/dashboard/", f"/dashboard/database/{SHARD}/"):
                answer = root.get(place)
                assert answer.status_code == 503
                assert f'href="/dashboard/database/{SHARD}/"' not in answer.content.decode()

    def test_an_unknown_database_is_no_page(self, root: Client) -> None:
        assert root.get("/dashboard/database/nowhere/").status_code == 404

    def test_the_admin_says_which_one_it_shows(self, root: Client) -> None:
        page = root.get("/admin/taskworks/taskrun/").content.decode()
        assert "This list is that of the database default." in page


def _before_each_connection(monkeypatch: pytest.MonkeyPatch, call: Callable[[str], None]) -> None:
    kind: Any = type(connections[SHARD])
    connect = kind.get_new_connection

    def called_before(self: Any, parameters: Any) -> Any:
        call(self.alias)
        return connect(self, parameters)

    monkeypatch.setattr(kind, "get_new_connection", called_before)


def _ask(alias: str) -> None:
    try:
        with using(alias):
            problems_shown.findings()
    finally:
        connections.close_all()


class TestHealthAndMetrics:
    def test_health_is_that_of_all(self, client: Client) -> None:
        assert client.get("/health").status_code == 200
        with down(SHARD):
            health_views._answers.clear()
            answer = client.get("/health?verbose")
            assert answer.status_code == 503
            databases = answer.json()["databases"]
            assert databases["default"]["database"] == "ok"
            assert databases[SHARD]["database"] == "problem"

    def test_metrics_say_which_one(self, client: Client, runs: list[TaskResult]) -> None:
        run_worker("--backend", "bulk")
        found = Metrics(client.get("/metrics").content.decode())
        assert found.value("taskworks_runs", shard=SHARD, state="ready", queue="mail") == 0
        labels = {"shard": SHARD, "outcome": "successful", "backend": "bulk"}
        assert found.value("taskworks_runs_finished_total", **labels) == 1
        for alias in ("default", SHARD):
            assert found.value("taskworks_scrape_ok", shard=alias) == 1
            vendor = connections[alias].vendor
            assert found.value("taskworks_build_info", shard=alias, database=vendor) == 1

    def test_metrics_of_one_that_is_down_are_those_of_an_earlier_scrape(
        self, client: Client, runs: list[TaskResult], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(latest, "KEPT_FOR", 0.0)
        run_worker("--backend", "bulk")
        bulk(tasks.noop).enqueue()
        before = Metrics(client.get("/metrics").content.decode())
        for _ in range(2):
            tasks.noop.enqueue()
            bulk(tasks.noop).enqueue()
        with down(SHARD):
            after = Metrics(client.get("/metrics").content.decode())
        assert after.value("taskworks_scrape_ok", shard=SHARD) == 0
        finished = {"outcome": "successful", "shard": SHARD}
        assert after.value("taskworks_runs_finished_total", **finished) == 1
        for found, here, there in ((before, 1, 1), (after, 3, 1)):
            in_queue = {"state": "ready", "queue": "default"}
            assert found.value("taskworks_runs", shard="default", **in_queue) == here
            assert found.value("taskworks_runs", shard=SHARD, **in_queue) == there

    def test_metrics_of_one_that_is_down(self, client: Client, runs: list[TaskResult]) -> None:
        with down(SHARD):
            found = Metrics(client.get("/metrics").content.decode())
        assert found.value("taskworks_scrape_ok", shard="default") == 1
        assert found.value("taskworks_scrape_ok", shard=SHARD) == 0


def test_a_worker_is_stopped_where_it_is() -> None:
    row = Worker(label="there", hostname="here", pid=1, backend="bulk")
    store(SHARD).register(row)
    assert str(row.id) in command("stop-worker", str(row.id))
    assert Worker.objects.using(SHARD).get().asked_to == "stop"


def test_runs_that_were_left_behind_are_a_problem(settings: Any) -> None:
    result = tasks.noop.using(backend="other", run_after=timedelta()).enqueue()
    long_ago = store().read_clock() - timedelta(hours=1)
    store().runs.filter(id=result.id).update(available_at=long_ago)
    elsewhere = {**settings.TASKS["other"], "OPTIONS": {"DATABASE": SHARD}}
    settings.TASKS = {**settings.TASKS, "other": elsewhere}
    assert task_backends["other"].database == SHARD
    said = command("health", code=1)
    assert "in the database 'default', 1 run is ready, and workers look for them in 'queue'" in said


def test_what_was_left_behind_is_not_called_deleted(settings: Any, root: Client) -> None:
    flow = Workflow("sum")
    flow.add("one", tasks.noop.using(backend="other"))
    workflow, result = flow.enqueue(), tasks.noop.using(backend="other").enqueue()
    elsewhere = {**settings.TASKS["other"], "OPTIONS": {"DATABASE": SHARD}}
    settings.TASKS = {**settings.TASKS, "other": elsewhere}
    where = "It is in the database 'default', but TASKS says that its backend has its runs in"
    assert f"{where} '{SHARD}'" in command("cancel", result.id, code=1)
    assert f"{where} '{SHARD}'" in command("send", result.id, "paid", code=1)
    TaskRun.objects.using("default").filter(id=result.id).update(state="failed")
    assert f"{where} '{SHARD}'" in command("retry", result.id, code=1)
    for verb in ("--cancel", "--retry"):
        assert f"{where} '{SHARD}'" in command("workflows", workflow.id, verb, code=1)
