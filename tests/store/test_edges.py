"""A run that waits for others: ready when all of its edges hold, once, and not before."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from taskworks.duties.unblock import Followers, Unblocking, unblock_all
from taskworks.execution import Attempt, Cancelled, Failed, Settled, Succeeded, settle
from taskworks.models import Edge, RunState, TaskRun
from taskworks.options.policy import Policy
from taskworks.options.retention import Rule
from taskworks.reserved_metadata import OF_SCHEDULE
from taskworks.store import Store
from tests import tasks
from tests.connections import begin_elsewhere, elsewhere, held_elsewhere
from tests.new_runs import new_runs, stored
from tests.store.conftest import Enqueue

ENTRY = {"exception_class_path": "builtins.ValueError", "traceback": "no\n"}
SUCCESSES, FAILURES = (Rule("default", name, timedelta()) for name in ("successful", "failed"))
Block = Callable[..., TaskRun]
End = Callable[[TaskRun, Settled], TaskRun]
without_sqlite = pytest.mark.skipif(
    connection.vendor == "sqlite", reason="On SQLite one writes, and the others wait."
)


@pytest.fixture
def block(store: Store) -> Block:
    """``block(*after)``: a new run that waits for these."""

    def block(
        *after: UUID, any_end: bool = False, delay: timedelta | None = None, **expires: float
    ) -> TaskRun:
        new = new_runs(run_after=delay, **expires)
        [run] = new.uuids
        edges = [Edge(run=run, after=before, any_end=any_end) for before in after]
        store.block(new, edges)
        return stored(new, store)

    return block


@pytest.fixture
def end(store: Store, worker: UUID) -> End:
    """Claim a run, and finish it with this outcome."""

    def end(run: TaskRun, outcome: Settled) -> TaskRun:
        [claimed] = store.claim(worker, "default", ["default"], {"thread": 1})
        assert claimed.id == run.id
        attempt = Attempt(claimed, "a label")
        attempt.policy = Policy()
        attempt.begin()
        settle(attempt, outcome)
        assert store.finish([claimed]) == {run.id}
        return claimed

    return end


def read_repeatably() -> None:
    """Have each transaction of this session see what was there when it began."""
    session = "SESSION CHARACTERISTICS AS" if connection.vendor == "postgresql" else "SESSION"
    if connection.vendor != "sqlite":  # whose transactions do so anyway
        with connection.cursor() as cursor:
            cursor.execute(f"SET {session} TRANSACTION ISOLATION LEVEL REPEATABLE READ")


def state_of(run: TaskRun) -> str:
    return TaskRun.objects.get(id=run.id).state


def test_it_waits_and_nobody_claims_it(store: Store, enqueue: Enqueue, block: Block) -> None:
    first = enqueue(run_after=store.read_clock() + timedelta(hours=1))
    second = block(first.id)
    unblock_all(store)
    assert state_of(second) == RunState.BLOCKED
    assert store.promote(10) == 0
    assert store.ready_queues("default") == []
    assert TaskRun.objects.get(id=second.id).status.value == "READY"


def test_a_success_makes_it_ready(store: Store, enqueue: Enqueue, block: Block, end: End) -> None:
    first = enqueue()
    second, third = block(first.id), block(first.id)
    end(first, Succeeded(None))
    unblock_all(store)
    assert (state_of(second), state_of(third)) == ("ready", "ready")
    assert not Edge.objects.exists()


def test_it_waits_for_the_last_of_many(
    store: Store, enqueue: Enqueue, block: Block, end: End
) -> None:
    others = [enqueue() for _ in range(3)]
    last = block(*(run.id for run in others))
    for left, run in zip([2, 1], others, strict=False):
        end(run, Succeeded(None))
        unblock_all(store)
        assert state_of(last) == "blocked"
        assert Edge.objects.count() == left
    end(others[2], Succeeded(None))
    unblock_all(store)
    assert state_of(last) == "ready"


def test_each_edge_says_whether_any_end_will_do(store: Store, enqueue: Enqueue, end: End) -> None:
    first, second = enqueue(), enqueue()
    new = new_runs()
    [run_id] = new.uuids
    edges = [
        Edge(run=run_id, after=first.id),
        Edge(run=run_id, after=second.id, any_end=True),
    ]
    store.block(new, edges)
    run = stored(new, store)
    end(first, Failed(ValueError(), ENTRY))
    end(second, Failed(ValueError(), ENTRY))
    unblock_all(store)
    assert state_of(run) == "blocked"
    assert Edge.objects.get().after == first.id
    store.retry(first.id)
    end(first, Succeeded(None))
    unblock_all(store)
    assert state_of(run) == "ready"


def test_many_are_blocked_in_a_few_statements_each_after_its_own(
    store: Store, enqueue: Enqueue, end: End
) -> None:
    first, second = enqueue(), enqueue()
    new = new_runs(40)
    edges = [
        Edge(run=run_id, after=(first if number % 2 else second).id)
        for number, run_id in enumerate(new.uuids)
    ]
    with CaptureQueriesContext(connection) as queries:
        store.block(new, edges)
    assert len(queries) < 10
    end(first, Succeeded(None))
    unblock_all(store)
    assert [TaskRun.objects.get(id=run_id).state for run_id in new.uuids] == [
        "blocked",
        "ready",
    ] * 20


def test_what_follows_what_follows_waits_longer(
    store: Store, enqueue: Enqueue, block: Block, end: End
) -> None:
    first = enqueue()
    second = block(first.id)
    third = block(second.id)
    end(first, Succeeded(None))
    unblock_all(store)
    assert (state_of(second), state_of(third)) == ("ready", "blocked")
    end(second, Succeeded(None))
    unblock_all(store)
    assert state_of(third) == "ready"


@pytest.mark.parametrize(
    "outcome", [Failed(ValueError(), ENTRY), Cancelled(ValueError(), ENTRY)], ids=["failed", "not"]
)
def test_no_success_leaves_it_until_a_person_has_the_other_retried(
    store: Store, enqueue: Enqueue, block: Block, end: End, outcome: Settled
) -> None:
    first = enqueue()
    second = block(first.id)
    end(first, outcome)
    unblock_all(store)
    assert state_of(second) == "blocked"
    assert store.retry(first.id)
    end(first, Succeeded(None))
    unblock_all(store)
    assert state_of(second) == "ready"


def test_its_delay_and_expiry_count_from_then(
    store: Store, enqueue: Enqueue, block: Block, end: End
) -> None:
    first = enqueue()
    later = block(first.id, delay=timedelta(minutes=1), expires=30)
    at_once = block(first.id, expires=30)
    never = block(first.id)
    long_ago = timedelta(days=400)  # over every change of a clock
    for run in TaskRun.objects.blocked():
        TaskRun.objects.filter(id=run.id).update(
            enqueued_at=run.enqueued_at - long_ago,
            available_at=run.available_at - long_ago,
            expires_at=run.expires_at and run.expires_at - long_ago,
        )
    end(first, Succeeded(None))
    now = store.read_clock()
    unblock_all(store)
    row = TaskRun.objects.get(id=later.id)
    assert row.state == "scheduled"
    assert timedelta(seconds=59) < row.available_at - now < timedelta(seconds=70)
    assert timedelta(seconds=29) < row.expires_at - row.available_at < timedelta(seconds=31)
    row = TaskRun.objects.get(id=at_once.id)
    assert row.state == "ready"
    assert timedelta(seconds=29) < row.expires_at - row.available_at < timedelta(seconds=31)
    assert TaskRun.objects.get(id=never.id).expires_at is None


@pytest.mark.parametrize("expires", [1e12, 1e300])
def test_it_never_expires_where_no_date_is_as_late(
    store: Store, enqueue: Enqueue, block: Block, end: End, expires: float
) -> None:
    first = enqueue()
    second = block(first.id, expires=expires)
    end(first, Succeeded(None))
    unblock_all(store)
    row = TaskRun.objects.get(id=second.id)
    assert (row.state, row.expires_at) == ("ready", None)


def test_it_exists_if_the_transaction_commits(store: Store, enqueue: Enqueue, block: Block) -> None:
    with transaction.atomic():
        block(enqueue().id)
        transaction.set_rollback(True)
    assert not TaskRun.objects.exists()
    assert not Edge.objects.exists()


def test_only_noted_runs_are_looked_at_promptly(
    store: Store, enqueue: Enqueue, block: Block, end: End, django_assert_num_queries: Callable
) -> None:
    first = enqueue()
    second, stranger = block(first.id), block(enqueue(queue_name="other").id)
    followers = Followers(store)
    ended = [Attempt(end(first, Succeeded(None)), "a label")]
    ended[0].task = tasks.noop
    with django_assert_num_queries(0):
        assert not followers.unblock()
        followers.recorded(ended)  # not known to be followed
        assert not followers.unblock()
    schedule = {"id": 1, "label": "x", "scheduled_for": "2026-01-01T00:00:00+00:00"}
    ended[0].run.metadata = {OF_SCHEDULE: {**schedule, "is_followed": True}}
    followers.recorded(ended)
    assert followers.unblock()
    assert (state_of(second), state_of(stranger)) == ("ready", "blocked")
    with django_assert_num_queries(0):
        assert not followers.unblock()


# What other sessions do at the same time.


@pytest.fixture
def two_ended(enqueue: Enqueue, block: Block, end: End) -> tuple[list[TaskRun], TaskRun]:
    """Two runs that have succeeded, and one that waits for both."""
    others = [enqueue(), enqueue()]
    last = block(*(run.id for run in others))
    return [end(run, Succeeded(None)) for run in others], last


@pytest.fixture(params=[False, True], ids=["", "repeatable read"])
def in_a_session(request: pytest.FixtureRequest) -> Callable[[Callable[[], Any]], Any]:
    """``in_a_session(do)``: what that returns in another connection, of either isolation."""

    def in_a_session(do: Callable[[], Any]) -> Any:
        def isolated() -> Any:
            if request.param:
                read_repeatably()
            return do()

        return elsewhere(isolated)

    return in_a_session


@without_sqlite
def test_in_one_transaction_the_last_two_to_end_would_miss_each_other(
    store: Store, two_ended: tuple[list[TaskRun], TaskRun]
) -> None:
    (first, second), last = two_ended

    def delete_and_look(after: TaskRun) -> int:
        store.delete_edges(store.followers([after.id]))
        return store.unblock([last.id])

    with held_elsewhere(lambda: delete_and_look(first)) as unblocked:
        assert unblocked == 0
        assert delete_and_look(second) == 0  # it does not see what is not committed
    assert not Edge.objects.exists()
    assert state_of(last) == "blocked"
    assert store.unblock([last.id]) == 1  # as each of the two looks: later


@pytest.mark.parametrize("order", ["ddll", "dldl"])
def test_the_last_two_to_end_unblock_once(
    store: Store, two_ended: tuple[list[TaskRun], TaskRun], in_a_session: Callable, order: str
) -> None:
    """Each deletes its edge, then looks; whichever way these meet."""
    others, last = two_ended
    unblocked = 0
    for verb in order:
        if verb == "d":
            edges = store.followers([others.pop().id])
            in_a_session(lambda edges=edges: store.delete_edges(edges))
        else:
            unblocked += in_a_session(lambda: store.unblock([last.id]))
    assert unblocked == 1
    assert state_of(last) == "ready"


def test_many_workers_end_the_last_of_many(store: Store, enqueue: Enqueue, block: Block) -> None:
    others = [enqueue() for _ in range(40)]
    lasts = [block(*(run.id for run in others)) for _ in range(5)]
    now = store.read_clock()

    def succeed(mine: list[TaskRun]) -> int:
        unblocked = 0
        for run in mine:
            TaskRun.objects.filter(id=run.id).update(state="successful", finished_at=now)
            edges = store.followers([run.id])
            store.delete_edges(edges)
            unblocked += store.unblock([edge.run for edge in edges])
        return unblocked

    workers = [begin_elsewhere(lambda n=n: succeed(others[n::4])) for n in range(4)]
    assert sum(worker.result(timeout=60) for worker in workers) == 5
    assert {state_of(run) for run in lasts} == {"ready"}


def test_a_death_between_the_two_statements_leaves_a_run_without_an_edge(
    store: Store, enqueue: Enqueue, block: Block, end: End
) -> None:
    first = enqueue()
    second, third = block(first.id), block(enqueue(queue_name="other").id)
    end(first, Succeeded(None))
    store.delete_edges(store.followers([first.id]))  # and then the worker is killed
    assert state_of(second) == "blocked"
    unblock_all(store)
    assert (state_of(second), state_of(third)) == ("ready", "blocked")


def test_two_who_unblock_at_once_unblock_once(
    store: Store, enqueue: Enqueue, block: Block, end: End
) -> None:
    first = enqueue()
    second = block(first.id)
    end(first, Succeeded(None))
    store.delete_edges(store.followers([first.id]))

    with held_elsewhere(lambda: store.unblock([second.id])) as unblocked:
        other = begin_elsewhere(lambda: store.unblock([second.id]))
        assert unblocked == 1
    assert other.result(timeout=30) == 0
    assert state_of(second) == "ready"


@without_sqlite
def test_two_who_sweep_do_not_wait_for_each_other(
    store: Store, enqueue: Enqueue, block: Block, end: End
) -> None:
    first = enqueue()
    others = [block(first.id) for _ in range(3)]
    end(first, Succeeded(None))
    edges = store.followers([first.id])
    with held_elsewhere(lambda: store.delete_edges(edges[:1])):
        store.delete_edges(edges)
        assert store.unblock([run.id for run in others]) == 2
    assert store.unblock([run.id for run in others]) == 1


def test_a_cancelled_one_stays_so(store: Store, enqueue: Enqueue, block: Block, end: End) -> None:
    first = enqueue()
    second = block(first.id)
    assert store.cancel(second.id, ENTRY) == RunState.CANCELLED
    end(first, Succeeded(None))
    unblock_all(store)
    assert state_of(second) == "cancelled"
    assert not Edge.objects.exists()


def test_one_that_is_just_being_cancelled_is_not_unblocked(
    store: Store, enqueue: Enqueue, block: Block, end: End
) -> None:
    first = enqueue()
    second = block(first.id)
    end(first, Succeeded(None))
    store.delete_edges(store.followers([first.id]))
    with held_elsewhere(lambda: store.cancel(second.id, ENTRY)) as cancelled:
        other = begin_elsewhere(lambda: store.unblock([second.id]))
        assert cancelled == RunState.CANCELLED
    assert other.result(timeout=30) == 0
    assert state_of(second) == "cancelled"


def test_one_that_is_just_being_unblocked_is_cancelled_when_it_is_ready(
    store: Store, enqueue: Enqueue, block: Block, end: End
) -> None:
    first = enqueue()
    second = block(first.id)
    end(first, Succeeded(None))
    store.delete_edges(store.followers([first.id]))
    with held_elsewhere(lambda: store.unblock([second.id])) as unblocked:
        cancelled = begin_elsewhere(lambda: store.cancel(second.id, ENTRY))
        assert unblocked == 1
    assert cancelled.result(timeout=30) == RunState.CANCELLED
    assert state_of(second) == "cancelled"


def test_edges_of_a_run_that_was_cancelled_and_retried_hold_up_nobody(
    store: Store, enqueue: Enqueue, block: Block, end: End
) -> None:
    first, second = enqueue(queue_name="other"), enqueue()
    third = block(first.id, second.id)
    store.cancel(third.id, ENTRY)
    assert store.retry(third.id)
    end(second, Succeeded(None))
    assert store.aged(SUCCESSES, None, 10) == []
    unblock_all(store)
    assert state_of(third) == "ready"
    assert not Edge.objects.exists()
    assert [one.id for one in store.aged(SUCCESSES, None, 10)] == [second.id]


def test_a_retry_of_the_other_does_not_undo_that_it_has_ended(
    store: Store, enqueue: Enqueue, block: Block, end: End
) -> None:
    first = enqueue()
    second = block(first.id, any_end=True)
    end(first, Failed(ValueError(), ENTRY))
    edges = store.followers([first.id])
    assert elsewhere(lambda: store.retry(first.id))
    store.delete_edges(edges)
    assert store.unblock([second.id]) == 1


def test_a_rescue_of_the_other_is_no_end(
    store: Store, enqueue: Enqueue, block: Block, worker: UUID
) -> None:
    first = enqueue()
    second = block(first.id, any_end=True)
    store.claim(worker, "default", ["default"], {"thread": 1})
    store.give_up_dead(worker)
    assert len(store.rescue(10)) == 1
    unblock_all(store)
    assert state_of(second) == "blocked"


# Edges to what has ended, or ends at the same moment.


@pytest.mark.parametrize(
    ("outcome", "any_end"),
    [
        (Succeeded(None), False),
        (Succeeded(None), True),
        (Failed(ValueError(), ENTRY), True),
        (Failed(ValueError(), ENTRY), False),
    ],
)
def test_an_edge_that_holds_already_is_none(
    enqueue: Enqueue, block: Block, end: End, outcome: Settled, any_end: bool
) -> None:
    first = enqueue()
    end(first, outcome)
    second = block(first.id, any_end=any_end)
    waits = isinstance(outcome, Failed) and not any_end
    assert second.state == state_of(second) == ("blocked" if waits else "ready")
    assert Edge.objects.exists() == waits


def test_one_that_holds_already_leaves_the_others(
    store: Store, enqueue: Enqueue, block: Block, end: End
) -> None:
    first = enqueue()
    end(first, Succeeded(None))
    other = enqueue()
    second = block(first.id, other.id)
    assert Edge.objects.get().after == other.id
    end(other, Succeeded(None))
    unblock_all(store)
    assert state_of(second) == "ready"


@pytest.mark.parametrize("any_end", [False, True])
def test_what_is_enqueued_after_a_run_that_has_ended_waits_for_nothing(
    store: Store, end: End, any_end: bool
) -> None:
    backend: Any = tasks.noop.get_backend()
    first = tasks.noop.enqueue()
    end(TaskRun.objects.get(id=first.id), Succeeded(None))
    second = backend.enqueue_after(tasks.noop, [], {}, first, any_end=any_end)
    assert TaskRun.objects.get(id=second.id).state == "ready"
    assert not Edge.objects.exists()


def test_with_all_that_it_waits_for_done_it_is_scheduled_if_it_has_a_delay(
    store: Store, enqueue: Enqueue, block: Block, end: End
) -> None:
    first = enqueue()
    end(first, Succeeded(None))
    row = TaskRun.objects.get(id=block(first.id, delay=timedelta(hours=1), expires=30).id)
    assert row.state == "scheduled"
    assert row.available_at - row.enqueued_at == timedelta(hours=1)
    assert row.expires_at - row.available_at == timedelta(seconds=30)


@without_sqlite
def test_one_that_ends_before_the_edge_is_committed_is_seen_by_a_sweep(
    store: Store, enqueue: Enqueue, block: Block, end: End
) -> None:
    first = enqueue()
    with held_elsewhere(lambda: block(first.id)) as second:
        end(first, Succeeded(None))
        assert store.followers([first.id]) == []  # as its worker looks
        unblock_all(store)
    assert state_of(second) == "blocked"
    unblock_all(store)
    assert state_of(second) == "ready"


@without_sqlite
def test_an_old_snapshot_waits_for_what_has_ended_since(
    store: Store, enqueue: Enqueue, block: Block, end: End
) -> None:

    def block_late() -> TaskRun:
        read_repeatably()
        with transaction.atomic():
            assert TaskRun.objects.get(id=first.id).state == "ready"
            elsewhere(lambda: end(first, Succeeded(None)))
            return block(first.id)

    first = enqueue()
    second = elsewhere(block_late)
    unblock_all(store)
    assert state_of(second) == "ready"


# Gone.


def test_one_that_would_wait_for_ever_is_cancelled(
    store: Store, enqueue: Enqueue, block: Block, caplog: pytest.LogCaptureFixture
) -> None:
    gone, waits = uuid4(), enqueue()
    second = block(waits.id, gone)
    third = block(second.id)
    unblock_all(store)
    row = TaskRun.objects.get(id=second.id)
    assert row.state == "cancelled"
    assert f"The run {gone}, which it was to follow, is gone" in row.errors[-1]["traceback"]
    [line] = [line for line in caplog.records if line.levelname == "WARNING"]
    assert vars(line).items() >= {"task_id": str(row.id), "task_path": row.task_path}.items()
    assert state_of(third) == "blocked"  # until the second is pruned, or retried
    unblock_all(store)
    assert Edge.objects.get().run == third.id


def test_where_any_end_will_do_what_is_gone_has_ended(store: Store, block: Block) -> None:
    second = block(uuid4(), any_end=True)
    assert second.state == "blocked"  # it may be yet to come, when another transaction commits
    unblock_all(store)
    assert state_of(second) == "ready"


def test_a_success_is_not_pruned_before_what_follows_it_knows(
    store: Store, enqueue: Enqueue, block: Block, end: End
) -> None:
    first, other = enqueue(), enqueue(queue_name="other")
    second = block(first.id, other.id)
    end(first, Succeeded(None))
    assert store.aged(SUCCESSES, None, 10) == []
    assert store.prune(SUCCESSES, [first.id]) == 0
    unblock_all(store)
    assert state_of(second) == "blocked"
    assert [one.id for one in store.aged(SUCCESSES, None, 10)] == [first.id]
    assert store.prune(SUCCESSES, [first.id]) == 1
    unblock_all(store)
    assert state_of(second) == "blocked"  # it knows of that success


@without_sqlite
def test_a_success_that_is_pruned_before_the_caller_commits_counts(
    store: Store, enqueue: Enqueue, block: Block, end: End
) -> None:
    first = enqueue()
    end(first, Succeeded(None))
    with held_elsewhere(lambda: block(first.id)) as second:
        assert store.prune(SUCCESSES, [first.id]) == 1
    unblock_all(store)
    assert state_of(second) == "ready"


def test_a_failure_is_pruned_and_what_follows_it_is_cancelled(
    store: Store, enqueue: Enqueue, block: Block, end: End
) -> None:
    first = enqueue()
    second = block(first.id)
    end(first, Failed(ValueError(), ENTRY))
    assert store.prune(FAILURES, [first.id]) == 1
    unblock_all(store)
    assert state_of(second) == "cancelled"


def test_two_sweeps_at_once_cancel_once(store: Store, block: Block) -> None:
    second = block(uuid4())
    cancels = [begin_elsewhere(lambda: store.cancel_blocked(second.id, ENTRY)) for _ in range(3)]
    assert sorted(cancel.result(timeout=30) is not None for cancel in cancels) == [0, 0, 1]
    assert len(TaskRun.objects.get(id=second.id).errors) == 1


# The sweep.


def test_a_sweep_goes_on_where_it_was(
    store: Store, enqueue: Enqueue, block: Block, end: End, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskworks.duties.unblock.CHUNK", 2)
    first = enqueue()
    others = [block(first.id) for _ in range(5)]
    sweep = Unblocking(store)
    assert sweep.step()
    end(first, Succeeded(None))
    assert sweep.step()
    assert [state_of(run) for run in others] == ["blocked", "blocked", "ready", "ready", "blocked"]
    assert sweep.step()
    assert [state_of(run) for run in others] == ["blocked", "blocked", "ready", "ready", "ready"]
    while sweep.step():
        pass
    while sweep.step():
        pass
    assert {state_of(run) for run in others} == {"ready"}


def test_a_sweep_goes_through_what_has_no_edge_in_chunks(
    store: Store, enqueue: Enqueue, block: Block, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskworks.duties.unblock.CHUNK", 2)
    first = enqueue()
    others = [block(first.id) for _ in range(5)]
    Edge.objects.exclude(run=others[2].id).delete()
    sweep = Unblocking(store)
    ready = []
    while sweep.step():
        ready.append(TaskRun.objects.ready().count() - 1)
    assert ready == [2, 3]  # of two runs looked at, and of four
    assert {run.id for run in TaskRun.objects.blocked()} == {others[2].id}


def test_a_sweep_that_takes_too_long_goes_on_there(store: Store, block: Block) -> None:
    others = [block(uuid4()) for _ in range(3)]
    sweep = Unblocking(store)
    assert [sweep.step(within=0) for _ in range(4)] == [True, True, True, False]
    assert {state_of(run) for run in others} == {"cancelled"}
