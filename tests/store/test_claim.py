"""What a claim takes, in which order, and from whom."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection

from taskworks.models import TaskRun, Worker
from taskworks.store import Store
from tests.connections import begin_elsewhere, held_elsewhere
from tests.store.conftest import Enqueue

SECOND = timedelta(seconds=1)


def paths(runs: list[TaskRun]) -> list[str]:
    return [run.task_path for run in runs]


def test_a_claim_gives_whole_runs_with_one_fresh_token(
    store: Store, enqueue: Enqueue, worker: UUID
) -> None:
    ids = {enqueue(arguments=[[1]], kwargs={"a": None}).id for _ in range(2)}
    runs = store.claim(worker, "default", ["default"], {"thread": 10})
    assert {run.id for run in runs} == ids
    [token] = {run.claim_token for run in runs}
    for run in runs:
        assert (run.args, run.kwargs, run.errors, run.worker_ids) == ([1], {"a": None}, [], [])
        stored = TaskRun.objects.get(id=run.id)
        assert (stored.state, stored.claimed_by, stored.claim_token) == ("claimed", worker, token)
        assert stored.claimed_at == run.claimed_at
        assert run.enqueued_at <= run.claimed_at <= store.read_clock()
    enqueue()
    [other] = store.claim(worker, "default", ["default"], {"thread": 10})
    assert other.claim_token != token


def test_a_claim_takes_no_more_than_asked(store: Store, enqueue: Enqueue, worker: UUID) -> None:
    for _ in range(5):
        enqueue()
    assert len(store.claim(worker, "default", ["default"], {"thread": 3})) == 3
    assert len(store.claim(worker, "default", ["default"], {"thread": 3})) == 2
    assert store.claim(worker, "default", ["default"], {"thread": 3}) == []


def test_the_order_is_rank_then_available_at_then_id(
    store: Store, enqueue: Enqueue, worker: UUID
) -> None:
    now = store.read_clock()
    for path, rank, age in [
        ("late", 0, 1),
        ("low", 10, 99),
        ("early", 0, 5),
        ("high", -10, 0),
    ]:
        run = enqueue(task_path=path, rank=rank)
        TaskRun.objects.filter(id=run.id).update(available_at=now - age * SECOND)
    twins = sorted([enqueue(task_path="twin"), enqueue(task_path="twin")], key=lambda run: run.id)
    TaskRun.objects.filter(task_path="twin").update(available_at=now)
    runs = store.claim(worker, "default", ["default"], {"thread": 10})
    assert paths(runs) == ["high", "early", "late", "twin", "twin", "low"]
    assert [run.id for run in runs if run.task_path == "twin"] == [run.id for run in twins]


def test_several_queues_are_one_order(store: Store, enqueue: Enqueue, worker: UUID) -> None:
    now = store.read_clock()
    for age, (queue, path) in enumerate(
        [("b", "5th"), ("a", "4th"), ("b", "3rd"), ("a", "2nd"), ("c", "1st")]
    ):
        run = enqueue(queue_name=queue, task_path=path)
        TaskRun.objects.filter(id=run.id).update(available_at=now + age * -SECOND)
    assert paths(store.claim(worker, "default", ["a", "b", "c", "empty"], {"thread": 3})) == [
        "1st",
        "2nd",
        "3rd",
    ]
    assert paths(store.claim(worker, "default", ["a", "b", "c"], {"thread": 3})) == ["4th", "5th"]


def test_other_queues_and_backends_are_left_alone(
    store: Store, enqueue: Enqueue, worker: UUID
) -> None:
    enqueue(queue_name="mail")
    enqueue(backend="other")
    assert store.claim(worker, "default", ["default"], {"thread": 10}) == []
    assert store.claim(worker, "default", [], {"thread": 10}) == []
    assert TaskRun.objects.ready().count() == 2


def test_the_queues_with_ready_runs_are_found(store: Store, enqueue: Enqueue) -> None:
    assert store.ready_queues("default") == []
    for queue in ["b", "a", "b", "c"]:
        enqueue(queue_name=queue)
    enqueue(queue_name="others", backend="other")
    TaskRun.objects.filter(queue_name="c").update(state="successful")
    assert store.ready_queues("default") == ["a", "b"]


def test_a_queue_whose_name_begins_with_a_control_character_is_found(
    store: Store, enqueue: Enqueue, worker: UUID
) -> None:
    """As somebody else may have written it: MariaDB has it before the empty name."""
    names = {"\ta", "\x01", "b"}
    for name in names:
        enqueue(queue_name=name)
    assert {*store.ready_queues("default")} == names
    assert len(store.ready_queues("default", None, 2)) == 2
    assert {*store.outlook("default").queues} == names
    assert len(store.claim(worker, "default", [*names], {"thread": 9})) == 3


def test_a_worker_that_was_given_up_claims_nothing(
    store: Store, enqueue: Enqueue, worker: UUID
) -> None:
    enqueue()
    Worker.objects.update(given_up_at=store.read_clock())
    assert store.claim(worker, "default", ["default"], {"thread": 10}) == []
    Worker.objects.all().delete()
    assert store.claim(worker, "default", ["default"], {"thread": 10}) == []
    assert TaskRun.objects.ready().count() == 1


def test_a_run_is_claimed_once_by_many_connections(
    store: Store, enqueue: Enqueue, new_worker: Callable[[], UUID]
) -> None:
    for _ in range(200):
        enqueue()
    workers = [new_worker() for _ in range(8)]

    def claim_all(worker: UUID) -> list[UUID]:
        claimed = []
        while runs := store.claim(worker, "default", ["default"], {"thread": 3}):
            claimed += [run.id for run in runs]
        return claimed

    futures = [begin_elsewhere(lambda worker=worker: claim_all(worker)) for worker in workers]
    claimed = [id_ for future in futures for id_ in future.result(timeout=60)]
    assert len(claimed) == len(set(claimed)) == 200


def test_a_claim_under_way_elsewhere_is_passed_over_without_waiting(
    store: Store, enqueue: Enqueue, new_worker: Callable[[], UUID]
) -> None:
    if not connection.features.has_select_for_update_skip_locked:
        pytest.skip("SQLite has one writer at a time: no claim sees another under way.")
    first, second = enqueue(), enqueue()
    one, other = new_worker(), new_worker()
    with held_elsewhere(lambda: store.claim(one, "default", ["default"], {"thread": 1})) as held:
        assert [run.id for run in held] == [first.id]
        assert [run.id for run in store.claim(other, "default", ["default"], {"thread": 2})] == [
            second.id
        ]
        assert store.claim(other, "default", ["default"], {"thread": 2}) == []
