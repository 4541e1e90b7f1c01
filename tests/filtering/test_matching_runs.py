"""The runs that a filter means are found on every database, each once, in the order of an index."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import chain
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection

from taskworks.filtering import RunFilter, parse, sources
from taskworks.filtering.matching_runs import Page, all_of, page_of
from taskworks.models import Failure, Firing, RunState, Schedule, TaskRun, Worker
from taskworks.store import store as store_of
from tests.tasks import noop

pytestmark = pytest.mark.django_db(transaction=True)
PATH = "builtins.KeyError"


def entry(path: str, message: str) -> dict[str, Any]:
    return {
        "attempt": 1,
        "at": "2026-01-01T00:00:00+00:00",
        "worker_id": "w",
        "exception_class_path": path,
        "traceback": f'Traceback:\n  File "x.py", line 1, in f\n    except ValueError\n'
        f"{path.rpartition('.')[2]}: {message}\n",
    }


@pytest.fixture
def now() -> datetime:
    return store_of().read_clock()


def make(now: datetime, state: str, minutes_ago: int = 0, **columns: Any) -> TaskRun:
    at = now - timedelta(minutes=minutes_ago)
    ended = {"finished_at": at} if state in ("failed", "successful", "cancelled") else {}
    given = {"backend": "default", "queue_name": "default", "task_path": noop.module_path}
    return TaskRun.objects.create(
        **given | {"state": state, "enqueued_at": at, "available_at": at, **ended, **columns}
    )


def ids(found: Page) -> list[UUID]:
    return [run.id for run in found.runs]


def pages(meant: RunFilter, limit: int) -> Iterator[Page]:
    after = None
    while True:
        page = page_of(store_of(), meant, after=after, limit=limit)
        yield page
        if not (after := page.after):
            return


def to_act_on(meant: RunFilter, before: datetime | None = None) -> list[UUID]:
    found = all_of(store_of(), meant, before or store_of().read_clock())
    return [run.id for run in chain(*found)]


class TestConditions:
    """Each condition finds its run, and no other one, however runs are read."""

    @pytest.fixture
    def runs(self, now: datetime) -> dict[str, TaskRun]:
        worker = Worker.objects.create(
            label="web-1", hostname="h", pid=1, started_at=now, heartbeat_at=now
        )
        schedule = Schedule(label="every night", path=noop.module_path, cron="@daily")
        schedule.save()
        runs = {
            "plain": make(now, "failed", 50),
            "task": make(now, "failed", 49, task_path="shop.tasks.charge"),
            "callable": make(now, "failed", 48, callable_path="shop.report"),
            "queue": make(now, "failed", 47, queue_name="Mail"),
            "other_case": make(now, "failed", 46, queue_name="mail"),
            "backend": make(now, "failed", 45, backend="other"),
            "worker": make(now, "failed", 44, worker_ids=["web-1"]),
            "claimed": make(now, "running", 43, claimed_by=worker.id),
            "almost": make(now, "failed", 42, worker_ids=["web-12"]),
            "schedule": make(now, "failed", 41),
            "owner": make(now, "failed", 40, owner="7"),
            "workflow": make(now, "failed", 39, workflow=UUID(int=5)),
            "group": make(now, "failed", 38),
            "regrouped": make(now, "failed", 37),
            "error": make(now, "failed", 36, errors=[entry(PATH, "'sku' \"50%\" _é\\")]),
            "earlier": make(
                now, "failed", 35, errors=[entry(PATH, "'sku'"), entry("a.TypeError", "no")]
            ),
            "took": make(
                now, "successful", 34, last_attempted_at=now - timedelta(minutes=35), attempts=3
            ),
            "kwargs": make(now, "failed", 33, kwargs={"order": {"country": "CH", "n": [1, 2]}}),
            "args": make(now, "failed", 32, args=["CH", 3, True, {"a": 1}]),
            "text": make(now, "failed", 31, kwargs={"amount": "3"}),
            "number": make(now, "failed", 30, kwargs={"amount": 3}),
            "longer": make(now, "failed", 29, kwargs={"amount": 34, "amounts": 3}),
        }
        Firing.objects.create(
            schedule=schedule, planned_at=now, fired_at=now, run=runs["schedule"].id
        )
        for name, run in (("group", runs["group"]), ("regrouped", runs["regrouped"])):
            at = run.finished_at if name == "group" else now
            Failure.objects.create(run=run.id, fingerprint="0123456789abcdef", at=at)
        return runs

    CASES: tuple[tuple[dict[str, Any], set[str]], ...] = (
        ({"task": "shop.tasks.charge"}, {"task"}),
        ({"task": "shop.report"}, {"callable"}),
        ({"queue": "Mail"}, {"queue"}),
        ({"queue": ["Mail", "mail"]}, {"queue", "other_case"}),
        ({"backend": "other"}, {"backend"}),
        ({"worker": "web-1"}, {"worker", "claimed"}),
        ({"schedule": "every night"}, {"schedule"}),
        ({"schedule": "no such"}, set()),
        ({"owner": "7"}, {"owner"}),
        ({"workflow": str(UUID(int=5))}, {"workflow"}),
        ({"group": "0123456789abcdef"}, {"group"}),
        ({"group": "0123456789abcdef", "queue": "mail"}, set()),
        ({"error": "KeyError"}, {"error"}),
        ({"error": "'sku' \"50%\" _é\\"}, {"error"}),
        ({"error": "ValueError"}, set()),  # which is only in the source
        ({"error": ["TypeError", "no"]}, {"earlier"}),
        ({"error": ["TypeError", "yes"]}, set()),
        ({"took": "60s", "attempts": "3"}, {"took"}),
        ({"took": "<60s"}, set()),
        ({"attempts": ["1", "<4"]}, {"took"}),
        ({"arg": "order.country=CH"}, {"kwargs"}),
        ({"arg": "order.n.1=2"}, {"kwargs"}),
        ({"arg": "order.n=[1,2]"}, {"kwargs"}),
        ({"arg": 'order={"n": [1, 2], "country": "CH"}'}, {"kwargs"}),
        ({"arg": ["order.country=CH", "order.n.0=2"]}, set()),
        ({"arg": "0=CH"}, {"args"}),
        ({"arg": "1=3"}, {"args"}),
        ({"arg": "2=true"}, {"args"}),
        ({"arg": "2=1"}, set()),
        ({"arg": "3.a=1"}, {"args"}),
        ({"arg": "amount=3"}, {"text", "number"}),
        ({"arg": 'amount="3"'}, {"text"}),
        ({"arg": "9=3"}, set()),
        ({"since": "31m30s", "until": "29m30s"}, {"text", "number"}),
        ({"enqueued-since": "31m30s", "enqueued-until": "29m30s"}, {"text", "number"}),
    )

    def test_each_finds_its_runs(self, runs: dict[str, TaskRun]) -> None:
        for texts, expected in self.CASES:
            meant = parse(texts)
            listed = ids(page_of(store_of(), meant))
            found = {name for name, run in runs.items() if run.id in listed}
            assert found == expected, texts
            every = (
                meant.but(states=(*RunState,))
                if meant.group is None
                else meant.but(states=(RunState.FAILED,))
            )
            acted = to_act_on(every)
            assert {name for name, run in runs.items() if run.id in acted} == expected, texts
            assert len(acted) == len({*acted})
            if meant.group is None and not meant.errors:
                assert {
                    run.id
                    for run in meant.at(store_of().read_clock()).narrow(TaskRun.objects.all())
                    if meant.admits(run)
                } == {runs[n].id for n in expected}

    def test_an_argument_is_found_by_its_name_when_it_was_given_by_position(
        self, now: datetime
    ) -> None:
        run = make(now, "ready", task_path="tests.tasks.add", args=[1, 2])
        make(now, "ready", task_path="tests.tasks.add", args=[2, 1])
        make(now, "ready", task_path="gone.tasks.add", args=[1, 2])
        assert ids(page_of(store_of(), parse({"arg": ["a=1", "b=2"]}))) == [run.id]


class TestPages:
    def test_those_of_final_states_are_in_the_order_of_their_ends(self, now: datetime) -> None:
        for state in ("failed", "cancelled", "successful"):
            for minutes in range(6):
                make(now, state, minutes)
        same = [make(now, "failed", 3).id for _ in range(4)]
        meant = RunFilter(states=(RunState.FAILED, RunState.CANCELLED))
        expected = sorted(
            TaskRun.objects.filter(state__in=meant.states),
            key=lambda run: (run.finished_at, run.id),
            reverse=True,
        )
        assert len(expected) == 16
        assert {*same} < {run.id for run in expected}
        for limit in (1, 3, 16, 50):
            listed = [*pages(meant, limit)]
            assert [*chain(*map(ids, listed))] == [run.id for run in expected]
            assert all(len(page.runs) == limit for page in listed[:-1])
            assert not any(page.searched for page in listed)

    def test_others_are_in_the_order_of_their_ids(self, now: datetime) -> None:
        states = ("ready", "scheduled", "blocked", "claimed", "running", "failed")
        for number in range(12):
            limited = {"limit_name": "l", "lane": "-"} if number % 4 == 0 else {}
            make(now, states[number % 6], number, **limited)
        for wanted in (states[:1], states[:5], states, ()):
            meant = RunFilter(states=tuple(map(RunState, wanted)))
            rows = TaskRun.objects.filter(state__in=wanted or states).order_by("-id")
            for limit in (1, 5, 50):
                found = [*chain(*(ids(page) for page in pages(meant, limit)))]
                assert found == [*rows.values_list("id", flat=True)]

    def test_ids_that_are_not_ours_are_listed_once_each(self, now: datetime) -> None:
        states = ("ready", "scheduled", "blocked")
        made = {make(now, states[number % 3], id=uuid4()).id for number in range(30)}
        made |= {make(now, "ready", id=uuid4(), limit_name="l", lane="-").id for _ in range(6)}
        for wanted in (states, ()):
            meant = RunFilter(states=tuple(map(RunState, wanted)))
            found = [*chain(*(ids(page) for page in pages(meant, 4)))]
            assert len(found) == len(made)
            assert {*found} == made

    def test_a_group_is_read_from_its_index(self, now: datetime) -> None:
        runs = [make(now, "failed", minutes % 3) for minutes in range(7)]
        for run in runs:
            Failure.objects.create(run=run.id, fingerprint="f" * 16, at=run.finished_at)
        retried = runs.pop()
        TaskRun.objects.filter(id=retried.id).update(state="ready", finished_at=None)
        expected = sorted(runs, key=lambda run: (run.finished_at, run.id), reverse=True)
        found = [*chain(*(ids(page) for page in pages(parse({"group": "f" * 16}), 2)))]
        assert found == [run.id for run in expected]
        recent = parse({"group": "f" * 16, "since": "90s"})
        found = [*chain(*(ids(page) for page in pages(recent, 2)))]
        begin = now - timedelta(seconds=90)
        assert found == [run.id for run in expected if run.finished_at > begin]

    def test_a_window_ends_the_search_and_the_next_page_goes_on(
        self, now: datetime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sources, "WINDOW", 5)
        rare = {*()}
        for number in range(23):
            queue = "rare" if number in (2, 8, 22) else "default"
            for state in ("failed", "cancelled"):
                run = make(now, state, number, queue_name=queue)
                rare |= {run.id} if queue == "rare" else set()
        by_end = RunFilter(states=(RunState.FAILED, RunState.CANCELLED), queues=("rare",))
        for meant in (by_end, RunFilter(queues=("rare",))):
            listed = [*pages(meant, 50)]
            assert {*chain(*map(ids, listed))} == rare
            assert sum(len(page.runs) for page in listed) == len(rare)
            assert listed[0].searched == "the newest 5 runs"
            assert {page.searched for page in listed[1:-1]} == {"the next 5 runs"}
            assert listed[-1].searched == ""
        unsearched = RunFilter(states=(RunState.FAILED,), since=now - timedelta(minutes=20))
        assert [page.searched for page in pages(unsearched, 50)] == [""]
        every = RunFilter(states=(*RunState,), queues=("rare",))
        assert {*to_act_on(every)} == rare

    def test_what_has_to_be_read_is_read_in_portions(
        self, now: datetime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("taskworks.filtering.matching_runs.READ_TO_DECIDE", 2)
        monkeypatch.setattr("taskworks.filtering.matching_runs.MAX_READ_TO_DECIDE", 4)
        wanted = [
            make(now, "failed", number, args=[[7], number] if number % 6 == 0 else [7, number]).id
            for number in range(14)
        ][::6]
        meant = parse({"arg": "0=[7]", "state": "failed"})
        listed = [*pages(meant, 2)]
        assert [*chain(*map(ids, listed))] == wanted
        assert "the newest 4 that may match" in {page.searched for page in listed}

    @pytest.mark.parametrize(
        "cursor",
        ["x", "~", "2026-01-01T00:00:00+00:00~x", str(UUID(int=1)), f"0001-01-01~{UUID(int=1)}"],
    )
    def test_a_cursor_that_is_none_is_refused(self, cursor: str) -> None:
        meant = RunFilter(states=(RunState.FAILED,))
        with pytest.raises(ValueError, match="is not a cursor of this list"):
            page_of(store_of(), meant, after=cursor)


class TestAllOf:
    def test_nothing_comes_that_was_enqueued_or_has_ended_later(self, now: datetime) -> None:
        old = make(now, "failed", 5)
        make(now, "failed", -5)
        waiting = make(now, "ready", 5)
        make(now, "ready", -5)
        meant = RunFilter(states=(RunState.FAILED, RunState.READY))
        assert {*to_act_on(meant, now)} == {old.id, waiting.id}

    def test_the_oldest_come_first(self, now: datetime) -> None:
        runs = [make(now, "failed", minutes) for minutes in (1, 5, 3)]
        meant = RunFilter(states=(RunState.FAILED,))
        assert to_act_on(meant, now) == [runs[1].id, runs[2].id, runs[0].id]

    def test_nothing_that_is_not_ours_ends_it(self, now: datetime) -> None:
        broken = make(now, "failed")
        TaskRun.objects.filter(id=broken.id).update(queue_name="broken")
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE taskworks_taskrun SET args = %s, kwargs = %s, errors = %s "
                "WHERE queue_name = 'broken'",
                ["{ 7", '{"amount":3', '"KeyError'],
            )
        for texts in ({"arg": "amount=3"}, {"error": "KeyError"}, {"arg": "0=7"}):
            meant = parse({**texts, "state": "failed"})
            assert ids(page_of(store_of(), meant)) == []
            assert to_act_on(meant) == []
        assert ids(page_of(store_of(), parse({"queue": "broken"}))) == [broken.id]
