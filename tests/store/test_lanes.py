"""What a claim of limited runs takes: never too many at once, and from each lane in its turn."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from threading import Event
from uuid import UUID

import pytest
from django.db import IntegrityError, connection, transaction

from taskworks.models import Limit, RunState, TaskRun, Worker
from taskworks.models.pause import Scope
from taskworks.store import Store
from taskworks.store.limiting import Line, shared_out
from taskworks.store.rating import OpenLane
from tests.connections import begin_elsewhere, elsewhere, held_elsewhere
from tests.new_runs import new_runs
from tests.store.conftest import Enqueue

SECOND = timedelta(seconds=1)
LINE = Line("of lanes", "default", ("default",), "thread")
ENTRY = {"exception_class_path": "builtins.OSError", "traceback": ""}


def limit(at_once: int | None = None, total: int | None = None, name: str = "of lanes") -> Limit:
    numbers = {"at_once": at_once, "total": total}
    return Limit.objects.create(name=name, declared=numbers, **numbers)


@pytest.fixture
def fill(store: Store) -> Callable[..., list[UUID]]:
    def fill(*lanes: str, **columns: object) -> list[UUID]:
        new = new_runs(lanes=[*lanes], limit_name="of lanes", **columns)
        store.enqueue(new)
        return new.uuids

    return fill


@pytest.fixture
def claim(store: Store, worker: UUID) -> Callable[..., list[TaskRun]]:
    def claim(most: int = 100, line: Line = LINE) -> list[TaskRun]:
        return store.claim_limited(worker, line, most).runs

    return claim


Fill = Callable[..., list[UUID]]
Claim = Callable[..., list[TaskRun]]


def lanes(runs: list[TaskRun]) -> list[str | None]:
    return [run.lane for run in runs]


def in_hand(lane: str = "a") -> int:
    return TaskRun.objects.in_hand().filter(lane=lane).count()


def finish(store: Store, *runs: TaskRun) -> None:
    for run in runs:
        run.state, run.finished_at = "successful", store.read_clock()
    assert len(store.finish(runs)) == len(runs)


# What is taken.


def test_a_claim_gives_whole_runs_with_their_lanes(store: Store, fill: Fill, worker: UUID) -> None:
    limit(at_once=5)
    fill("a", "b", "a")
    claimed = store.claim_limited(worker, LINE, 10).runs
    assert sorted(filter(None, lanes(claimed))) == ["a", "a", "b"]
    assert len({run.claim_token for run in claimed}) == 1
    for run in claimed:
        row = TaskRun.objects.get(id=run.id)
        for field in TaskRun._meta.concrete_fields:
            assert getattr(run, field.attname) == getattr(row, field.attname), field.attname
        assert (row.state, row.claimed_by, row.limit_name) == ("claimed", worker, "of lanes")


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite locks no rows")
def test_a_lane_whose_run_somebody_holds_holds_up_no_other(
    store: Store, fill: Fill, worker: UUID
) -> None:
    """As a caller does who has met a waiting run under its unique key."""
    limit(at_once=1)
    [held] = fill("a")
    fill("b", "c")
    row = TaskRun.objects.filter(id=held).select_for_update()
    with held_elsewhere(lambda: list(row)):
        claims = [store.claim_limited(worker, LINE, 1) for _ in range(3)]
        assert [lanes(claim.runs) for claim in claims] == [[], ["b"], ["c"]]
        assert claims[0].may_have_more
        assert store.claim_limited(worker, LINE, 9)[:2] == ([], True)
    assert lanes(store.claim_limited(worker, LINE, 9).runs) == ["a"]


def test_unlimited_and_limited_runs_are_claimed_by_statements_of_their_own(
    store: Store, enqueue: Enqueue, fill: Fill, worker: UUID
) -> None:
    limit()
    fill("a")
    plain = enqueue()
    assert store.ready_queues("default") == ["default"]
    assert [run.id for run in store.claim(worker, "default", ["default"], {"thread": 9})] == [
        plain.id
    ]
    [run] = TaskRun.objects.filter(state="claimed")
    assert (run.limit_name, run.lane) == (None, None)
    assert store.ready_queues("default") == []
    assert len(store.claim_limited(worker, LINE, 9).runs) == 1


def test_whether_limited_runs_are_ready_is_part_of_the_outlook(
    store: Store, enqueue: Enqueue, fill: Fill
) -> None:
    enqueue()
    fill("a", run_after=timedelta(hours=1))
    assert not store.outlook("default").has_limited
    assert store.limited_names() == []
    fill("a", queue_name="mail")
    fill("b", "a", queue_name="default")
    fill("b", backend="other")
    fill("b", executor="process")
    store.enqueue(new_runs(lanes=["a"], limit_name="exports"))
    assert store.outlook("default").has_limited
    assert store.limited_names() == [
        ("exports", "default", "default", "thread"),
        ("of lanes", "default", "default", "process"),
        ("of lanes", "default", "default", "thread"),
        ("of lanes", "default", "mail", "thread"),
        ("of lanes", "other", "default", "thread"),
    ]


def test_no_more_of_a_lane_than_at_once_and_no_more_than_total(
    store: Store, fill: Fill, claim: Claim
) -> None:
    limit(at_once=2, total=5)
    fill(*"aaaaabbbbbcccccddddd")
    runs = claim()
    assert Counter(lanes(runs)) == {"a": 2, "b": 1, "c": 1, "d": 1}
    assert claim() == []
    finish(store, *(run for run in runs if run.lane == "a"))
    assert Counter(lanes(claim())) == {"b": 1, "c": 1}  # whose turn it is, though a is free


def test_in_a_lane_the_order_is_that_of_claims(store: Store, fill: Fill, claim: Claim) -> None:
    limit(at_once=10)
    now = store.read_clock()
    for number, (rank, age) in enumerate([(0, 1), (10, 99), (0, 5), (-10, 0)]):
        [run] = fill("a", rank=rank, task_path=f"{number}")
        TaskRun.objects.filter(id=run).update(available_at=now - age * SECOND)
    assert [run.task_path for run in claim(3)] == ["3", "2", "0"]
    assert [run.task_path for run in claim(3)] == ["1"]


def test_lanes_take_turns_whatever_their_priority(store: Store, fill: Fill, claim: Claim) -> None:
    limit()
    fill(*"aaaaaaaaaa", rank=-100)
    fill(*"bbcccd", rank=100)
    assert [*map(lanes, (claim(1) for _ in range(6)))] == [["a"], ["b"], ["c"], ["d"], ["a"], ["b"]]
    assert Counter(lanes(claim(4))) == {"c": 2, "a": 2}  # c, a, c, a


def test_of_one_claim_each_lane_has_one_before_any_has_a_second(fill: Fill, claim: Claim) -> None:
    """They are executed in this order, too."""
    limit()
    fill(*"aaaaabbbbbccccc")
    assert lanes(claim(7)) == [*"abcabca"]
    assert lanes(claim(4)) == [*"bcab"]


# What is claimed ahead.


def ahead(store: Store, worker: UUID, most: int, ahead: int) -> tuple[int, bool]:
    """How many runs a claim takes, and whether it holds back more."""
    claimed = store.claim_limited(worker, LINE, most, ahead)
    return len(claimed.runs), claimed.holds_back


@pytest.mark.parametrize(
    ("numbers", "taken"),
    [
        ({}, (24, False)),
        ({"at_once": 100}, (24, False)),
        ({"at_once": 8}, (6, True)),  # of the 4 that are left, half
        ({"at_once": 4}, (4, False)),
        ({"at_once": 3}, (3, False)),
        ({"total": 9}, (6, True)),
        ({"total": 2}, (2, False)),
        ({"at_once": 8, "total": 6}, (5, True)),
    ],
)
def test_ahead_half_of_the_slots_that_are_left_are_taken(
    store: Store, fill: Fill, worker: UUID, numbers: dict[str, int], taken: tuple[int, bool]
) -> None:
    limit(**numbers)
    fill(*["a"] * 200)
    assert ahead(store, worker, 4, 20) == taken


def test_as_few_are_ahead_as_there_are_ready(store: Store, fill: Fill, worker: UUID) -> None:
    limit(at_once=100)
    fill(*"aaabbb")
    assert ahead(store, worker, 1, 20) == (6, False)


def test_another_worker_finds_slots_beside_what_is_claimed_ahead(
    store: Store, fill: Fill, new_worker: Callable[[], UUID]
) -> None:
    limit(at_once=2)
    fill(*[f"{number % 10}" for number in range(100)])
    assert ahead(store, new_worker(), 4, 100) == (12, True)
    assert ahead(store, new_worker(), 4, 100) == (6, True)
    assert ahead(store, new_worker(), 4, 100) == (2, False)


def test_of_many_lanes_of_one_slot_half_are_taken_ahead(
    store: Store, fill: Fill, worker: UUID
) -> None:
    limit(at_once=1)
    fill(*[f"{number:03}" for number in range(300)])
    claimed = store.claim_limited(worker, LINE, 4, 100)
    assert len(claimed.runs) == 4 + 50
    assert (claimed.may_have_more, claimed.holds_back) == (True, False)


@pytest.mark.parametrize("numbers", [{"rate": "100/s"}, {"total_rate": "100/s"}])
def test_with_a_rate_none_are_taken_ahead(
    store: Store, fill: Fill, worker: UUID, numbers: dict[str, str]
) -> None:
    """Who gives a run back has used its place in the rate."""
    Limit.objects.create(name="of lanes", declared=numbers, **numbers)
    fill(*["a"] * 50)
    assert ahead(store, worker, 4, 20) == (4, True)
    assert ahead(store, worker, 0, 20) == (0, True)


def test_while_a_key_is_held_none_are_taken_ahead(store: Store, fill: Fill, worker: UUID) -> None:
    limit()
    fill(*"aabb")
    store.hold_keys("of lanes", {"c": store.read_clock() + timedelta(hours=1)})
    assert ahead(store, worker, 1, 20) == (1, True)


def test_a_full_lane_is_passed_over_however_many_wait_in_it(fill: Fill, claim: Claim) -> None:
    """Case 19: those that wait are not touched, so no attempt is spent waiting."""
    limit(at_once=1)
    fill(*["a"] * 50, rank=-100)
    fill("b", "z")
    assert Counter(lanes(claim(2))) == {"a": 1, "b": 1}
    before = [*TaskRun.objects.filter(lane="a").order_by("id").values()]
    assert lanes(claim(2)) == ["z"]
    assert claim(2) == []
    assert [*TaskRun.objects.filter(lane="a").order_by("id").values()] == before


def test_several_queues_share_lanes_slots_and_turns(fill: Fill, claim: Claim) -> None:
    limit(at_once=3, total=4)
    fill(*"aaaa", queue_name="one", rank=1)
    fill(*"aabb", queue_name="two", rank=0)
    line = LINE._replace(queues=("one", "two"))
    claimed = claim(100, line)
    assert {run.queue_name for run in claimed} == {"two"}
    assert lanes(claimed) == ["a", "b", "a", "b"]
    assert claim(100, line) == []
    assert claim(100, LINE._replace(queues=("one",))) == []


def test_what_waits_in_a_queue_that_nobody_takes_holds_no_slot(
    store: Store, fill: Fill, claim: Claim
) -> None:
    """Case 13."""
    limit(at_once=1, total=1)
    fill(*"aaaa", queue_name="nobody", rank=-100)
    fill("a", "b")
    for lane in "ab":
        [run] = claim()
        assert (run.lane, run.queue_name) == (lane, "default")
        finish(store, run)
    assert TaskRun.objects.ready().filter(queue_name="nobody").count() == 4


def test_other_queues_backends_executors_and_limits_are_left_alone(
    store: Store, fill: Fill, claim: Claim
) -> None:
    limit(at_once=1)
    fill("a", queue_name="mail")
    fill("a", backend="other")
    fill("a", executor="process")
    store.enqueue(new_runs(lanes=["a"], limit_name="exports"))
    assert claim() == []
    assert lanes(claim(9, LINE._replace(backend="other"))) == ["a"]
    # One slot for all backends, queues and executors, but none of another limit.
    assert claim(9, LINE._replace(executor="process")) == []
    assert lanes(claim(9, LINE._replace(limit="exports"))) == ["a"]


def test_it_says_whether_there_may_be_more(store: Store, fill: Fill, worker: UUID) -> None:
    limit(at_once=20)
    fill("a", *"bbbbbbbbbb")
    runs, may_have_more, *_ = store.claim_limited(worker, LINE, 10)
    assert (Counter(lanes(runs)), may_have_more) == ({"a": 1, "b": 5}, True)
    runs, may_have_more, *_ = store.claim_limited(worker, LINE, 10)
    assert (Counter(lanes(runs)), may_have_more) == ({"b": 5}, False)
    assert store.claim_limited(worker, LINE, 10)[:2] == ([], False)


def test_a_worker_that_was_given_up_claims_nothing(store: Store, fill: Fill, claim: Claim) -> None:
    limit()
    fill("a")
    Worker.objects.update(given_up_at=store.read_clock())
    assert claim() == []
    Worker.objects.all().delete()
    assert claim() == []
    assert TaskRun.objects.ready().count() == 1


def test_a_limit_that_nobody_declares_limits_nothing(fill: Fill, claim: Claim) -> None:
    fill(*"aaa")
    assert len(claim()) == 3
    [row] = Limit.objects.all()
    assert (row.name, row.declared, row.at_once) == ("of lanes", None, None)
    Limit.objects.update(at_once=1, total=1)
    fill(*"aaa")
    assert len(claim()) == 3


@pytest.mark.parametrize("nonsense", ["nonsense", '["a"]', '{"default thread": 5}', "[]", ""])
def test_nonsense_in_the_row_of_a_limit_costs_only_the_turn(
    fill: Fill, claim: Claim, nonsense: str
) -> None:
    limit(at_once=1)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE taskworks_limit SET turns = %s", [nonsense])
    fill(*"aab")
    assert lanes(claim(1)) == ["a"]
    assert lanes(claim(1)) == ["b"]


@pytest.mark.skipif(connection.vendor != "sqlite", reason="Others take only numbers there.")
def test_nonsense_in_place_of_a_number_is_no_limit(fill: Fill, claim: Claim) -> None:
    limit(at_once=1, total=2)
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA ignore_check_constraints = ON")
        cursor.execute("UPDATE taskworks_limit SET at_once = 'nonsense'")
        cursor.execute("PRAGMA ignore_check_constraints = OFF")
    fill(*"aaa")
    assert lanes(claim()) == ["a", "a"]


def test_runs_that_are_enqueued_together_have_lanes_of_their_own(store: Store, fill: Fill) -> None:
    ids = fill("a", "b", "ü", "🙂", "*", "'", "%", 'a"\\', arguments=[[n] for n in range(8)])
    stored = {run.id: (run.lane, run.args) for run in TaskRun.objects.all()}
    assert [stored[id_] for id_ in ids] == [
        (lane, [n]) for n, lane in enumerate(["a", "b", "ü", "🙂", "*", "'", "%", 'a"\\'])
    ]


def test_keys_with_any_characters_are_claimed(fill: Fill, claim: Claim) -> None:
    """Case 24: a key named `*` strands nothing."""
    limit(at_once=1)
    odd = ["*", "'", "%", "%s", "t%", "\\", '"', "🙂", "A", "a", "ä", "null", "x" * 128, ":a", "{}"]
    fill(*odd, *odd)
    assert sorted(filter(None, lanes(claim()))) == sorted(odd)
    assert claim() == []


@pytest.mark.parametrize(
    ("limit_name", "lane"),
    [("of lanes", None), (None, "a"), ("of lanes", ""), ("", "a"), ("", ""), ("", None)],
)
def test_a_run_with_a_limit_and_no_lane_cannot_be_written(
    enqueue: Enqueue, fill: Fill, limit_name: str | None, lane: str | None
) -> None:
    """Nor one with a lane and no limit: no claim would ever take it."""
    fill("a")
    enqueue()
    for run in TaskRun.objects.all():
        with pytest.raises(IntegrityError), transaction.atomic():
            TaskRun.objects.filter(id=run.id).update(limit_name=limit_name, lane=lane)
    assert TaskRun.objects.update(limit_name="of lanes", lane="b") == 2
    assert TaskRun.objects.update(limit_name=None, lane=None) == 2


# Never too many, with two connections.


def test_a_run_of_higher_priority_that_commits_in_between_is_not_one_too_many(
    store: Store, fill: Fill, new_worker: Callable[[], UUID]
) -> None:
    """
    Case 7. What a statement sees was committed when it began; a claim that counted in the
    statement that locks would not see the other one's run, and lock a row of its own.
    """
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time: no claim sees another under way.")
    limit(at_once=1)
    fill("a")
    one, other = new_worker(), new_worker()
    with held_elsewhere(lambda: store.claim_limited(one, LINE, 1)) as (first, *_):
        assert len(first) == 1
        fill("a", rank=-100)
        assert store.claim_limited(other, LINE, 1)[:2] == ([], True)
    assert store.claim_limited(other, LINE, 1)[:2] == ([], False)
    assert in_hand() == 1


def test_a_claim_that_has_the_lock_sees_what_was_claimed_until_then(
    store: Store, fill: Fill, new_worker: Callable[[], UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order of statements that matters: the other claims and commits just before our lock."""
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time: no claim sees another under way.")
    limit(at_once=1)
    fill("a", "a")
    one, other = new_worker(), new_worker()
    lock = store._locked_limit
    claimed = []

    def lock_after_the_other(name: str) -> Limit | None:
        if not claimed:
            claimed.append(None)
            claimed.append(elsewhere(lambda: type(store)(store.alias).claim_limited(one, LINE, 1)))
        return lock(name)

    monkeypatch.setattr(store, "_locked_limit", lock_after_the_other)
    with transaction.atomic():  # as the claim's own: it has begun before the other
        TaskRun.objects.filter(id=UUID(int=0)).exists()
        assert store.claim_limited(other, LINE, 1)[:2] == ([], False)
    assert len(claimed[1].runs) == 1
    assert in_hand() == 1


