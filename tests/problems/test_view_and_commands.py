"""What web servers and the command line say of how it is."""

import json
import threading
from contextlib import ExitStack
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import RequestFactory

from taskworks import control
from taskworks.health import views
from taskworks.management import top_command
from taskworks.models import TaskRun
from taskworks.problems import Problem, Severity, looking
from taskworks.statistics import gauges
from taskworks.statistics.compaction import unix_time
from taskworks.store import Store
from tests.connections import begin_elsewhere
from tests.problems.conftest import Enqueue, Register
from tests.problems.test_databases import _connecting
from tests.statistics.conftest import Flushed

NOWHERE = (
    {"NAME": "/no/such/folder/db"}
    if connection.vendor == "sqlite"
    else {"HOST": "127.0.0.1", "PORT": "1"}
)


@pytest.fixture(autouse=True)
def _no_answers() -> None:
    views._answers.clear()


def asked(query: str = "") -> Any:
    return views.health(RequestFactory().get(f"/health/{query}"))


def taskworks(*arguments: str) -> str:
    output = StringIO()
    call_command("taskworks", *arguments, stdout=output)
    return output.getvalue()


def failing(code: int, *arguments: str) -> tuple[str, str]:
    output = StringIO()
    with pytest.raises(CommandError) as error:
        call_command("taskworks", *arguments, stdout=output)
    assert error.value.returncode == code
    return output.getvalue(), str(error.value)


def test_the_view_says_whether_runs_are_executed(enqueue: Enqueue, register: Register) -> None:
    assert (asked().status_code, asked().content) == (200, b"healthy\n")
    assert "no-cache" in asked().headers["Cache-Control"]
    enqueue(2, 'se"cret')
    assert asked().status_code == 200  # the answer of a moment ago
    views._answers.clear()
    answer = asked("?verbose")
    assert answer.status_code == 503
    assert json.loads(answer.content) == {
        "healthy": False,
        "checks": {"database": "ok", "unmigrated": "ok", "queue_without_worker": "problem"},
    }
    register()
    views._answers.clear()
    assert asked().status_code == 200
    assert views.health(RequestFactory().post("/health/")).status_code == 405


def test_the_view_of_a_database_that_is_down() -> None:
    with _connecting(**NOWHERE):
        answer = asked("?verbose")
    assert answer.status_code == 503
    assert json.loads(answer.content)["checks"]["database"] == "problem"
    assert "such" not in answer.content.decode()


def test_one_thread_asks_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()
    calls: list[None] = []

    def slow(alias: str) -> dict[str, str]:
        calls.append(None)
        begun.set()
        go_on.wait(60)
        return {"database": "ok"}

    monkeypatch.setattr(views, "_asked", slow)
    monkeypatch.setattr(views, "KEPT_FOR", -1.0)
    go_on.set()
    asked()
    go_on.clear()
    begun.clear()
    first = begin_elsewhere(asked)
    begun.wait(60)
    for _ in range(3):
        assert asked().status_code == 200  # with the answer before
    go_on.set()
    first.result(60)
    assert len(calls) == 2


def test_the_command_has_three_answers(enqueue: Enqueue, register: Register, store: Store) -> None:
    assert taskworks("health") == "Nothing is wrong.\n"
    assert json.loads(taskworks("health", "--json")) == {
        "healthy": True,
        "problems": [],
        "unknown": [],
    }
    control.pause("imports", reason="They are down.", by="anna")
    assert "NOTICE paused: The queue 'imports'" in taskworks("health", "--quick")
    enqueue(3, ago=125)
    output, error = failing(1, "health")
    assert error == "Not healthy: 1 problem."
    first, remedy, page, *_ = output.splitlines()
    assert first.startswith(
        "CRITICAL queue_without_worker: No living worker takes the queue 'mail'"
    )
    assert remedy == "    Start a worker: manage.py taskworks worker --queues mail"
    assert page.endswith("problems.html#queue-without-worker")
    output, _ = failing(1, "health", "--json")
    told = json.loads(output)
    assert (told["healthy"], [one["id"] for one in told["problems"]]) == (
        False,
        ["queue_without_worker", "paused"],
    )
    with _connecting(**NOWHERE):
        _, error = failing(2, "health")
    assert error.startswith("Nobody can tell. The database 'default' cannot be reached: ")


