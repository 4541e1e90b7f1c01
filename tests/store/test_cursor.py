"""A claim that goes on from where the last one ended, and what comes to stand before that."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection

from taskworks.models import TaskRun
from taskworks.store import Store
from taskworks.worker.claiming import cursor as module
from taskworks.worker.claiming.cursor import ClaimCursor
from tests.connections import held_elsewhere
from tests.new_runs import new_runs
from tests.store.buffers import buffers
from tests.store.conftest import Enqueue

pytestmark = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="Claims go on from a place on PostgreSQL alone."
)


class Clock:
    """A monotonic clock that a test moves; each claim from the start takes ``cost`` of it."""

    def __init__(self) -> None:
        self.now, self.cost = 1000.0, 0.0

    def monotonic(self) -> float:
        self.now += self.cost / 2
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def cursor_claim(
    store: Store, worker: UUID, queues: list[str], room: dict[str, int], cursor: ClaimCursor
) -> list[TaskRun]:
    """Claim as an intake does."""
    return cursor.claim(
        lambda room, limit, places: store.claim(
            worker, "default", queues, room, limit, places=places
        ),
        room,
        sum(room.values()),
    )


Claim = Callable[[int], list[str]]


@pytest.fixture
def cursor(clock: Clock) -> ClaimCursor:
    return ClaimCursor()


@pytest.fixture
def claim(store: Store, worker: UUID, cursor: ClaimCursor) -> Claim:
    def claim(room: int) -> list[str]:
        runs = cursor_claim(store, worker, ["default"], {"thread": room}, cursor)
        return [run.task_path for run in runs]

    return claim


@pytest.fixture
def dear(clock: Clock, enqueue: Enqueue, claim: Claim) -> None:
    """A claim from the start has just taken 0.2 seconds, and another would be too much."""
    enqueue(task_path="first")
    clock.cost = 0.4  # at each of its two looks at the clock, a half
    assert claim(1) == ["first"]
    clock.cost = 0.0


@pytest.mark.usefixtures("dear")
def test_claims_go_on_in_order(enqueue: Enqueue, claim: Claim) -> None:
    for path in "abcd":
        enqueue(task_path=path)
    assert claim(1) == ["a"]
    assert claim(2) == ["b", "c"]
    assert claim(2) == ["d"]


@pytest.mark.usefixtures("dear")
def test_a_higher_priority_comes_first_within_a_second(
    clock: Clock, enqueue: Enqueue, claim: Claim
) -> None:
    for path in "abcd":
        enqueue(task_path=path)
    enqueue(task_path="urgent", rank=-1)
    assert claim(1) == ["a"]
    clock.now += module.MAX_RESTART_INTERVAL + 0.001
    assert claim(2) == ["urgent", "b"]


@pytest.mark.usefixtures("dear")
def test_a_worker_that_was_told_looks_back_when_that_is_not_too_much(
    clock: Clock, enqueue: Enqueue, claim: Claim, cursor: ClaimCursor
) -> None:
    enqueue(task_path="a")
    enqueue(task_path="b")
    enqueue(task_path="urgent", rank=-1)
    cursor.ask_for_restart()
    assert claim(1) == ["a"]
    cursor.ask_for_restart()
    clock.now += cursor.seconds + 0.001
    assert claim(1) == ["urgent"]


def test_it_is_not_too_much_where_it_costs_nothing(enqueue: Enqueue, claim: Claim) -> None:
    enqueue(task_path="a")
    enqueue(task_path="b")
    assert claim(1) == ["a"]
    enqueue(task_path="urgent", rank=-1)
    assert claim(3) == ["urgent", "b"]


@pytest.mark.usefixtures("dear")
def test_who_found_too_little_owes_a_look_at_the_start(
    clock: Clock, enqueue: Enqueue, claim: Claim, cursor: ClaimCursor
) -> None:
    enqueue(task_path="a")
    enqueue(task_path="urgent", rank=-1)
    assert claim(3) == ["a"]
    assert cursor.may_have_skipped
    assert 0 < cursor.seconds <= module.MAX_RESTART_INTERVAL
    clock.now += cursor.seconds + 0.001
    assert claim(3) == ["urgent"]
    assert not cursor.may_have_skipped


@pytest.mark.usefixtures("dear")
def test_what_is_committed_late_is_found(
    clock: Clock, enqueue: Enqueue, claim: Claim, cursor: ClaimCursor
) -> None:
    with held_elsewhere(lambda: enqueue(task_path="late")):
        enqueue(task_path="a")
        enqueue(task_path="b")
        assert claim(1) == ["a"]
    assert claim(2) == ["b"]
    clock.now += cursor.seconds + 0.001
    assert claim(2) == ["late"]


def test_what_another_has_locked_and_not_claimed_is_found(
    clock: Clock, enqueue: Enqueue, claim: Claim, cursor: ClaimCursor
) -> None:
    locked = enqueue(task_path="locked")
    enqueue(task_path="a")
    clock.cost = 0.4
    with held_elsewhere(lambda: list(TaskRun.objects.select_for_update().filter(id=locked.id))):
        assert claim(1) == ["a"]
    clock.cost = 0.0
    assert claim(1) == []
    assert cursor.may_have_skipped
    clock.now += cursor.seconds + 0.001
    assert claim(1) == ["locked"]


@pytest.mark.usefixtures("dear")
def test_each_line_has_a_place_of_its_own(
    store: Store, worker: UUID, enqueue: Enqueue, cursor: ClaimCursor
) -> None:
    enqueue(task_path="late", queue_name="mail", executor="async")
    run = enqueue(task_path="early", queue_name="mail")
    TaskRun.objects.filter(id=run.id).update(available_at=store.read_clock() - timedelta(hours=1))
    room = {"thread": 1, "async": 1}
    runs = cursor_claim(store, worker, ["default", "mail"], room, cursor)
    assert [run.task_path for run in runs] == ["early", "late"]


def test_a_claim_from_a_place_does_not_read_what_is_dead(
    store: Store, worker: UUID, enqueue: Enqueue, cursor: ClaimCursor, clock: Clock
) -> None:
    """While another session's snapshot keeps it there."""
    room = {"thread": 1}
    store.enqueue(new_runs(1500))
    with held_elsewhere(snapshot):
        for _ in range(15):
            cursor_claim(store, worker, ["default"], {"thread": 100}, cursor)
        store.enqueue(new_runs(4))
        from_start = buffers(lambda: store.claim(worker, "default", ["default"], room), "LIMIT")
        clock.now += module.MAX_RESTART_INTERVAL + 0.001
        cursor_claim(store, worker, ["default"], room, cursor)
        from_here = buffers(lambda: cursor_claim(store, worker, ["default"], room, cursor), "LIMIT")
    assert from_here < from_start / 3


def snapshot() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("SELECT 1")
    return True