def test_many_connections_never_have_too_many(
    store: Store, fill: Fill, new_worker: Callable[[], UUID]
) -> None:
    """Case 5 too: none of them sees a deadlock."""
    limit(at_once=2, total=7)
    fill(*"abcde" * 30)
    done = Event()

    def watch() -> list[tuple[int, int]]:
        seen = []
        while not done.is_set():
            rows = [*TaskRun.objects.in_hand().values_list("lane", flat=True)]
            seen.append((len(rows), max(Counter(rows).values(), default=0)))
        return seen

    def work(worker: UUID) -> int:
        count = 0
        while TaskRun.objects.ready().exists():
            runs = store.claim_limited(worker, LINE, 1, 4).runs
            finish(store, *runs) if runs else None
            count += len(runs)
        return count

    watching = begin_elsewhere(watch)
    workers = [new_worker() for _ in range(6)]
    working = [begin_elsewhere(lambda worker=worker: work(worker)) for worker in workers]
    assert sum(future.result(timeout=120) for future in working) == 150
    done.set()
    seen = watching.result(timeout=60)
    assert max(total for total, _ in seen) <= 7
    assert max(most for _, most in seen) <= 2


def test_lower_numbers_stop_nothing_and_start_nothing_until_they_hold(
    store: Store, fill: Fill, claim: Claim
) -> None:
    limit(at_once=3, total=6)
    fill(*"aaaaabbbbb")
    runs = claim()
    assert len(runs) == 6
    Limit.objects.update(at_once=1, total=3)
    of_a, of_b = ([run for run in runs if run.lane == lane] for lane in "ab")
    finish(store, *of_a[:2], of_b[0])
    assert claim() == []  # 1 and 2 are in hand, which is the total
    finish(store, of_a[2])
    assert lanes(claim()) == ["a"]
    Limit.objects.update(at_once=None, total=None)
    assert len(claim()) == 4 - 1


