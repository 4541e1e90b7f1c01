"""The first page: what is wrong, what waits, and what became of runs."""

from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.http import HttpRequest
from django.test import Client
from django.test.utils import CaptureQueriesContext

from taskworks.dashboard import history, shared, snapshot
from taskworks.dashboard.history import About
from taskworks.models import Mark, Statistic, TaskRun, Worker
from taskworks.models.statistic import HOUR, MINUTE
from taskworks.problems import looking
from taskworks.statistics import reading
from taskworks.statistics.compaction import merge, unix_time
from taskworks.statistics.places import Place, with_wider
from taskworks.statistics.tally import Tally
from taskworks.store import store
from taskworks.store.counting import Counting
from taskworks.store.surveying import Surveying
from tests.dashboard.conftest import forget_everything, place
from tests.faces.conftest import MakeRun
from tests.shards.several import down

pytestmark = [pytest.mark.django_db, pytest.mark.thorough_on_servers]


def text_of(response: Any) -> str:
    assert response.status_code == 200, response.content.decode()
    return response.content.decode()


def count(
    minutes_ago: int,
    queue_name: str = "mail",
    task_path: str = "shop.tasks.send",
    *,
    seconds: int = MINUTE,
    backend: str = "default",
    **columns: Any,
) -> None:
    since = (unix_time(store()) - 60 * minutes_ago) // seconds * seconds
    place = Place(seconds, since, backend, queue_name, task_path)
    merge(store(), with_wider({place: Tally.of(Statistic(**columns))}))


def test_it_says_what_is_wrong_first(root: Client, make_run: MakeRun, worker: Worker) -> None:
    assert "Nothing is wrong." in text_of(root.get(place("overview")))
    run = make_run()
    TaskRun.objects.filter(id=run.id).update(
        queue_name="nobody", available_at=run.available_at - timedelta(minutes=5)
    )
    Worker.objects.update(queues=["mail"])
    forget_everything()
    text = text_of(root.get(place("overview")))
    assert "Nothing is wrong." not in text
    assert "nobody" in text
    assert text.index("nobody") < text.index("In hand")


