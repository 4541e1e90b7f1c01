"""What there is to claim, and when there will be more."""

import math
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from taskworks.control import pause
from taskworks.models import Limit, Pause, TaskRun
from taskworks.store import store
from taskworks.store.paused import Paused
from tests import tasks

pytestmark = pytest.mark.django_db


def names_of(paused: Paused) -> set[str]:
    return {scope.name for scope in paused}


def test_nothing() -> None:
    assert store().outlook("default") == ([], math.inf, {}, math.inf, None, False)


def test_the_queues_with_something_ready() -> None:
    for queue in ("mail", "default", "mail", "imports"):
        tasks.noop.using(queue_name=queue).enqueue()
    tasks.noop.using(backend="other").enqueue()
    assert store().outlook("default")[:2] == (["default", "imports", "mail"], math.inf)
    assert store().outlook("other").queues == ["default"]
    TaskRun.objects.update(state="running")
    assert store().outlook("default").queues == []


@pytest.mark.parametrize("seconds", [3600.0, 2.5, -60.0])
def test_in_how_long_the_next_one_is_due(seconds: float) -> None:
    for later in (0, 86_400):
        tasks.noop.using(run_after=timedelta(seconds=7200 + later)).enqueue()
    run = TaskRun.objects.earliest("available_at")
    now = store().read_clock()
    TaskRun.objects.filter(id=run.id).update(available_at=now + timedelta(seconds=seconds))
    assert store().outlook("default").due_in == pytest.approx(seconds, abs=1)
    assert store().outlook("default").queues == []


def test_paused_queues_are_not_to_be_claimed_from() -> None:
    for queue in ("mail", "imports"):
        tasks.noop.using(queue_name=queue).enqueue()
    pause("mail")
    pause("default", until=timedelta(hours=1))
    pause("imports", backend="other")
    outlook = store().outlook("default")
    assert outlook[:2] == (["imports"], math.inf)
    assert names_of(outlook.paused) == {"mail", "default"}
    assert outlook.resumes_in == pytest.approx(3600, abs=60)
    assert names_of(store().outlook("other").paused) == {"imports"}


def test_a_pause_ends_by_the_clock_of_the_database() -> None:
    tasks.noop.enqueue()
    pause("default", until=timedelta(hours=1))
    now = store().read_clock()
    Pause.objects.update(until=now + timedelta(seconds=30))
    assert store().outlook("default").resumes_in == pytest.approx(30, abs=20)
    Pause.objects.update(until=now)
    assert store().outlook("default") == (["default"], math.inf, {}, math.inf, None, False)


def test_who_pauses_nothing_pays_with_no_statement() -> None:
    tasks.noop.enqueue()
    with CaptureQueriesContext(connection) as without:
        store().outlook("default")
    pause("mail")
    with CaptureQueriesContext(connection) as with_pause:
        store().outlook("default")
    per_queue = connection.vendor == "mysql"  # and one that finds no queue after the last
    assert len(without) == 1 + per_queue
    assert len(with_pause) == len(without) + per_queue


def test_it_says_where_to_go_on_whatever_is_paused() -> None:
    names = [f"tenant-{number}" for number in range(7)]
    for name in names:
        tasks.noop.using(backend="other", queue_name=name).enqueue()
    for name in names[:5]:
        pause(name, backend="other")
    looks = [store().outlook("other", after, 3) for after in (None, names[2], names[5])]
    assert [(look.queues, look.goes_on_after) for look in looks] == [
        ([], names[2]),
        (names[5:6], names[5]),
        (names[6:], None),
    ]
    assert [names_of(look.paused) for look in looks] == [{*names[:5]}] * 3
    assert store().outlook("other", None, 7).goes_on_after == names[-1]  # as far as it knows
    assert store().outlook("other", None, 8).goes_on_after is None
    assert store().outlook("other").goes_on_after is None


def test_no_name_is_looked_for_beyond_the_limit() -> None:
    for number in range(5):
        tasks.noop.using(backend="other", queue_name=f"tenant-{number}").enqueue()
    with CaptureQueriesContext(connection) as captured:
        store().outlook("other", "tenant-0", 3)
    assert len(captured) == (3 if connection.vendor == "mysql" else 1)


@pytest.mark.skipif(connection.vendor != "postgresql", reason="others have no such moment")
def test_a_moment_that_never_comes_is_no_error() -> None:
    """Anybody may have written it."""
    tasks.noop.using(run_after=timedelta(hours=1)).enqueue()
    pause("mail")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE taskworks_pause SET until = 'infinity'")
        cursor.execute("UPDATE taskworks_taskrun SET available_at = 'infinity'")
    outlook = store().outlook("default")
    assert outlook[:2] == ([], math.inf)
    assert (names_of(outlook.paused), outlook.resumes_in) == ({"mail"}, math.inf)


def test_what_concerns_a_backend_are_its_queues_and_tasks_limits_and_keys() -> None:
    Limit.objects.create(name="imports")
    pause("default", backend="other")
    of_task = pause(task=tasks.noop, until=timedelta(hours=1))
    of_limit, of_key = pause(limit="imports"), pause(limit="imports", key="it's %s 📨")
    outlook = store().outlook("default")
    assert outlook.paused == {pause.scope: pause.id for pause in (of_task, of_limit, of_key)}
    assert len(store().outlook("other").paused) == 4
    assert outlook.resumes_in == pytest.approx(3600, abs=60)
    assert outlook.paused.of_tasks == {of_task.id}
    assert outlook.paused.keys_of("imports") == ("it's %s 📨",)
    assert outlook.paused.keys_of("exports") == ()