# No slot is held by a row that nobody has in hand, whatever became of it.


def start(store: Store, run: TaskRun) -> None:
    run.state, run.attempts = "running", run.attempts + 1
    assert store.start([run])


def fail(store: Store, run: TaskRun) -> None:
    run.state, run.finished_at = "failed", store.read_clock()
    assert store.finish([run])


def retry_later(store: Store, run: TaskRun) -> None:
    """Case 12: a retry that is due tomorrow holds nothing."""
    start(store, run)
    run.state, run.available_at = "scheduled", store.read_clock() + timedelta(days=1)
    run.failures = 1
    assert store.requeue([run])


def release(store: Store, run: TaskRun) -> None:
    run.state = "ready"
    assert store.release([run])
    TaskRun.objects.filter(id=run.id).update(rank=100)


def rescue(store: Store, run: TaskRun) -> None:
    """Cases 1 and 35: nothing but the rescue frees it, and nothing else is needed."""
    start(store, run)
    Worker.objects.filter(id=run.claimed_by).delete()
    assert [one.id for one in store.rescue(10)] == [run.id]


def fail_lost(store: Store, run: TaskRun) -> None:
    start(store, run)
    TaskRun.objects.filter(id=run.id).update(at_most_once=True)
    Worker.objects.filter(id=run.claimed_by).delete()
    assert [one.id for one in store.fail_lost(10, ENTRY)] == [run.id]


