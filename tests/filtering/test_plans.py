"""Whatever is asked for is read from an index, in its order, and no further than a window."""

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import chain
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from pytest_django import DjangoDbBlocker

from taskworks.admin.run_window import windowed
from taskworks.filtering import RunFilter, parse, sources
from taskworks.filtering.matching_runs import all_of, page_of
from taskworks.models import Failure, RunState, TaskRun
from taskworks.store import store as store_of
from tests.plans import plan, statements_of
from tests.store.tidying import tidy

ROWS = int(os.environ.get("TASKWORKS_TEST_ROWS", "4000"))
pytestmark = pytest.mark.thorough_on_servers
STATES = ("successful",) * 15 + ("failed", "failed", "ready", "scheduled", "running")
GROUP = "f" * 16
ERROR = {
    "attempt": 1,
    "at": "2026-01-01T00:00:00+00:00",
    "worker_id": "w",
    "exception_class_path": "builtins.KeyError",
    "traceback": "Traceback (most recent call last):\n" + "x" * 500 + "\nKeyError: 'sku'\n",
}


@pytest.fixture(autouse=True, scope="module")
def _database(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    with django_db_blocker.unblock():
        now = store_of().read_clock()
        for start in range(0, ROWS, 2000):
            rows = [_row(now, number) for number in range(start, min(start + 2000, ROWS))]
            TaskRun.objects.bulk_create(rows, batch_size=500)
            failed = (run for run in rows if run.state == "failed")
            Failure.objects.bulk_create(
                Failure(run=run.id, fingerprint=GROUP, at=run.finished_at) for run in failed
            )
        tidy(TaskRun)
        tidy(Failure)
        yield
        TaskRun.objects.all().delete()
        Failure.objects.all().delete()
        tidy(TaskRun)
        tidy(Failure)


def _row(now: Any, number: int) -> TaskRun:
    state = STATES[number % 20]
    ended = state in ("successful", "failed")
    at = now - timedelta(seconds=ROWS - number)
    return TaskRun(
        backend="default",
        queue_name=f"queue {number % 3}",
        task_path=f"tests.tasks.number_{number % 60}",
        kwargs={"order": number, "customer": number % 100},
        state=state,
        enqueued_at=at,
        available_at=at,
        started_at=at if ended else None,
        last_attempted_at=at if ended else None,
        finished_at=at if ended else None,
        errors=[ERROR] if state == "failed" else [],
        workflow=UUID(int=number % 500) if number % 40 == 1 else None,
        owner="7" if number % 50 == 1 else None,
        claimed_by=UUID(int=7) if state == "running" else None,
    )


@pytest.fixture(autouse=True)
def _windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """As large, compared with the table, as they are with two million runs."""
    monkeypatch.setattr(sources, "WINDOW", ROWS // 20)
    monkeypatch.setattr(sources, "ERRORS_WINDOW", ROWS // 50)


def plans(do: Callable[[], object]) -> list[tuple[str, str]]:
    """The statements that read runs or failures, and their plans."""
    statements = [
        one
        for one in statements_of(do)
        if '"id"' in one.text or "`id`" in one.text or "_failure" in one.text
    ]
    assert statements
    return [(statement.text, plan(statement)) for statement in statements]


def assert_reads(found: list[tuple[str, str]], *indexes: str, sorts: bool = False) -> None:
    for statement, how in found:
        said = f"{statement[:3000]}\n{how}"
        assert any(name in how for index in indexes for name in NAMES.get(index, (index,))), said
        # PostgreSQL sorts the few that it expects in a window, whose runs the index has found.
        if not sorts and not (connection.vendor == "postgresql" and "Index Cond" in how):
            for sign in ("Sort", "USE TEMP B-TREE FOR ORDER BY", "filesort"):
                assert sign not in how, said


# What databases call the index of the primary key.
NAMES = {
    "pk": ("taskworks_taskrun_pkey", "PRIMARY", "sqlite_autoindex_taskworks_taskrun_1"),
    "taskworks_run_in_hand": ("taskworks_run_in_hand",),
    # Where indexes are over all rows, that of another state has its columns.
    "taskworks_run_scheduled": ("taskworks_run_scheduled", "taskworks_run_blocked"),
}


def page(texts: dict[str, Any], after: str | None = None) -> Callable[[], object]:
    return lambda: page_of(store_of(), parse(texts), after=after, limit=50)


@pytest.mark.django_db
class TestPages:
    @pytest.mark.parametrize(
        "more",
        [
            {},
            {"task": "tests.tasks.number_15"},
            {"arg": "customer=15"},
            {"since": "30m"},
            {"error": "KeyError"},
            {"took": "1s", "attempts": "2"},
        ],
        ids=str,
    )
    def test_of_what_has_ended(self, more: dict[str, str]) -> None:
        for state in ("successful", "failed", ["failed", "cancelled"]):
            texts = {"state": state, **more}
            first = page_of(store_of(), parse(texts), limit=3)
            for after in (None, first.after):
                assert_reads(plans(page(texts, after)), "taskworks_run_finished")

    def test_of_all(self) -> None:
        for texts in ({}, {"task": "tests.tasks.number_15"}, {"arg": "customer=15"}):
            first = page_of(store_of(), parse(texts), limit=3)
            for after in (None, first.after):
                assert_reads(plans(page(texts, after)), "pk")

    def test_of_what_waits_or_is_in_hand(self) -> None:
        indexes = {
            ("ready", "17"): ("taskworks_run_ready", "taskworks_run_limited"),
            ("scheduled", "18"): ("taskworks_run_scheduled",),
            ("running", "19"): ("taskworks_run_in_hand",),
        }
        for (state, number), names in indexes.items():
            for more in ({}, {"task": f"tests.tasks.number_{number}"}):
                first = page_of(store_of(), parse({"state": state, **more}), limit=3)
                assert first.runs
                for after in (None, first.after):
                    found = plans(page({"state": state, **more}, after))
                    assert_reads(found, *names, sorts=True)

    def test_of_a_workflow_an_owner_and_a_group(self) -> None:
        workflow = {"workflow": str(UUID(int=1))}
        assert_reads(plans(page(workflow)), "taskworks_run_member", sorts=True)
        assert_reads(plans(page({"owner": "7"})), "taskworks_run_owned")
        found = plans(page({"group": GROUP, "since": "1h"}))
        assert_reads(found, "taskworks_failure_group", "pk")

    def test_a_window_is_read_once(self) -> None:
        rare = {"state": "successful", "task": "tests.tasks.none"}
        found = plans(page(rare))
        assert len(found) == 2
        assert_reads(found, "taskworks_run_finished")
        assert page_of(store_of(), parse(rare)).searched == f"the newest {ROWS // 20:,} runs"


@pytest.mark.django_db
def test_all_runs_are_read_by_the_same_indexes() -> None:
    def read(texts: dict[str, Any]) -> Callable[[], object]:
        return lambda: [*chain(*all_of(store_of(), parse(texts), store_of().read_clock()))]

    ended = {"state": ["failed", "successful"], "task": "tests.tasks.number_15"}
    assert_reads(plans(read(ended)), "taskworks_run_finished")
    group = {"state": "failed", "group": GROUP}
    assert_reads(plans(read(group)), "taskworks_failure_group", "pk")
    waiting = {"state": ["ready", "scheduled", "running"]}
    assert_reads(
        plans(read(waiting)),
        "taskworks_run_ready",
        "taskworks_run_limited",
        "taskworks_run_scheduled",
        "taskworks_run_in_hand",
        sorts=True,
    )
    every = RunFilter(states=(RunState.FAILED,), group=GROUP)
    assert sum(map(len, all_of(store_of(), every, store_of().read_clock()))) == ROWS // 10


@pytest.mark.django_db
@pytest.mark.skipif(connection.vendor != "mysql", reason="Others tell what they read in plans.")
def test_what_has_ended_is_read_as_far_as_the_window() -> None:
    rare = parse({"state": "successful", "task": "nothing"})
    with connection.cursor() as cursor:
        cursor.execute("FLUSH STATUS")
        assert page_of(store_of(), rare).searched
        cursor.execute("SHOW SESSION STATUS LIKE 'Handler_read_%'")
        read = sum(int(number) for _, number in cursor.fetchall())
    assert read < 3 * sources.WINDOW  # and not all that are successful


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("state", "index"), [("ready", "taskworks_run_ready"), ("scheduled", "taskworks_run_scheduled")]
)
def test_the_admin_reads_too_many_that_wait_from_the_beginning_of_their_index(
    monkeypatch: pytest.MonkeyPatch, state: str, index: str
) -> None:
    monkeypatch.setattr(sources, "WINDOW", 10)
    runs = store_of().runs.filter(state=state)

    def first_page() -> object:
        return [*windowed(runs, RunState(state), is_narrowed=False).runs[:100]]

    *_, page = plans(first_page)
    assert_reads([page], index)
