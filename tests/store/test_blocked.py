"""A run that follows another: ready when that has succeeded, once, and not before."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.db import transaction

from taskworks.duties.unblock import Followers, Unblocking, unblock_all
from taskworks.execution import Attempt, Cancelled, Failed, Settled, Succeeded, settle
from taskworks.models import BlockedRun, RunState, TaskRun
from taskworks.options.policy import Policy
from taskworks.options.retention import Rule
from taskworks.progress import OF_SCHEDULE
from taskworks.store import Store
from tests import tasks
from tests.connections import begin_elsewhere, held_elsewhere
from tests.store.conftest import Enqueue

ENTRY = {"exception_class_path": "builtins.ValueError", "traceback": "no\n"}
Block = Callable[..., TaskRun]
End = Callable[[TaskRun, Settled], TaskRun]


@pytest.fixture
def block(store: Store) -> Block:
    def block(after: UUID, delay: timedelta | None = None, **expires: float) -> TaskRun:
        run = TaskRun(backend="default", queue_name="default", task_path="tests.tasks.noop")
        store.block(run, after, delay, **expires)
        return run

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
    assert not BlockedRun.objects.exists()


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
    later = block(first.id, timedelta(minutes=1), expires=30)
    at_once = block(first.id, expires=30)
    end(first, Succeeded(None))
    now = store.read_clock()
    unblock_all(store)
    row = TaskRun.objects.get(id=later.id)
    assert row.state == "scheduled"
    assert timedelta(seconds=59) < row.available_at - now < timedelta(seconds=70)
    assert timedelta(seconds=29) < row.expires_at - row.available_at < timedelta(seconds=31)
    row = TaskRun.objects.get(id=at_once.id)
    assert timedelta(seconds=29) < row.expires_at - row.available_at < timedelta(seconds=31)


def test_it_exists_if_the_transaction_commits(store: Store, enqueue: Enqueue, block: Block) -> None:
    with transaction.atomic():
        block(enqueue().id)
        transaction.set_rollback(True)
    assert not TaskRun.objects.exists()
    assert not BlockedRun.objects.exists()


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
        followers.settled(ended)  # not known to be followed
        assert not followers.unblock()
    ended[0].run.metadata = {OF_SCHEDULE: {"is_followed": True}}
    followers.settled(ended)
    assert followers.unblock()
    assert (state_of(second), state_of(stranger)) == ("ready", "blocked")
    with django_assert_num_queries(0):
        assert not followers.unblock()


def test_a_death_between_the_two_statements_harms_nobody(
    store: Store, enqueue: Enqueue, block: Block, end: End
) -> None:
    first = enqueue()
    second = block(first.id)
    end(first, Succeeded(None))
    [following] = store.followers([first.id])
    TaskRun.objects.filter(id=second.id).update(state="ready")  # and then the worker is killed
    end(second, Succeeded(None))
    assert not store.unblock(following)
    unblock_all(store)
    assert state_of(second) == "successful"
    assert not BlockedRun.objects.exists()


def test_two_who_unblock_at_once_unblock_once(
    store: Store, enqueue: Enqueue, block: Block, end: End
) -> None:
    first = enqueue()
    second = block(first.id)
    end(first, Succeeded(None))
    [following] = store.followers([first.id])

    with held_elsewhere(lambda: store.unblock(following)) as unblocked:
        other = begin_elsewhere(lambda: Store.unblock(store, following))
        assert unblocked
    assert not other.result(timeout=30)
    assert state_of(second) == "ready"


def test_a_cancelled_one_stays_so(store: Store, enqueue: Enqueue, block: Block, end: End) -> None:
    first = enqueue()
    second = block(first.id)
    assert store.cancel(second.id, ENTRY) == RunState.CANCELLED
    end(first, Succeeded(None))
    unblock_all(store)
    assert state_of(second) == "cancelled"
    assert not BlockedRun.objects.exists()


def test_one_that_would_wait_for_ever_is_cancelled(store: Store, block: Block) -> None:
    gone = uuid4()
    second = block(gone)
    third = block(second.id)
    unblock_all(store)
    row = TaskRun.objects.get(id=second.id)
    assert row.state == "cancelled"
    assert f"The run {gone}, which it was to follow, is gone" in row.errors[-1]["traceback"]
    assert state_of(third) == "blocked"  # until the second is pruned, or retried


def test_a_success_is_not_pruned_before_what_follows_it_knows(
    store: Store, enqueue: Enqueue, block: Block, end: End
) -> None:
    first = enqueue()
    second = block(first.id)
    end(first, Succeeded(None))
    rule = Rule("default", "successful", timedelta())
    assert store.aged(rule, None, 10) == []
    assert store.prune(rule, [first.id]) == 0
    unblock_all(store)
    assert state_of(second) == "ready"
    assert [one.id for one in store.aged(rule, None, 10)] == [first.id]
    assert store.prune(rule, [first.id]) == 1


def test_a_failure_is_pruned_and_what_follows_it_is_cancelled(
    store: Store, enqueue: Enqueue, block: Block, end: End
) -> None:
    first = enqueue()
    second = block(first.id)
    end(first, Failed(ValueError(), ENTRY))
    assert store.prune(Rule("default", "failed", timedelta()), [first.id]) == 1
    unblock_all(store)
    assert state_of(second) == "cancelled"


def test_a_sweep_goes_on_where_it_was(
    store: Store, enqueue: Enqueue, block: Block, end: End, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskworks.duties.unblock.CHUNK", 2)
    first = enqueue()
    others = sorted((block(first.id) for _ in range(5)), key=lambda run: run.id)
    sweep = Unblocking(store)
    assert sweep.step()
    end(first, Succeeded(None))
    assert sweep.step()
    assert [state_of(run) for run in others] == ["blocked", "blocked", "ready", "ready", "blocked"]
    assert not sweep.step()
    assert [state_of(run) for run in others] == ["blocked", "blocked", "ready", "ready", "ready"]
    while sweep.step():
        pass
    assert {state_of(run) for run in others} == {"ready"}