def test_warnings_and_what_is_unknown(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    warning = Problem("slow", Severity.WARNING, "it", "It is slow.", "Wait.")
    monkeypatch.setattr(looking, "RULES", (looking.Rule("slow", lambda s: [warning], "slow"),))
    failing(1, "health")
    assert "WARNING slow: It is slow." in taskworks("health", "--critical")

    def broken(situation: Any) -> Any:
        raise KeyError("it")

    monkeypatch.setattr(looking, "RULES", (looking.Rule("broken", broken, "broken"),))
    output, error = failing(2, "health")
    assert "UNKNOWN broken has failed: KeyError('it')" in output
    assert error == "Some of it could not be found out."


def test_status_names_what_is_wrong(register: Register, store: Store) -> None:
    register("old", started=9000, release="v1")
    register("new", started=4000, release="v2")
    output = taskworks("status")
    assert "WARNING worker_of_another_release: One living worker runs the release 'v1'" in output
    [told] = json.loads(taskworks("status", "--json"))["problems"]
    assert told["id"] == "worker_of_another_release"


@pytest.fixture
def an_hour(
    store: Store, monkeypatch: pytest.MonkeyPatch, enqueue: Enqueue, flushed: Flushed
) -> None:
    """320 runs waited a quarter of an hour ago, and 220 do now."""
    now = unix_time(store)
    enqueue(320, ago=900)
    monkeypatch.setattr(gauges, "unix_time", lambda store: now - 10 * 60)
    gauges.sample(store)
    monkeypatch.setattr(gauges, "unix_time", lambda store: now)
    ids = TaskRun.objects.values_list("id", flat=True)[:100]
    TaskRun.objects.filter(id__in=[*ids]).delete()
    flushed(ago=300, successful=297, failed=3, attempts=300, took=[2.0] * 300)


@pytest.mark.usefixtures("an_hour")
def test_queues_say_until_when(register: Register, enqueue: Enqueue) -> None:
    register(queues=["mail"], slots={"thread": 4})
    enqueue(2, "lonely")
    control.pause("imports", by="anna")
    title, *rows = taskworks("queues").splitlines()
    assert title.split()[:3] == ["BACKEND", "QUEUE", "READY"]
    by_name = {row.split()[1]: row for row in rows}
    assert by_name["lonely"].endswith("no living worker takes it")
    assert by_name["imports"].endswith("paused by anna.")
    assert by_name["mail"].split()[2] == "220"
    assert "empty in" in by_name["mail"]
    assert "1.0%" in by_name["mail"]
    found = {one["queue_name"]: one for one in json.loads(taskworks("queues", "--json"))}
    mail = found["mail"]
    assert (mail["ready"], mail["slots"], mail["finished_per_minute"]) == (220, 4, 20.0)
    assert mail["failure_share"] == pytest.approx(0.01)
    # Ten minutes ago there were 100 more; some 190 have ended since, so 90 were enqueued.
    assert 1200 < mail["empty_in_seconds"] < 1500
    assert found["imports"]["paused"] is True


def test_queues_without_statistics(enqueue: Enqueue, settings: Any) -> None:
    assert taskworks("queues") == "Nothing waits or runs in any queue.\n"
    settings.TASKWORKS = {**settings.TASKWORKS, "STATISTICS": False}
    enqueue(2)
    [told] = json.loads(taskworks("queues", "--json"))
    assert (told["ready"], told["empty_in_seconds"], told["more_slots"]) == (2, None, None)
    assert taskworks("queues").splitlines()[1].endswith("no living worker takes it")


def test_top_shows_everything_once_where_there_is_no_terminal(
    enqueue: Enqueue, register: Register
) -> None:
    assert "Nothing is wrong." in taskworks("top")
    enqueue(3, "mail\n")
    register("web-1", ago=300, queues=["mail\n"])
    output = taskworks("top", "--once")
    assert "CRITICAL No living worker takes the queue 'mail\\n'" in output
    assert "web-1" in output
    assert "\x1b" not in output
    with _connecting(**NOWHERE), pytest.raises(CommandError, match="cannot be reached"):
        taskworks("top")


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_top_is_live_and_waits_for_an_outage_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    output = Terminal()
    outage = ExitStack()

    def between_two_looks(seconds: float) -> None:
        assert seconds == 0.5
        if output.getvalue().count(top_command.CLEAR) == 2:
            outage.close()
            raise KeyboardInterrupt
        outage.enter_context(_connecting(**NOWHERE))

    monkeypatch.setattr(top_command.time, "sleep", between_two_looks)
    call_command("taskworks", "top", "--interval", "0.1", stdout=output)
    first, second = output.getvalue().split(top_command.CLEAR)[1:]
    assert "Nothing is wrong." in first
    assert second.startswith("The database 'default' cannot be reached: ")