def cancel_in_hand(store: Store, run: TaskRun) -> None:
    """Case 9."""
    start(store, run)
    assert store.cancel(run.id, ENTRY) == RunState.RUNNING
    run.state, run.finished_at = "cancelled", store.read_clock()
    assert store.finish([run])


def cancel_lost(store: Store, run: TaskRun) -> None:
    assert store.cancel(run.id, ENTRY) == RunState.CLAIMED
    Worker.objects.filter(id=run.claimed_by).delete()
    assert [one.id for one in store.cancel_lost(10, ENTRY)] == [run.id]


def delete(store: Store, run: TaskRun) -> None:
    TaskRun.objects.filter(id=run.id).delete()


@pytest.mark.parametrize(
    "end",
    [
        finish,
        fail,
        retry_later,
        release,
        rescue,
        fail_lost,
        cancel_in_hand,
        cancel_lost,
        delete,
    ],
)
def test_a_slot_is_free_as_soon_as_its_run_is_not_in_hand(
    store: Store,
    fill: Fill,
    claim: Claim,
    new_worker: Callable[[], UUID],
    end: Callable[[Store, TaskRun], None],
) -> None:
    limit(at_once=1, total=1)
    fill("a", "a")
    holder = new_worker()
    [run] = store.claim_limited(holder, LINE, 1).runs
    assert claim() == []
    end(store, run)
    [other] = claim()
    assert other.id != run.id
    assert in_hand() == 1