def test_slots_are_busy_with_the_runs_that_are_in_hand_now(
    root: Client, make_run: MakeRun, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    Worker.objects.update(slots={"thread": 4}, busy=3)  # as of the last heartbeat
    make_run("running", claimed_by=worker.id)
    for page in ("overview", "workers"):
        assert "1 of 4" in text_of(root.get(place(page)))
    forget_everything()
    monkeypatch.setattr(Counting, "held", _slow)
    for page in ("overview", "workers"):
        assert "3 of 4" in text_of(root.get(place(page)))


def test_it_shows_what_became_of_runs(root: Client, worker: Worker) -> None:
    count(2, successful=37, failed=3, run_sum=80.0, run_max=9.5, runs="4:40", waits="-8:40")
    count(30, successful=20, queue_name="imports", task_path="shop.tasks.load", run_sum=1.0)
    Mark.objects.create(at=store().read_clock() - timedelta(minutes=10), label="release 77")
    text = text_of(root.get(place("overview")))
    assert "release 77" in text
    assert text.index("shop.tasks.send") < text.index("shop.tasks.load")  # by the time they take
    assert "8 %" in text or "7.5 %" in text  # of the queue's runs have failed
    assert "<title" in text
    assert "M" in text.split('class="tw-area-good" d="')[1]
    assert ">37<" not in text
    numbers = text.split('href="')
    [link] = [one.split('"')[0] for one in numbers if "numbers=throughput" in one.split('"')[0]]
    text = text_of(root.get(unescape(link)))
    assert ">37<" in text  # in the table below the chart
    assert "Hide the numbers" in text
    week = text_of(root.get(place("overview"), {"window": "7d"}))
    assert "Nothing was counted in this time." in week


def test_no_percentile_is_above_the_longest(root: Client, worker: Worker) -> None:
    count(2, successful=1, run_sum=15.0, run_max=15.0, runs="16:1")  # it ends at 16 s
    text = text_of(root.get(place("overview"), {"numbers": "run"}))
    assert "15.0 s" in text
    assert "15.7 s" not in text
    assert "16.0 s" not in text
    assert "15.7 s" not in text_of(root.get(place("queues")))


def test_pages_of_a_process_share_a_snapshot(
    root: Client, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    count_states = Counting.count_states

    def counted(self: Counting, most: int) -> Any:
        made.append(most)
        return count_states(self, most)

    monkeypatch.setattr(Counting, "count_states", counted)
    monkeypatch.setattr(snapshot._shared, "_seconds", 600.0)
    for name in ("overview", "queues", "workers", "overview"):
        root.get(place(name))
    assert len(made) == 1
    root.post(place("pause_queue"), {"queue": "mail", "backend": "default"})
    root.get(place("queues"))
    assert len(made) == 2  # whoever has acted sees what has changed


def test_twenty_tabs_ask_for_little_more_than_one(
    root: Client, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "_age", lambda made: 0.0)  # as fast as they would be asked
    asked = []
    for _ in range(20):
        with CaptureQueriesContext(connection) as captured:
            root.get(place("overview"), headers={"HX-Request": "true"})
        asked.append(sum("taskworks_" in query["sql"] for query in captured))
    assert asked[0] > 4  # what all of them share
    assert max(asked[1:]) == 0


def test_what_takes_too_long_is_left_out_and_said(
    root: Client, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(queue_name="mail")
    slow: Callable[..., Any] = _slow

    monkeypatch.setattr(Counting, "count_states", slow)
    text = text_of(root.get(place("overview")))
    assert "250 ms" in text
    assert "mail" in text  # what could be read is shown


def _slow(self: Any, *arguments: Any) -> Any:
    from tests.database.test_time_limit import SLOW

    return self._fetch(SLOW[self.connection.vendor], None)


@pytest.mark.any_database
def test_an_outage_is_a_sentence(root: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(self: Any) -> Any:
        raise OperationalError("could not connect to server: secret-host")

    monkeypatch.setattr(type(store()), "read_clock", away)
    response = root.get(place("overview"))
    assert response.status_code == 503
    text = response.content.decode()
    assert "The database does not answer" in text
    assert "secret-host" not in text
    assert root.get(place("overview"), headers={"HX-Request": "true"}).status_code == 503
    monkeypatch.undo()
    assert root.get(place("overview")).status_code == 200


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("rule", ["", f"{__name__}.may_everything"])
def test_an_outage_of_the_database_that_has_the_users_is_a_sentence(
    root: Client, settings: Any, rule: str
) -> None:
    settings.TASKWORKS = {**settings.TASKWORKS, "DASHBOARD_ACCESS": rule}
    with down("default"):
        for response in (
            root.get(place("overview")),
            root.get(place("overview"), headers={"HX-Request": "true"}),
            root.post(place("resume_queue")),
        ):
            assert response.status_code == 503
            assert "The database does not answer" in response.content.decode()
    assert root.get(place("overview")).status_code == 200


def may_everything(request: HttpRequest, action: str, row: Any) -> bool:
    return bool(request.user.is_superuser)


@pytest.mark.any_database
@pytest.mark.django_db(transaction=True)
def test_a_slow_look_at_the_queues_leaves_the_rest(
    root: Client, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(queue_name="mail")
    monkeypatch.setattr(Surveying, "survey", _slow)
    monkeypatch.setattr(looking, "READ_FOR", 0.1)
    for _ in range(2):
        forget_everything()
        text = text_of(root.get(place("overview")))
        assert "250 ms" in text
        assert "queue_without_worker could not be asked" in text
        assert "0 workers are running." in text


def test_charts_of_a_queue_are_those_of_its_backend() -> None:
    count(2, "default", "a.b", successful=1)
    count(2, "default", "a.c", successful=2)
    count(2, "default", "a.b", backend="reports", successful=4)
    count(2, "imports", "a.b", successful=8)

    def successful(**about: str) -> int:
        tallies = history.history("1h").counted(About(**about)).tallies
        return sum(tally["successful"] for tally in tallies.values())

    assert successful() == 15
    assert successful(queue="default") == 7
    assert successful(queue="default", backend="reports") == 4
    assert successful(queue="default", backend="default", task="a.b") == 1
    assert successful(task="a.b") == 13
    assert successful(task="a.d") == 0


def test_charts_are_drawn_also_if_the_tasks_cannot_be_compared(
    root: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busiest(*_: Any) -> None:
        raise reading.TooManyRows("There are too many tasks.")

    count(1, successful=5)
    drawn = text_of(root.get(place("overview"))).count("<svg")
    forget_everything()
    monkeypatch.setattr(reading, "busiest", busiest)
    text = text_of(root.get(place("overview")))
    assert text.count("There are too many tasks.") == 1
    assert text.count("<svg") == drawn > 0


def test_a_week_of_very_many_tasks_is_drawn(
    root: Client, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(12):
        for hour in range(3):
            took = {"run_sum": float(number), "runs": f"{number}:5", "run_max": float(number)}
            path = f"shop.tasks.task_{number:02}"
            count(60 * hour, task_path=path, seconds=HOUR, successful=5, **took)
    monkeypatch.setattr(reading, "MAX_ROWS", 20)
    monkeypatch.setattr(history, "MOST_TASKS", 5)
    asked = {"window": "7d", "numbers": "throughput"}
    text = text_of(root.get(place("overview"), asked))
    assert ">60<" in text  # of each hour
    shown = [number for number in range(12) if f">shop.<wbr>tasks.<wbr>task_{number:02}<" in text]
    assert shown == [7, 8, 9, 10, 11]  # those that take the most time
    assert text.index("task_11") < text.index("task_10")
