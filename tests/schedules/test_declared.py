"""``@cron`` and ``@every``: declared in code, rows in the database, and a person's changes kept."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.apps import apps
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from taskworks import discovery, task
from taskworks.models import Schedule
from taskworks.schedules import cron, every, sync
from taskworks.timetables.declared import declarations, refused
from tests.schedules import shelf
from tests.tasks import echo, noop, send_mail
from tests.typed.declared import Sum

ADD = "tests.schedules.shelf.add"


@pytest.fixture(autouse=True)
def _no_other_declarations() -> Iterator[None]:
    before, before_refused = {**declarations}, {**refused}
    declarations.clear()
    refused.clear()
    yield
    for registry, content in ((declarations, before), (refused, before_refused)):
        registry.clear()
        registry.update(content)


def deploy(*declared: Any) -> None:
    """New code is started: ``(decorator, task)`` are all that it declares."""
    declarations.clear()
    for decorator, decorated in declared:
        decorator(decorated)
    sync.synchronize()


def only() -> Schedule:
    return Schedule.objects.get()


@pytest.mark.any_database
class TestDeclaring:
    def test_gives_the_task_back(self) -> None:
        assert cron("*/5 * * * *")(shelf.add) is shelf.add
        assert every(minutes=5, label="again")(shelf.add) is shelf.add
        assert [*declarations] == [ADD, "again"]

    def test_may_be_above_the_class_of_a_typed_task(self) -> None:
        assert cron("@daily", kwargs={"numbers": [1]})(Sum) is Sum
        assert declarations["tests.typed.declared.Sum.task"].task is Sum.task

    @pytest.mark.parametrize(
        ("given", "interval"),
        [
            ({"minutes": 5}, timedelta(minutes=5)),
            ({"hours": 1, "seconds": 30}, timedelta(hours=1, seconds=30)),
            ({"interval": 90}, timedelta(seconds=90)),
            ({"interval": timedelta(days=2)}, timedelta(days=2)),
        ],
    )
    def test_every_takes_an_interval(self, given: Any, interval: timedelta) -> None:
        every(**given)(shelf.add)
        assert declarations[ADD].columns["interval"] == interval

    @pytest.mark.parametrize(
        ("decorator", "reason"),
        [
            (lambda: cron("* * *"), "3 fields"),
            (lambda: cron("61 * * * *"), "'61' is not a valid minute"),
            (lambda: cron("0 0 30 2 *"), "never comes"),
            (lambda: cron(""), "must be a string"),
            (lambda: cron(None), "must be a string"),  # type: ignore[arg-type]
            (lambda: cron("@hourly", timezone="Mars/Olympus"), "not a time zone"),
            (lambda: cron("@hourly", allow_overlap=1), "must be True or False"),
            (lambda: cron("@hourly", userdata=[]), "Userdata must be a dictionary"),
            (lambda: cron("@hourly", queue_name="nowhere"), "nowhere"),
            (lambda: cron("@hourly", timeout=-1), "timeout"),
            (every, "takes either an interval"),
            (lambda: every(5, minutes=5), "takes either an interval"),
            (lambda: every(seconds=0), "at least one second"),
            (lambda: every(minutes="5"), "not an interval"),
            (lambda: every("5m"), "must be a timedelta"),  # type: ignore[arg-type]
        ],
    )
    def test_refuses_bad_input_naming_the_task(self, decorator: Any, reason: str) -> None:
        with pytest.raises((ValueError, TypeError), match=reason) as error:
            decorator()(shelf.add)
        assert ADD in str(error.value)
        assert not declarations
        assert [str(error.value)] == [m.msg for m in run_checks() if m.id == "taskworks.E050"]

    @pytest.mark.parametrize(
        ("decorator", "reason"),
        [
            (lambda: cron("@hourly", overlp="skip"), r"'overlp'\. Did you mean 'overlap'\?"),
            (lambda: cron("@hourly", lable="x"), r"'lable'\. Did you mean 'label'\?"),
            (
                lambda: cron("@hourly", max_attemps=3),
                r"'max_attemps'\. Did you mean 'max_attempts'",
            ),
            (lambda: every(minute=5), r"'minute'\. Did you mean 'minutes'\?"),
            (
                lambda: cron("@hourly", xyz=3),
                r"'xyz'\. A schedule has .*, label, .*\. A task has .*, timeout, ",
            ),
        ],
    )
    def test_refuses_an_option_that_there_is_not(self, decorator: Any, reason: str) -> None:
        with pytest.raises(TypeError, match=f"neither a schedule nor its task has .* {reason}"):
            decorator()(shelf.add)

    @pytest.mark.parametrize("given", [shelf.hear, shelf.Horn, "tests.tasks.noop"])
    def test_refuses_what_is_no_task(self, given: Any) -> None:
        with pytest.raises(TypeError, match="Put @task below"):
            cron("@hourly")(given)

    def test_refuses_a_label_twice(self) -> None:
        cron("@hourly", label="mine")(shelf.add)
        with pytest.raises(ValueError, match="'mine' is that of another"):
            cron("@daily", label="mine")(noop)
        with pytest.raises(ValueError, match="of its own"):
            cron("@daily", label="mine")(shelf.add)

    def test_a_module_may_be_read_again(self) -> None:
        cron("@hourly")(task(echo.func))
        cron("@daily")(task(echo.func))
        assert declarations["tests.tasks.echo"].columns["cron"] == "@daily"


@pytest.mark.django_db
class TestChecks:
    def ids(self) -> list[str | None]:
        return [message.id for message in run_checks() if str(message.id)[-3:-1] == "05"]

    def test_are_content_with_what_is_right(self) -> None:
        cron("@hourly")(shelf.add)
        assert self.ids() == []

    @pytest.mark.parametrize(
        "given",
        [
            {"iterations": -1},
            {"overlap": "never"},
            {"catch_up": -2},
            {"args": [1, 2, 3]},
            {"end_running": "tomorrow"},
        ],
    )
    def test_say_what_only_the_tables_know(self, given: dict[str, Any]) -> None:
        cron("@hourly", **given)(shelf.add)
        [message] = [m for m in run_checks() if m.id == "taskworks.E050"]
        assert next(iter(given)) in message.msg
        assert ADD in message.msg

    def test_say_that_a_task_cannot_be_found(self, monkeypatch: pytest.MonkeyPatch) -> None:
        gone = task(echo.func)
        monkeypatch.setattr("tests.tasks.echo", None)
        cron("@hourly")(gone)
        assert self.ids() == ["taskworks.E051"]

    def test_say_what_settings_allow_that_cannot_be_scheduled(self, settings: Any) -> None:
        allowed = ["tests.schedules.shelf.hear", "tests.schedules.shelf.of_two", "nowhere.f"]
        settings.TASKWORKS = {"SCHEDULE_CALLABLES": allowed}
        assert self.ids() == ["taskworks.E052"] * 2

    def test_say_which_stored_schedules_cannot_run_if_the_database_is_asked(self) -> None:
        Schedule(label="mine", path=ADD, cron="@daily").save()
        Schedule(label="off", path=ADD, cron="@daily", enabled=False).save()
        assert [m for m in run_checks(databases=["default"]) if m.id == "taskworks.W051"] == []
        Schedule.objects.update(path="tests.gone")
        [message] = [m for m in run_checks(databases=["default"]) if m.id == "taskworks.W051"]
        assert message.msg.startswith("The schedule 'mine' cannot fire: ")
        assert self.ids() == []

    def test_say_that_a_module_of_tasks_cannot_be_imported(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(discovery.failed, "shop.tasks", "ImportError: no")
        assert self.ids() == ["taskworks.W050"]


@pytest.mark.django_db(transaction=True)
class TestSynchronizing:
    def test_makes_a_row(self) -> None:
        before = timezone.now()
        deploy(
            (
                cron(
                    "0 3 * * *",
                    label="nightly",
                    timezone="America/New_York",
                    args=(1,),
                    kwargs={"b": 2},
                    queue_name="mail",
                    timeout=timedelta(minutes=1),
                    overlap="skip",
                    catch_up=3,
                    jitter=10,
                ),
                shelf.add,
            )
        )
        row = only()
        assert (row.label, row.path, row.kind, row.cron) == ("nightly", ADD, "task", "0 3 * * *")
        assert (row.args, row.kwargs, row.timezone) == ([1], {"b": 2}, "America/New_York")
        assert row.options == {"queue_name": "mail", "timeout": 60}
        assert (row.overlap, row.catch_up, row.jitter) == ("skip", 3, timedelta(seconds=10))
        assert row.next_run > before
        assert sync.changes(row) == {}

    def test_writes_nothing_if_all_is_as_it_was(self) -> None:
        declared = [
            (cron("*/5 * * * *", options={"priority": 3}), shelf.add),
            (every(minutes=5, end_running=timezone.now() + timedelta(days=1)), noop),
        ]
        deploy(*declared)
        with CaptureQueriesContext(connection) as queries:
            deploy(*declared)
        statements = [query["sql"].split()[0] for query in queries.captured_queries]
        assert {*statements} == {"SELECT"}

    def test_makes_no_row_of_what_is_over(self, caplog: pytest.LogCaptureFixture) -> None:
        now = timezone.now()
        deploy((every(minutes=5, end_running=now - timedelta(days=1)), shelf.add))
        deploy((cron("0 0 29 2 *", end_running=now + timedelta(seconds=1)), shelf.add))
        assert not Schedule.objects.exists()
        assert caplog.records == []

    def test_follows_the_code(self) -> None:
        deploy((cron("0 3 * * *"), shelf.add))
        before = only()
        deploy((every(hours=1, args=[5]), shelf.add))
        row = only()
        assert (row.pk, row.cron, row.interval) == (before.pk, "", timedelta(hours=1))
        assert row.args == [5]
        assert row.next_run - timezone.now() <= timedelta(hours=1)

    def test_keeps_and_shows_what_a_person_has_changed(self) -> None:
        deploy((cron("0 3 * * *", timezone="UTC"), shelf.add))
        row = only()
        row.cron = "0 4 * * *"
        row.save()
        deploy((cron("0 5 * * *", timezone="Europe/Berlin"), shelf.add))
        row = only()
        assert (row.cron, row.timezone) == ("0 4 * * *", "Europe/Berlin")
        assert sync.changes(row) == {"cron": "0 5 * * *"}
        row.cron = "0 5 * * *"
        row.save()
        assert sync.changes(only()) == {}
        deploy((cron("0 6 * * *", timezone="Europe/Berlin"), shelf.add))
        assert only().cron == "0 6 * * *"

    def test_keeps_what_a_person_has_disabled(self) -> None:
        deploy((cron("0 3 * * *"), shelf.add))
        row = only()
        row.enabled = False
        row.save()
        deploy((cron("0 4 * * *"), shelf.add))
        row = only()
        assert (row.cron, row.enabled, row.next_run) == ("0 4 * * *", False, None)
        assert sync.changes(row) == {"enabled": True}

    def test_disables_what_is_declared_no_more_and_enables_it_when_it_comes_back(self) -> None:
        deploy((cron("0 3 * * *"), shelf.add), (cron("0 3 * * *"), noop))
        deploy((cron("0 3 * * *"), noop))
        row = Schedule.objects.get(path=ADD)
        assert (row.enabled, row.next_run, sync.is_withdrawn(row)) == (False, None, True)
        assert Schedule.objects.get(path="tests.tasks.noop").enabled
        deploy((cron("0 4 * * *"), shelf.add), (cron("0 3 * * *"), noop))
        row = Schedule.objects.get(path=ADD)
        assert (row.enabled, sync.is_withdrawn(row), row.cron) == (True, False, "0 4 * * *")
        assert row.next_run is not None

    def test_does_not_enable_what_a_person_had_disabled_before_it_went(self) -> None:
        deploy((cron("0 3 * * *"), shelf.add))
        row = only()
        row.enabled = False
        row.save()
        deploy()
        deploy((cron("0 3 * * *"), shelf.add))
        assert not only().enabled

    def test_leaves_alone_what_a_person_enables_though_it_is_declared_no_more(self) -> None:
        deploy((cron("0 3 * * *"), shelf.add))
        deploy()
        row = only()
        row.enabled = True
        row.save()
        deploy()
        assert only().enabled

    def test_disables_nothing_while_a_module_of_tasks_cannot_be_imported(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        deploy((cron("0 3 * * *"), shelf.add))
        monkeypatch.setitem(discovery.failed, "tests.schedules.tasks", "ImportError: no")
        deploy()
        assert only().enabled
        monkeypatch.setattr(discovery, "failed", {"shop.tasks": "ImportError: no"})
        deploy()
        assert not only().enabled

    @pytest.mark.parametrize(
        ("path", "is_gone"),
        [
            ("tests.schedules.shelf.gone", True),
            ("tests.schedules.gone.add", True),
            ("gone.tasks.add", True),
            ("tests.schedules.shelf.horn", True),
            ("tests.schedules.broken.add", False),
        ],
    )
    def test_disables_what_is_gone_and_nothing_that_only_cannot_be_imported(
        self, path: str, is_gone: bool
    ) -> None:
        deploy((cron("0 3 * * *"), shelf.add))
        Schedule.objects.update(path=path)
        deploy()
        assert only().enabled is not is_gone

    def test_goes_on_if_no_worker_could_find_a_task(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        gone = task(echo.func)
        monkeypatch.setattr("tests.tasks.echo", None)
        deploy((cron("@hourly"), gone), (cron("@daily"), noop))
        assert only().path == "tests.tasks.noop"
        assert "'tests.tasks.echo' cannot be declared" in caplog.text

    def test_leaves_what_somebody_else_has_made(self, caplog: pytest.LogCaptureFixture) -> None:
        Schedule(label=ADD, path="tests.tasks.noop", cron="0 1 * * *").save()
        deploy((cron("0 3 * * *"), shelf.add))
        row = only()
        assert (row.path, row.cron, row.declared) == ("tests.tasks.noop", "0 1 * * *", None)
        assert "Give the declaration another label" in caplog.text

    def test_says_what_cannot_be_and_goes_on(self, caplog: pytest.LogCaptureFixture) -> None:
        deploy((cron("@hourly", iterations=-1), shelf.add), (cron("@daily"), noop))
        assert only().path == "tests.tasks.noop"
        assert "iterations" in caplog.text

    def test_by_many_workers_at_once(self) -> None:
        if connection.vendor == "sqlite" and connection.is_in_memory_db():
            pytest.skip("threads do not share it")
        for number, decorator in enumerate([cron("0 3 * * *"), cron("0 4 * * *", args=[1])]):
            declarations.clear()
            decorator(shelf.add)
            cron(f"{number} 3 * * *")(noop)
            cron(f"{number} 3 * * *", args=["a"])(send_mail)
            errors = at_once(8, sync.synchronize)
            assert errors == []
            assert Schedule.objects.count() == 3
            assert Schedule.objects.get(path=ADD).cron == f"0 {3 + number} * * *"
            assert not any(sync.changes(row) for row in Schedule.objects.all())
        declarations.clear()
        assert at_once(8, sync.synchronize) == []
        assert not Schedule.objects.filter(enabled=True).exists()

    def test_happens_on_migrate(self) -> None:
        cron("0 3 * * *")(shelf.add)
        call_command("migrate", verbosity=0, stdout=StringIO())
        assert only().label == ADD
        assert apps.get_app_config("taskworks")

    def test_happens_when_a_worker_starts(self) -> None:
        cron("0 3 * * *")(shelf.add)
        call_command("taskworks", "worker", "--batch", verbosity=0)
        assert only().label == ADD


def at_once(number: int, act: Any) -> list[BaseException]:
    """Have so many threads do it in the same moment, each with a connection of its own."""
    barrier, errors = threading.Barrier(number), []

    def run() -> None:
        try:
            barrier.wait(timeout=30)
            act()
        except BaseException as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return errors