def test_a_run_that_takes_long_keeps_its_slot_as_long_as_its_worker_lives(
    store: Store, fill: Fill, claim: Claim, new_worker: Callable[[], UUID]
) -> None:
    """Case 18: nothing expires, however long ago it was claimed."""
    limit(at_once=1)
    fill("a", "a")
    holder, witness = new_worker(), new_worker()
    [run] = store.claim_limited(holder, LINE, 1).runs
    start(store, run)
    TaskRun.objects.filter(id=run.id).update(claimed_at=store.read_clock() - timedelta(days=1))
    Worker.objects.update(started_at=store.read_clock() - timedelta(days=2))
    assert store.heartbeat(holder)
    assert store.give_up(timedelta(seconds=30), witness) == 0
    assert store.rescue(10) == []
    assert claim() == []
    finish(store, run)
    assert len(claim()) == 1


def test_a_run_that_is_enqueued_while_a_slot_becomes_free_is_not_stranded(
    store: Store, fill: Fill, claim: Claim
) -> None:
    """Case 4: whoever enqueues asks nothing of the limit, so the two cannot miss each other."""
    if not connection.features.has_select_for_update_skip_locked:
        pytest.skip("SQLite has one writer at a time: an enqueue and a finish cannot cross.")
    limit(at_once=1)
    fill("a")
    [run] = claim()
    with held_elsewhere(lambda: fill("a")) as (late,):
        finish(store, run)
        assert claim() == []
    assert [one.id for one in claim()] == [late]


