"""What people do is done in the right databases: in those that are meant, and in no other."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.db import Error as DatabaseError
from django.db import connections
from django.test import Client

from taskworks import control, task
from taskworks.actions import bulk as bulk_actions
from taskworks.actions import clearing, scopes
from taskworks.database.shards import using
from taskworks.meant_database import in_force
from taskworks.models import FailureGroup, Limit, Pause, Schedule, TaskRun
from taskworks.signals import task_cancelled, task_enqueued
from taskworks.store import store
from tests import (
    limited,  # noqa: F401 - it declares limits
    tasks,
)
from tests.database.errors import take_too_long
from tests.schedules.test_admin import GOOD
from tests.shards.backends import SHARD
from tests.shards.several import down, without_a_table
from tests.shards.test_faces import command
from tests.shards.test_runs import bulk

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", SHARD])

BOTH = ["default", SHARD]
PAUSES = "/admin/taskworks/pause/"
NARROW = "/admin/taskworks/limit/narrow/change/"
NOOP = "tests.tasks.noop"


@pytest.fixture(autouse=True)
def _site(settings: Any) -> None:
    settings.ROOT_URLCONF = "tests.shards.urls"


def paused() -> dict[str, list[str]]:
    """The names of what is paused, in each database."""
    return {alias: sorted(paused_in(alias)) for alias in BOTH}


def paused_in(alias: str) -> list[str]:
    return [*Pause.objects.using(alias).values_list("name", flat=True)]


NOTHING: dict[str, list[str]] = {"default": [], SHARD: []}


class TestCtrlC:
    """It stops a command, which does not go on with the next database."""

    @pytest.fixture(autouse=True)
    def _runs(self) -> None:
        tasks.noop.enqueue()
        bulk(tasks.noop).enqueue()

    @pytest.mark.parametrize("more", [(), ("--json",)], ids=str)
    @pytest.mark.parametrize(
        "arguments",
        [("cancel", "--state", "ready"), ("clear", "--task", NOOP, "--no-input")],
        ids=lambda given: given[0],
    )
    def test_nothing_is_done_in_the_others(
        self, arguments: tuple[str, ...], more: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pressed: list[Any] = []

        def once(real: Callable[[Any], Any]) -> Callable[[Any], Any]:
            def interrupted(given: Any) -> Any:
                if not pressed:
                    pressed.append(given)
                    raise KeyboardInterrupt
                return real(given)

            return interrupted

        monkeypatch.setattr(bulk_actions, "act_on_all", once(bulk_actions.act_on_all))
        monkeypatch.setattr(clearing, "clear", once(clearing.clear))
        said = command(*arguments, *more, code=130)
        assert f"{SHARD}: Not begun." in said
        assert "default: Stopped." in said
        assert [TaskRun.objects.using(one).ready().count() for one in BOTH] == [1, 1]


class TestQueues:
    """A queue is in the database of its backend, whatever surrounds who acts on it."""

    @pytest.mark.parametrize("action", ["pause", "resume", "clear", "drain"])
    def test_a_command_for_another_database_is_refused(self, action: str) -> None:
        bulk(tasks.noop, queue_name="mail").enqueue()
        named = ("mail", "--backend", "bulk", "--database", "default")
        more = {"clear": ["--no-input"], "drain": ["--timeout", "1"]}.get(action, [])
        said = command(action, *named, *more, code=2)
        assert f"is in the database '{SHARD}', not in 'default'" in said
        assert paused() == NOTHING
        assert TaskRun.objects.using(SHARD).ready().count() == 1

    def test_so_is_a_form_of_another_one_s_page(self, root: Client) -> None:
        queue = {"queue": "mail", "backend": "bulk", "next": "/dashboard/queues/"}
        control.pause("mail", backend="bulk")
        for action in ("pause", "resume", "clear"):
            root.post(f"/dashboard/queues/{action}/", queue)
            said = root.get("/dashboard/queues/").content.decode()
            assert f"is in the database &#x27;{SHARD}&#x27;" in said
        assert paused() == {"default": [], SHARD: ["mail"]}

    def test_code_in_a_block_of_another_database(self) -> None:
        with using("default"):
            control.pause("mail", backend="bulk")
            assert paused() == {"default": [], SHARD: ["mail"]}
            assert control.resume("mail", backend="bulk")
        assert paused() == NOTHING

    def test_one_of_a_backend_that_is_gone_is_resumed_wherever_it_is(self) -> None:
        Pause.objects.using(SHARD).create(
            kind="queue", name="mail", backend="gone", at=store(SHARD).read_clock()
        )
        assert control.resume("mail", backend="gone")
        assert paused() == NOTHING

    def test_so_does_a_command(self) -> None:
        Pause.objects.using(SHARD).create(
            kind="queue", name="mail", backend="gone", at=store(SHARD).read_clock()
        )
        command("resume", "mail", "--backend", "gone")
        assert paused() == NOTHING

    def test_runs_of_a_backend_that_is_gone_are_found_wherever_they_are(self) -> None:
        result = bulk(tasks.noop).enqueue()
        TaskRun.objects.using(SHARD).update(backend="gone")
        assert result.id in command("list", "--backend", "gone")
        assert control.preview_runs("cancel", backend="gone").count == 1


@task(backend="immediate")
def pause_noop() -> None:
    control.pause(task=tasks.noop)


def test_a_task_that_a_command_executes_at_once_knows_nothing_of_its_database() -> None:
    command("run", f"{__name__}.pause_noop")
    assert paused() == {alias: [NOOP] for alias in BOTH}


def test_receivers_know_nothing_of_the_database_of_a_command() -> None:
    def pause(**given: Any) -> None:
        control.pause(task=tasks.add)
        control.pause("mail", backend="bulk")

    result = tasks.noop.enqueue()
    task_cancelled.connect(pause)
    try:
        command("cancel", result.id)
    finally:
        task_cancelled.disconnect(pause)
    assert paused() == {"default": ["tests.tasks.add"], SHARD: ["mail", "tests.tasks.add"]}


@pytest.mark.parametrize("backend", ["default", "bulk", "dummy", "immediate"])
def test_receivers_know_nothing_of_the_database_of_a_page(backend: str) -> None:
    heard = list[str | None]()

    def hear(**given: Any) -> None:
        heard.append(in_force.get())

    task_enqueued.connect(hear)
    try:
        with using(SHARD):
            tasks.noop.using(backend=backend).enqueue()
    finally:
        task_enqueued.disconnect(hear)
    assert heard == [None]


class TestAdmin:
    def test_what_is_paused_in_all_is_resumed_in_all(self, root: Client) -> None:
        root.post(f"{PAUSES}add/", form(kind="task", name=NOOP))
        assert paused() == {"default": [NOOP], SHARD: [NOOP]}
        pause = Pause.objects.using("default").get()
        root.post(f"{PAUSES}{pause.pk}/delete/", {"post": "yes"})
        assert paused() == NOTHING

    def test_queues_of_other_databases_are_not_offered(self, root: Client) -> None:
        page = root.post(f"{PAUSES}add/", form(kind="queue", name="a", backend="bulk"))
        assert "bulk is not one of the available choices" in page.content.decode()
        assert paused() == NOTHING

    def test_a_queue_whose_backend_has_moved_is_resumed_where_the_row_is(
        self, root: Client, settings: Any
    ) -> None:
        pause = control.pause("mail", backend="other")
        settings.TASKS = {**settings.TASKS, "other": settings.TASKS["bulk"]}
        root.post(f"{PAUSES}{pause.pk}/delete/", {"post": "yes"})
        assert paused() == NOTHING

    def test_a_key_is_refused_for_which_another_database_has_no_room(
        self, root: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(scopes, "MAX_PAUSED_KEYS", 1)
        with using(SHARD):
            control.pause(limit="intake", key="1")
        page = root.post(f"{PAUSES}add/", form(kind="limit", name="intake", key="2"))
        assert "1 keys of the limit &#x27;intake&#x27; are paused" in page.content.decode()
        assert paused() == {"default": [], SHARD: ["intake"]}

    def test_a_number_is_refused_that_does_not_fit_in_another_database(self) -> None:
        limit("default", rate="100/m", burst=5)
        limit(SHARD, rate="1/d", burst=5)
        with pytest.raises(ValueError, match="burst of the limit 'narrow' must be fewer"):
            control.change_limit("narrow", burst=1_000_000)
        assert {Limit.objects.using(one).get(name="narrow").burst for one in BOTH} == {5}

    def test_each_database_gets_the_numbers_of_the_page(self, root: Client) -> None:
        limit("default", rate="100/m", burst=5)
        limit(SHARD, rate="1/d", burst=5)
        root.post(NARROW, {"at_once": "2", "rate": "100/m", "burst": "5"})
        for alias in BOTH:
            assert Limit.objects.using(alias).get(name="narrow").rate == "100/m"

    def test_a_schedule_that_is_stored_elsewhere_is_not_linked(
        self, root: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tasks, "noop", bulk(tasks.noop))
        given = {**GOOD, "callable": NOOP, "args": "[]"}
        page = root.post("/admin/taskworks/schedule/add/", given, follow=True)
        assert page.redirect_chain == [("/admin/taskworks/schedule/", 302)]
        assert f"added in the database &#x27;{SHARD}&#x27;" in page.content.decode()
        assert Schedule.objects.using(SHARD).get().label == "mine"
        assert LogEntry.objects.get().object_id is None


def form(**given: str) -> dict[str, str]:
    empty = {"backend": "default", "key": "", "reason": "", "until_0": "", "until_1": ""}
    return {**empty, **given}


@pytest.fixture(params=BOTH)
def silent(request: Any) -> Any:
    """The database that does not answer."""
    return request.param


class TestOneThatDoesNotAnswer:
    """It is done in the other, and the error is raised."""

    @pytest.mark.parametrize("until", [None, timedelta(hours=1)], ids=str)
    def test_pause_and_resume(self, silent: str, until: timedelta | None) -> None:
        up = {alias: [NOOP] for alias in BOTH if alias != silent}
        with down(silent), pytest.raises(DatabaseError):
            control.pause(task=tasks.noop, until=until)
        assert paused() == {**NOTHING, **up}
        with down(silent), pytest.raises(DatabaseError):
            control.resume(task=tasks.noop)
        assert paused() == NOTHING

    def test_a_limit(self, silent: str) -> None:
        for alias in BOTH:
            limit(alias)
        with down(silent), pytest.raises(DatabaseError):
            control.change_limit("narrow", at_once=5)
        numbers = {one: Limit.objects.using(one).get(name="narrow").at_once for one in BOTH}
        assert numbers == {one: 2 if one == silent else 5 for one in BOTH}

    def test_a_limit_by_a_command(self, silent: str) -> None:
        for alias in BOTH:
            limit(alias)
        with down(silent):
            said = command("limits", "narrow", "--at-once", "5", code=1)
        assert f"The database '{silent}' cannot be reached" in said
        numbers = {one: Limit.objects.using(one).get(name="narrow").at_once for one in BOTH}
        assert numbers == {one: 2 if one == silent else 5 for one in BOTH}

    def test_a_group_of_failures_by_a_command(self, silent: str) -> None:
        for alias in BOTH:
            group(alias)
        with down(silent):
            said = command("failures", "0123456789abcdef", "--mute-until", "3600", code=1)
        assert f"The database '{silent}' cannot be reached" in said

    def test_a_group_of_failures(self, silent: str) -> None:
        for alias in BOTH:
            group(alias)
        with down(silent):
            for change in (
                lambda: control.annotate_failures("0123456789abcdef", "known"),
                lambda: control.mute_failures("0123456789abcdef", until=timedelta(hours=1)),
                lambda: control.retry_failures("0123456789abcdef"),
            ):
                with pytest.raises(DatabaseError):
                    change()
        for alias in BOTH:
            row = FailureGroup.objects.using(alias).get()
            assert (row.note == "known", row.muted_until is not None) == (alias != silent,) * 2


@pytest.fixture
def user(root: Client) -> Client:
    """Somebody who is shown whatever the admin answers."""
    root.raise_request_exception = False
    return root


NOT_DONE = (
    f"The database {SHARD} does not answer, and nothing was done there. Repeat this when it does."
)
UNKNOWN = "A database that has to be asked does not answer: "


class TestAnAdminWithASilentShard:
    """It is done in the first database, and the shard is named."""

    def test_pause(self, user: Client) -> None:
        def pause() -> str:
            page = user.post(f"{PAUSES}add/", form(kind="task", name=NOOP), follow=True)
            return page.content.decode()

        with down(SHARD):
            assert NOT_DONE in pause()
            assert paused_in("default") == [NOOP]
        assert NOT_DONE not in pause()
        assert paused() == {"default": [NOOP], SHARD: [NOOP]}

    @pytest.mark.parametrize("way", ["page", "action"])
    def test_resume(self, user: Client, way: str) -> None:
        paused_here = control.pause(task=tasks.noop)
        address = PAUSES if way == "action" else f"{PAUSES}{paused_here.pk}/delete/"
        chosen = {"action": "delete_selected", "_selected_action": str(paused_here.pk)}

        def resume() -> str:
            return user.post(address, {"post": "yes", **chosen}, follow=True).content.decode()

        with down(SHARD):
            said = resume()
            assert NOT_DONE in said
            assert "stays paused here until all databases have resumed it" in said
            assert "uccessfully" not in said
            assert paused_in("default") == [NOOP]
            assert not LogEntry.objects.exists()
        said = resume()
        assert ("uccessfully" in said, NOT_DONE in said) == (True, False)
        assert paused() == NOTHING
        assert LogEntry.objects.get().object_id == str(paused_here.pk)

    def test_what_can_be_resumed_is(self, user: Client) -> None:
        both = [control.pause(task=tasks.noop), control.pause("mail")]
        chosen = {"action": "delete_selected", "_selected_action": [str(one.pk) for one in both]}
        with down(SHARD):
            page = user.post(PAUSES, {"post": "yes", **chosen}, follow=True)
        assert NOT_DONE in page.content.decode()
        assert paused() == {"default": [NOOP], SHARD: [NOOP]}
        assert LogEntry.objects.get().object_id == str(both[1].pk)

    def test_one_that_answers_with_an_error_is_told_apart(self, user: Client) -> None:
        with without_a_table(SHARD, "taskworks_pause"):
            page = user.post(f"{PAUSES}add/", form(kind="task", name=NOOP), follow=True)
        said = page.content.decode()
        assert f"In the database {SHARD} this has failed, and nothing was done there: " in said
        assert NOT_DONE not in said
        assert paused() == {"default": [NOOP], SHARD: []}

    def test_what_may_be_in_the_shard_alone(self, user: Client) -> None:
        with down(SHARD):
            page = user.post(f"{PAUSES}add/", form(kind="task", name="tests.tasks.gone"))
        assert (page.status_code, UNKNOWN in page.content.decode()) == (200, True)
        assert paused() == NOTHING

    def test_an_error_of_the_shard_is_not_called_silence(self, user: Client) -> None:
        with without_a_table(SHARD):
            page = user.post(f"{PAUSES}add/", form(kind="task", name="tests.tasks.gone"))
        assert (page.status_code, UNKNOWN in page.content.decode()) == (500, False)
        assert paused() == NOTHING

    def test_a_limit(self, user: Client) -> None:
        for alias in BOTH:
            limit(alias)

        def change() -> str:
            return user.post(NARROW, {"at_once": "5"}, follow=True).content.decode()

        with down(SHARD):
            for _again in range(2):
                assert NOT_DONE in change()
        assert at_once() == {"default": 5, SHARD: 2}
        assert NOT_DONE not in change()
        assert at_once() == {"default": 5, SHARD: 5}

    def test_a_schedule_of_the_shard(self, user: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tasks, "noop", bulk(tasks.noop))
        given = {**GOOD, "callable": NOOP, "args": "[]"}
        with down(SHARD):
            page = user.post("/admin/taskworks/schedule/add/", given)
        assert (page.status_code, UNKNOWN in page.content.decode()) == (200, True)
        assert not Schedule.objects.using(SHARD).exists()


class TestAPageOfADatabaseThatAnswers:
    """With an error, which is not hidden; or that it has given up, which is told."""

    @pytest.mark.parametrize("page", ["/admin/taskworks/limit/", "/dashboard/limits/"])
    def test_a_missing_table_is_an_error(self, user: Client, page: str) -> None:
        with without_a_table("default", "taskworks_limit"):
            answer = user.get(page)
        assert answer.status_code == 500
        assert "does not answer" not in answer.content.decode()

    @pytest.mark.parametrize(
        ("page", "table"),
        [("/admin/taskworks/limit/", "taskworks_limit"), ("/dashboard/limits/", "auth_user")],
    )
    def test_a_statement_that_is_given_up_takes_too_long(
        self, user: Client, page: str, table: str
    ) -> None:
        def slow(execute: Any, sql: str, *more: Any) -> Any:
            if table in sql:
                take_too_long("default")
            return execute(sql, *more)

        with connections["default"].execute_wrapper(slow):
            answer = user.get(page)
        text = answer.content.decode()
        assert (answer.status_code, "This takes too long" in text) == (503, True)
        assert "does not answer" not in text


class TestAnAdminWhoseDatabaseIsSilent:
    """The users are in another one."""

    @pytest.fixture(autouse=True)
    def _first(self, settings: Any) -> None:
        bulk, default = settings.TASKS["bulk"], settings.TASKS["default"]
        settings.TASKS = {**settings.TASKS, "default": {**default, "OPTIONS": bulk["OPTIONS"]}}

    @pytest.mark.parametrize(
        "page",
        [
            *["taskrun/", "worker/", "pause/", "limit/", "schedule/", "workflow/"],
            *[f"taskrun/{uuid4()}/change/", "limit/intake/change/", "schedule/1/delete/"],
            f"pause/{uuid4()}/history/",
        ],
    )
    def test_each_page_says_so(self, user: Client, page: str) -> None:
        with down(SHARD):
            answer = user.get(f"/admin/taskworks/{page}")
        text = answer.content.decode()
        assert (answer.status_code, "The database does not answer" in text) == (503, True)
        assert f"that of the database {SHARD}. The dashboard shows default." in text

    def test_nothing_can_be_done(self, user: Client) -> None:
        with down(SHARD):
            page = user.post(f"{PAUSES}add/", form(kind="task", name=NOOP))
            assert (page.status_code, UNKNOWN in page.content.decode()) == (200, True)
            for place in (f"taskrun/{uuid4()}/action/cancel", f"workflow/{uuid4()}/retry-from"):
                assert user.post(f"/admin/taskworks/{place}/").status_code == 503
        assert paused() == NOTHING

    def test_pages_without_it_are_shown(self, user: Client) -> None:
        with down(SHARD):
            for page in ("", "taskworks/", "taskworks/pause/add/", "taskworks/schedule/add/"):
                assert user.get(f"/admin/{page}").status_code == 200


class TestOneThatRefuses:
    def test_a_pause_that_one_has_no_room_for_is_nowhere(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(scopes, "MAX_PAUSED_KEYS", 1)
        with using(SHARD):
            control.pause(limit="intake", key="1")
        with pytest.raises(ValueError, match="1 keys of the limit 'intake' are paused"):
            control.pause(limit="intake", key="2")
        assert paused() == {"default": [], SHARD: ["intake"]}

    @pytest.mark.parametrize("alias", BOTH)
    def test_a_limit_that_only_one_has_is_changed_there(self, alias: str) -> None:
        limit(alias)
        changed = control.change_limit("narrow", at_once=5)
        assert (changed.at_once, changed._state.db) == (5, alias)
        with pytest.raises(ValueError, match=f"in the database 'default' or '{SHARD}'"):
            control.change_limit("narow", at_once=5)

    @pytest.mark.parametrize("alias", BOTH)
    def test_so_it_is_by_a_command(self, alias: str) -> None:
        limit(alias)
        assert "narrow" in command("limits", "narrow", "--at-once", "5")
        assert Limit.objects.using(alias).get(name="narrow").at_once == 5
        assert "There is no limit 'narow'" in command("limits", "narow", code=2)

    @pytest.mark.parametrize("alias", BOTH)
    def test_so_is_a_group_of_failures(self, alias: str) -> None:
        group(alias)
        assert control.annotate_failures("0123456789abcdef", "known")._state.db == alias
        assert control.retry_failures("0123456789abcdef").retried == 0
        for change in (control.retry_failures, lambda one: control.annotate_failures(one, "a")):
            with pytest.raises(ValueError, match="no group of failures 'fedc'"):
                change("fedc")


def limit(alias: str, **numbers: Any) -> None:
    numbers = {"at_once": 2, **numbers}
    Limit.objects.using(alias).create(name="narrow", **numbers, declared=numbers)


def at_once() -> dict[str, int | None]:
    return {one: Limit.objects.using(one).get(name="narrow").at_once for one in BOTH}


def group(alias: str) -> None:
    now = store(alias).read_clock()
    FailureGroup.objects.using(alias).create(
        fingerprint="0123456789abcdef", sample=uuid4(), first_at=now, last_at=now
    )


class TestAudit:
    def test_another_database_s_row_is_named_and_in_no_history(
        self, root: Client, caplog: pytest.LogCaptureFixture
    ) -> None:
        control.pause("mail")  # which has the number that the other one will have
        caplog.set_level("INFO", "taskworks.audit")
        queue = {"queue": "mail", "backend": "bulk"}
        root.post(f"/dashboard/database/{SHARD}/queues/pause/", queue)
        [entry] = LogEntry.objects.all()
        assert entry.object_id is None
        assert entry.object_repr.endswith(f", in the database {SHARD}")
        assert f"in the database {SHARD})" in caplog.text

    def test_one_of_the_first_is_in_its_own(self, root: Client) -> None:
        root.post("/dashboard/queues/pause/", {"queue": "mail", "backend": "default"})
        [entry] = LogEntry.objects.all()
        assert entry.object_id == str(Pause.objects.using("default").get().pk)
        assert "in the database" not in entry.object_repr