def test_a_late_finish_of_a_worker_that_was_given_up_frees_no_slot(
    store: Store, fill: Fill, claim: Claim, new_worker: Callable[[], UUID]
) -> None:
    """Case 2: it matches nothing, and what counts are rows."""
    limit(at_once=1)
    fill("a", "a")
    [run] = store.claim_limited(new_worker(), LINE, 1).runs
    rescue(store, run)
    [again] = claim(1, LINE._replace(executor="alone"))
    assert again.id == run.id
    run.state, run.finished_at = "successful", store.read_clock()
    assert store.finish([run]) == set()
    assert in_hand() == 1
    assert claim() == []


def test_a_run_retried_by_hand_waits_for_a_slot(store: Store, fill: Fill, claim: Claim) -> None:
    limit(at_once=1)
    fill("a", "a")
    [first] = claim()
    fail(store, first)
    [second] = claim()
    assert store.retry(first.id)
    assert claim() == []
    finish(store, second)
    assert [run.id for run in claim()] == [first.id]


def test_what_is_scheduled_or_blocked_keeps_its_lane(
    store: Store, fill: Fill, claim: Claim
) -> None:
    limit(at_once=1)
    [run] = fill("a", run_after=timedelta(hours=1))
    assert claim() == []
    TaskRun.objects.update(available_at=store.read_clock())
    assert store.promote(10) == 1
    assert [one.id for one in claim()] == [run]


def test_pruning_frees_nothing_that_is_in_hand(store: Store, fill: Fill, claim: Claim) -> None:
    from taskworks.options.retention import Rule

    limit(at_once=1)
    fill(*"aaa")
    [run] = claim()
    finish(store, run)
    [held] = claim()
    rule = Rule("default", "successful", timedelta())
    assert store.prune(rule, [run.id, held.id]) == 1
    assert in_hand() == 1
    assert claim() == []


# Each in its turn.


def test_a_lane_with_a_free_slot_is_reached_within_one_rotation(
    store: Store, fill: Fill, claim: Claim
) -> None:
    """Case 20: one key has the head of the line, and the slots are few."""
    limit(at_once=5, total=3)
    fill(*["hot"] * 300, rank=-100)
    cold = [f"{number:03}" for number in range(60)]
    fill(*cold)
    started: list[str | None] = []
    while {*cold} - {*started}:
        runs = claim(1)
        assert runs
        started += lanes(runs)
        finish(store, *runs)
    assert len(started) <= len(cold) + 1


def test_the_turn_is_kept_in_the_database(
    store: Store, fill: Fill, new_worker: Callable[[], UUID]
) -> None:
    """Workers that come and go, each with one claim, do not begin with the same lane."""
    limit(total=1)
    fill(*"aaabbbccc")
    started = []
    for _ in range(6):
        [run] = store.claim_limited(new_worker(), LINE, 1).runs
        started.append(run.lane)
        finish(store, run)
    assert started == ["a", "b", "c", "a", "b", "c"]


def test_executors_have_turns_of_their_own(store: Store, fill: Fill, claim: Claim) -> None:
    limit()
    fill(*"aabb")
    fill(*"aabb", executor="process")
    assert lanes(claim(1)) == ["a"]
    assert lanes(claim(1, LINE._replace(executor="process"))) == ["a"]
    assert lanes(claim(1)) == ["b"]


# Others.


def test_a_limit_that_is_claimed_from_elsewhere_holds_up_no_other(
    store: Store, enqueue: Enqueue, fill: Fill, new_worker: Callable[[], UUID]
) -> None:
    """Case 22."""
    if not connection.features.has_select_for_update_skip_locked:
        pytest.skip("SQLite has one writer at a time: no claim sees another under way.")
    limit()
    limit(name="exports")
    fill("a", "b")
    store.enqueue(new_runs(lanes=["a"], limit_name="exports"))
    plain = enqueue()
    one, other = new_worker(), new_worker()
    with held_elsewhere(lambda: store.claim_limited(one, LINE, 1)):
        assert store.claim_limited(other, LINE, 1)[:2] == ([], True)
        assert len(store.claim_limited(other, LINE._replace(limit="exports"), 1).runs) == 1
        [run] = store.claim(other, "default", ["default"], {"thread": 1})
        assert run.id == plain.id


@pytest.mark.parametrize("number", [3, 40])
def test_a_claim_locks_no_more_than_it_takes(
    store: Store, fill: Fill, new_worker: Callable[[], UUID], number: int
) -> None:
    """Case 23."""
    if not connection.features.has_select_for_update_skip_locked:
        pytest.skip("SQLite locks no rows.")
    limit(at_once=2)
    ids = fill(*[f"{place % number}" for place in range(4 * number)])
    with held_elsewhere(lambda: store.claim_limited(new_worker(), LINE, number)) as (runs, *_):
        assert len(runs) == number
        assert store.locked_elsewhere(ids) == {run.id for run in runs}


def test_runs_that_another_session_has_locked_are_passed_over(
    store: Store, fill: Fill, claim: Claim
) -> None:
    if not connection.features.has_select_for_update_skip_locked:
        pytest.skip("SQLite locks no rows.")
    limit(at_once=1)
    first, second = fill("a", "a")
    rows = TaskRun.objects.select_for_update().filter(id=first)
    with held_elsewhere(lambda: [*rows]):
        assert [run.id for run in claim()] == [second]


@pytest.mark.parametrize("number", [2, 30, 70])
def test_of_many_lanes_the_runs_that_others_have_locked_are_passed_over(
    fill: Fill, claim: Claim, number: int
) -> None:
    if not connection.features.has_select_for_update_skip_locked:
        pytest.skip("SQLite locks no rows.")
    limit()
    names = [f"{number:03}" for number in range(70)]
    first, second = fill(*names), fill(*names)
    fill(*["060"] * 900)
    rows = TaskRun.objects.select_for_update().filter(id__in=[first[0], first[29], first[69]])
    with held_elsewhere(lambda: [*rows]):
        claimed = claim(number)
    expected = [second[place] if place in {0, 29, 69} else first[place] for place in range(70)]
    assert [run.id for run in claimed] == expected[:number]


@pytest.mark.parametrize(
    "column", [{"queue_name": "mail"}, {"backend": "other"}, {"executor": "process"}]
)
def test_of_many_lanes_a_run_that_is_moved_while_it_is_claimed_is_passed_over(
    store: Store,
    fill: Fill,
    claim: Claim,
    monkeypatch: pytest.MonkeyPatch,
    column: dict[str, str],
) -> None:
    if connection.vendor != "mysql":
        pytest.skip("One statement finds and locks the runs.")
    limit()
    names = [f"{number:03}" for number in range(30)]
    first, second = fill(*names), fill(*names)
    lock_ready = type(store)._lock_ready

    def move_and_lock(self: Store, *arguments: object) -> list[TaskRun]:
        moved.append(elsewhere(lambda: TaskRun.objects.filter(id=first[7]).update(**column)))
        return lock_ready(self, *arguments)

    moved: list[int] = []
    monkeypatch.setattr(type(store), "_lock_ready", move_and_lock)
    claimed = claim(30)
    assert moved == [1]
    assert [run.id for run in claimed] == [*first[:7], second[7], *first[8:]]
    assert TaskRun.objects.get(id=first[7]).state == "ready"


def test_lanes_are_found_however_many_runs_they_have(fill: Fill, claim: Claim) -> None:
    """Some in thousands of them, and many with one, in turn from wherever it was."""
    limit()
    names = [f"{number:03}" for number in range(60)]
    fill(*[name for name in names for _ in range(600 if name in {"003", "030", "031"} else 2)])
    assert lanes(claim(7)) == names[:7]
    assert lanes(claim(60)) == [*names[7:], *names[:7]]


def test_what_a_queue_has_waiting_includes_what_is_limited(store: Store, fill: Fill) -> None:
    ids = fill("a", "b")
    assert store.use_of_queue("default", "default") == (True, False)
    for scope in (Scope("queue", "default", "default"), Scope("task", "tests.tasks.noop")):
        assert store.count_waiting(scope) == 2
        assert waiting(store, scope) == sorted(ids)


def test_what_waits_of_a_limit_and_of_a_key(store: Store, fill: Fill) -> None:
    first, second = fill("a", "b")
    store.enqueue(new_runs(lanes=["a"], limit_name="another"))
    store.enqueue(new_runs())
    assert waiting(store, Scope("limit", "of lanes")) == sorted([first, second])
    assert waiting(store, Scope("limit", "of lanes", key="b")) == [second]
    assert store.count_waiting(Scope("limit", "of lanes", key="b")) == 1


def test_a_lane_whose_key_is_paused_is_passed_by_at_the_cost_of_a_look(
    store: Store, fill: Fill, claim: Claim
) -> None:
    """Also where it was its turn, and however many runs wait in it."""
    for at_once in (2, None):
        limit(at_once=at_once, name=(name := f"at once {at_once}"))
        store.enqueue(new_runs(lanes=["a"] * 9 + ["b", "c", "d", "d"], limit_name=name))
        line = LINE._replace(limit=name, closed=("a", "c"))
        assert lanes(claim(1, line)) == ["b"]
        assert sorted(filter(None, lanes(claim(9, line)))) == ["d", "d"]
        assert lanes(claim(9, line)) == []
        assert {*lanes(claim(9, line._replace(closed=())))} == {"a", "c"}


def waiting(store: Store, scope: Scope) -> list[UUID]:
    now = store.read_clock()
    return sorted(store.waiting(scope, RunState.READY, before=now, except_for=[], limit=10))


def test_shares_go_round() -> None:
    inf = float("inf")
    assert [n for _, n in shared_out([OpenLane("a", inf), OpenLane("b", inf)], 5)] == [3, 2]
    assert [n for _, n in shared_out([OpenLane("a", 1), OpenLane("b", 9)], 5)] == [1, 4]
    assert [n for _, n in shared_out([OpenLane("a", 1), OpenLane("b", 1)], 5)] == [1, 1]
    assert shared_out([], 5) == []
