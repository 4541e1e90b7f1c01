"""What a claim from a limit with a rate takes, and what keeps a key closed."""

import math
import random
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from taskworks.database.clock import later
from taskworks.models import Bucket, Limit, TaskRun
from taskworks.options.rates import Rate, rate_of
from taskworks.store import Store
from taskworks.store.limiting import LimitedClaim, Line
from taskworks.store.rating import ALL, Meter, bucket_key
from taskworks.testing import clock as moving_clock
from taskworks.testing.moving_clock import Clock
from tests.connections import begin_elsewhere, held_elsewhere
from tests.new_runs import new_runs
from tests.windows import excess

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
LINE = Line("of rates", "default", ("default",), "thread")
on_servers = pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite locks no rows")


def limit(name: str = "of rates", **numbers: Any) -> Limit:
    return Limit.objects.create(name=name, declared=numbers, **numbers)


@pytest.fixture
def clock() -> Iterator[Clock]:
    with moving_clock() as clock:
        yield clock


@pytest.fixture
def fill(store: Store) -> Callable[..., list[UUID]]:
    def fill(*lanes: str, **columns: object) -> list[UUID]:
        new = new_runs(lanes=[*lanes], limit_name="of rates", **columns)
        store.enqueue(new)
        return new.uuids

    return fill


@pytest.fixture
def look(store: Store, worker: UUID) -> Callable[..., LimitedClaim]:
    def look(most: int = 100, line: Line = LINE) -> LimitedClaim:
        return store.claim_limited(worker, line, most)

    return look


@pytest.fixture
def claim(look: Callable[..., LimitedClaim]) -> Callable[..., list[str | None]]:
    def claim(most: int = 100, line: Line = LINE) -> list[str | None]:
        return [run.lane for run in look(most, line).runs]

    return claim


Fill = Callable[..., list[UUID]]
Look = Callable[..., LimitedClaim]
Claim = Callable[..., list[str | None]]


def full_in(store: Store, lane: str) -> float:
    """Seconds until the bucket of a lane is full."""
    bucket = store.bucket_of("of rates", lane)
    if bucket is None or bucket.full_at is None:
        return 0.0
    return (bucket.full_at - store.read_clock()).total_seconds()


def release(store: Store, run: TaskRun) -> None:
    run.state = "ready"
    assert store.release([run])


# How many.


def test_a_burst_and_then_one_by_one(fill: Fill, look: Look, claim: Claim, clock: Clock) -> None:
    limit(rate="60/h", burst=3)
    fill(*"aaaaaaaa")
    first = look()
    assert len(first.runs) == 3
    assert 59 < first.opens_in <= 60
    assert claim() == []
    assert 59 < look().opens_in <= 60
    clock.advance(seconds=61)
    assert claim() == ["a"]
    assert claim() == []
    clock.advance(minutes=2)
    assert claim() == ["a", "a"]
    clock.advance(hours=1)
    assert claim() == ["a", "a"]  # these were all
    assert not look().may_have_more


def test_without_a_burst_the_usual_one_is_small(fill: Fill, claim: Claim) -> None:
    limit(rate="100/m")
    fill(*"aaa")
    assert claim() == ["a"]
    assert [rate_of(text, None).burst for text in ("9/s", "20/s", "100/s", "1/d")] == [1, 2, 10, 1]  # type: ignore[union-attr]


def test_keys_have_rates_of_their_own(fill: Fill, claim: Claim, clock: Clock) -> None:
    """Case 21: a run without the key touches no other's."""
    limit(rate="1/h", burst=2)
    fill(*"aaabbbb", "(none)", "(none)", "(none)")
    assert Counter(claim()) == {"a": 2, "b": 2, "(none)": 2}
    assert claim() == []
    clock.advance(hours=1)
    assert Counter(claim()) == {"a": 1, "b": 1, "(none)": 1}


def test_the_total_rate_is_that_of_all_keys(fill: Fill, look: Look, clock: Clock) -> None:
    limit(rate="2/h", burst=2, total_rate="3/h", total_burst=3)
    fill(*"aaabbbccc")
    first = look()
    assert Counter(run.lane for run in first.runs) == {"a": 1, "b": 1, "c": 1}
    assert 1199 < first.opens_in <= 1200
    assert look().runs == []
    clock.advance(minutes=21)
    assert [run.lane for run in look().runs] == ["a"]  # whose turn it is
    clock.advance(minutes=21)
    assert [run.lane for run in look().runs] == ["b"]


def test_a_rate_and_places_hold_together(fill: Fill, claim: Claim, clock: Clock) -> None:
    """Case 8: a run gets both in one claim, and has neither while it waits for the other."""
    limit(rate="5/h", burst=5, at_once=2, total=3)
    fill(*"aaaaabbbb")
    assert Counter(claim()) == {"a": 2, "b": 1}
    TaskRun.objects.in_hand().update(state="successful", claim_token=None)
    assert Counter(claim()) == {"a": 1, "b": 2}
    TaskRun.objects.in_hand().update(state="successful", claim_token=None)
    assert Counter(claim()) == {"a": 2, "b": 1}
    TaskRun.objects.in_hand().update(state="successful", claim_token=None)
    assert Counter(claim()) == {}
    assert TaskRun.objects.ready().count() == 0


def test_other_limits_have_buckets_of_their_own(store: Store, fill: Fill, claim: Claim) -> None:
    limit(rate="1/h")
    limit(name="exports", rate="1/h")
    fill("a", "a")
    store.enqueue(new_runs(lanes=["a"], limit_name="exports"))
    assert claim() == ["a"]
    assert claim(9, LINE._replace(limit="exports")) == ["a"]
    assert claim() == []


def test_all_executors_and_queues_share_a_rate(fill: Fill, claim: Claim) -> None:
    limit(rate="1/h", burst=3)
    fill("a", "a", executor="process")
    fill("a", "a", queue_name="mail")
    assert claim(9, LINE._replace(executor="process")) == ["a", "a"]
    assert claim(9, LINE._replace(queues=("mail", "default"))) == ["a"]


def test_a_key_whose_rate_is_used_up_holds_up_no_other(fill: Fill, claim: Claim) -> None:
    limit(rate="1/h")
    fill(*"a" * 50, rank=-100)
    fill("b", "z")
    assert claim(2) == ["a", "b"]
    assert claim(2) == ["z"]


def test_a_limit_that_nobody_declares_has_no_rate(fill: Fill, claim: Claim) -> None:
    limit(rate="1/h", total_rate="1/h")
    Limit.objects.update(declared=None)
    fill(*"aaa")
    assert len(claim()) == 3
    assert not Bucket.objects.exists()


@pytest.mark.parametrize("nonsense", ["", "x", "0/s", "1000000000/s", "1/0s", "1/y", "-1/s"])
def test_nonsense_in_place_of_a_rate_is_none(fill: Fill, claim: Claim, nonsense: str) -> None:
    limit(rate="1/h")
    Limit.objects.update(rate=nonsense)
    fill(*"aaa")
    assert len(claim()) == 3


# Exactly as many as there may be.


def test_in_no_window_are_there_more_than_rate_and_burst(
    store: Store, fill: Fill, look: Look, clock: Clock
) -> None:
    rate, seed = Rate(7, 60_000_000, 4), random.randrange(10**6)
    dice = random.Random(seed)
    limit(rate="7/m", burst=4)
    fill(*"a" * 150)
    moments: list[datetime] = []
    for _ in range(60):
        moments += [run.claimed_at for run in look(dice.randint(1, 6)).runs]  # type: ignore[misc]
        clock.advance(seconds=dice.choice([0.0, 0.3, 2.0, 8.5, 8.6, 20.0, 90.0]))
    assert excess(moments, rate) <= 0, f"seed {seed}"
    assert len(moments) > 20


def test_what_waits_is_taken_as_soon_as_it_may_be(fill: Fill, look: Look, clock: Clock) -> None:
    """Who looks whenever a claim says so uses the rate to the full."""
    limit(rate="60/h", burst=2)
    fill(*"a" * 20)
    moments = [run.claimed_at for run in look().runs]
    while len(moments) < 20:
        clock.advance(seconds=look().opens_in + 0.001)
        moments += [run.claimed_at for run in look().runs]
    gaps = [after - before for before, after in pairwise(moments[2:])]  # type: ignore[operator]
    assert max(gaps) < 61 * SECOND


def test_four_workers_that_look_when_they_are_told_use_a_rate_to_95_percent(
    store: Store, fill: Fill, new_worker: Callable[[], UUID], clock: Clock
) -> None:
    """By the time that passes for the database, most of which is moved on here."""
    limit(rate="100/h")
    fill(*"a" * 100)
    looks_at = {new_worker(): 0.0 for _ in range(4)}
    now, moments = 0.0, list[datetime]()
    while len(moments) < 100:
        worker = min(looks_at, key=lambda one: looks_at[one])
        clock.advance(seconds=max(looks_at[worker] - now, 0.0))
        now = max(looks_at[worker], now)
        claimed = store.claim_limited(worker, LINE, 4)
        moments += [run.claimed_at for run in claimed.runs]  # type: ignore[misc]
        looks_at[worker] = now + (claimed.opens_in if claimed.opens_in < math.inf else 0.0)
    hours = (max(moments) - min(moments)) / HOUR
    assert len(moments) >= 0.95 * 100 * hours
    assert excess(moments, rate_of("100/h", None)) <= 0  # type: ignore[arg-type]


def test_many_connections_claim_no_more_than_there_may_be(
    store: Store, fill: Fill, new_worker: Callable[[], UUID]
) -> None:
    """Exact over workers; none of them sees a deadlock."""
    rate = rate_of("100/s", 10)
    assert rate
    limit(rate="100/s", burst=10, total_rate="150/s", total_burst=5)
    fill(*"abc" * 40)
    ready = TaskRun.objects.ready().limited()

    def work(worker: UUID) -> None:
        while ready.exists():
            store.claim_limited(worker, LINE, 4)

    workers = [new_worker() for _ in range(4)]
    for future in [begin_elsewhere(lambda worker=worker: work(worker)) for worker in workers]:
        future.result(timeout=120)
    runs = [*TaskRun.objects.order_by("claimed_at").values_list("claimed_at", "lane")]
    assert len(runs) == 120
    for lane in "abc":
        assert excess([at for at, of in runs if of == lane], rate) <= 0
    assert excess([at for at, _ in runs], Rate(150, 1_000_000, 5)) <= 0


def test_what_is_rolled_back_has_used_nothing(
    store: Store, fill: Fill, claim: Claim, worker: UUID
) -> None:
    limit(rate="1/h")
    fill("a")
    with transaction.atomic():
        assert len(store.claim_limited(worker, LINE, 9).runs) == 1
        assert store.bucket_of("of rates", "a")
        transaction.set_rollback(True)
    assert not Bucket.objects.exists()
    assert claim() == ["a"]


def test_who_claims_and_dies_has_used_the_rate(
    store: Store, fill: Fill, look: Look, claim: Claim, clock: Clock
) -> None:
    """Under, never over: between claim and start too."""
    limit(rate="1/h")
    fill("a")
    [run] = look().runs
    release(store, run)
    assert claim() == []
    clock.advance(hours=1)
    assert claim() == ["a"]


def test_a_retry_counts_again(store: Store, fill: Fill, look: Look, claim: Claim) -> None:
    limit(rate="2/h", burst=2)
    fill("a")
    for number in range(2):
        [run] = look().runs
        run.state, run.failures = "ready", number + 1
        run.available_at = store.read_clock()
        assert store.requeue([run])
    assert claim() == []


@on_servers
def test_a_run_that_is_not_taken_uses_nothing(store: Store, fill: Fill, claim: Claim) -> None:
    """Somebody has locked its row."""
    limit(rate="2/h", burst=2)
    [held] = fill("a")
    row = TaskRun.objects.filter(id=held).select_for_update()
    with held_elsewhere(lambda: list(row)):
        assert claim() == []
        fill("a")
        assert claim() == ["a"]
    assert claim() == ["a"]


@on_servers
def test_who_has_the_lock_sees_what_others_have_used(
    store: Store, fill: Fill, new_worker: Callable[[], UUID]
) -> None:
    limit(rate="1/h")
    fill("a", "a")
    one, other = new_worker(), new_worker()
    with held_elsewhere(lambda: store.claim_limited(one, LINE, 1)) as claimed:
        assert len(claimed.runs) == 1
        assert store.claim_limited(other, LINE, 1)[:2] == ([], True)
    found = store.claim_limited(other, LINE, 1)
    assert found[:2] == ([], False)
    assert 3590 < found.opens_in <= 3600


# Clocks and numbers that change.


def test_a_clock_that_is_set_back_costs_one_more_period_at_most(
    store: Store, fill: Fill, look: Look, claim: Claim, clock: Clock
) -> None:
    limit(rate="1/h")
    fill(*"aaa")
    assert claim() == ["a"]
    clock.advance(days=-1)
    assert claim() == []
    assert 3590 < look().opens_in <= 3600
    clock.advance(minutes=59)
    assert claim() == []
    clock.advance(minutes=2)
    assert claim() == ["a"]
    assert claim() == []


def test_a_rate_that_is_changed_holds_at_once(
    store: Store, fill: Fill, look: Look, claim: Claim, clock: Clock
) -> None:
    limit(rate="1/d", burst=3)
    fill(*"a" * 10)
    assert len(claim()) == 3
    store.change_limit("of rates", {"rate": "60/h", "burst": 1})
    assert claim() == []
    assert look().opens_in <= 60
    clock.advance(seconds=61)
    assert claim() == ["a"]
    store.change_limit("of rates", {"rate": None})
    assert len(claim()) == 6


def test_a_project_without_time_zones_has_the_same_rates(
    store: Store, fill: Fill, look: Look, clock: Clock, settings: Any
) -> None:
    settings.USE_TZ, settings.TIME_ZONE = False, "Asia/Kolkata"
    limit(rate="60/h", burst=2)
    fill(*"aaabb")
    hold(store, 90, "b")
    first = look()
    assert [run.lane for run in first.runs] == ["a", "a"]
    assert 30 < first.opens_in <= 60
    clock.advance(seconds=61)
    assert [run.lane for run in look().runs] == ["a"]
    clock.advance(seconds=31)
    assert [run.lane for run in look().runs] == ["b", "b"]
    clock.advance(hours=1)
    assert store.forget_full_buckets(10) == 2


# A hold.


def hold(store: Store, seconds: float, lane: str = "a") -> datetime:
    until = later(store.read_clock(), seconds * SECOND)
    assert store.hold_keys("of rates", {lane: until})
    return until


@pytest.mark.parametrize("numbers", [{}, {"rate": "100/h", "burst": 100}, {"at_once": 5}])
def test_a_hold_closes_a_key_and_no_other(
    store: Store, fill: Fill, look: Look, clock: Clock, numbers: dict[str, Any]
) -> None:
    limit(**numbers)
    fill(*"aabb")
    hold(store, 30)
    found = look()
    assert [run.lane for run in found.runs] == ["b", "b"]
    assert 25 < found.opens_in <= 30
    assert look().runs == []
    clock.advance(seconds=31)
    assert [run.lane for run in look().runs] == ["a", "a"]


def test_a_hold_only_moves_ahead(store: Store, fill: Fill) -> None:
    limit()
    until = hold(store, 60)
    hold(store, 30)
    assert held_until(store) == until
    until = hold(store, 90)
    hold(store, 0)
    assert held_until(store) == until
    assert Limit.objects.get().held_until == until


def held_until(store: Store, lane: str = "a") -> datetime | None:
    bucket = store.bucket_of("of rates", lane)
    assert bucket
    return bucket.held_until


@on_servers
def test_of_two_holds_at_once_the_longer_one_stands(store: Store) -> None:
    limit()
    now = store.read_clock()
    for first, second in ((30, 60), (90, 60)):
        until = [{"a": now + seconds * SECOND} for seconds in (first, second)]
        with held_elsewhere(lambda until=until: store.hold_keys("of rates", until[0])) as held:
            assert held
            assert not store.hold_keys("of rates", until[1])
        assert store.hold_keys("of rates", until[1])
        assert held_until(store) == now + max(first, second) * SECOND


@on_servers
def test_a_hold_and_a_claim_at_once_lose_nothing_of_each_other(
    store: Store, fill: Fill, claim: Claim, worker: UUID
) -> None:
    limit(rate="1/h")
    fill("a", "a")
    until = store.read_clock() + MINUTE
    with held_elsewhere(lambda: store.claim_limited(worker, LINE, 9)):
        assert not store.hold_keys("of rates", {"a": until})
    assert store.hold_keys("of rates", {"a": until})
    assert held_until(store) == until
    assert 3500 < full_in(store, "a") <= 3600
    until += MINUTE
    with held_elsewhere(lambda: store.hold_keys("of rates", {"a": until})):
        assert store.claim_limited(worker, LINE, 9)[:2] == ([], True)


def test_a_hold_that_is_further_ahead_than_any_is_over(
    store: Store, fill: Fill, claim: Claim, clock: Clock
) -> None:
    """The clock was set back."""
    limit()
    fill("a")
    hold(store, 60)
    clock.advance(days=-40)
    assert claim() == ["a"]


def test_a_hold_of_a_limit_without_a_row_declares_it_as_it_is_here(store: Store) -> None:
    store.hold_keys("intake", {"a": store.read_clock()})
    row = Limit.objects.get(name="intake")
    assert row.declared is None or row.at_once == 2


# Many keys that are closed.


def test_a_claim_looks_at_so_many_closed_lanes_and_the_next_one_goes_on_there(
    store: Store, fill: Fill, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "max_closed_lanes", 10)
    limit(rate="1/d")
    closed = [f"{number:03}" for number in range(35)]
    fill(*closed)
    assert len(look().runs) == 35
    fill(*closed, "0145")
    found = [look(2) for _ in range(2)]
    assert [[run.lane for run in one.runs] for one in found] == [[], ["0145"]]
    assert [one.gave_up for one in found] == [True, True]
    fill("0145", "034a")
    assert [[run.lane for run in look(2).runs] for _ in range(2)] == [["034a"], []]
    found = [look(2) for _ in range(4)]
    assert not any(one.runs for one in found)
    assert all(one.gave_up and one.opens_in <= 86_400 for one in found)


def test_many_closed_lanes_cost_a_look_each_and_no_more(
    store: Store, fill: Fill, look: Look, claim: Claim
) -> None:
    limit(rate="1/d")
    lanes = [f"{number:03}" for number in range(60)]
    fill(*lanes)
    assert len(claim(60)) == 60
    fill(*lanes, "zz1", "zz2")
    assert claim(1) == ["zz1"]
    assert claim(1) == ["zz2"]
    assert look(1)[:2] == ([], False)


# What it costs.


def statements(do: Callable[[], Any]) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        do()
    ours = ("BEGIN", "COMMIT", "SET ", "SELECT SET_CONFIG")
    return [query["sql"] for query in captured if not query["sql"].startswith(ours)]


def test_a_limit_without_a_rate_costs_what_it_did(store: Store, fill: Fill, look: Look) -> None:
    """The lock, the lanes, the claim, and whose turn it is."""
    limit(at_once=9)
    fill("a")
    sent = statements(look)
    # MySQL counts what is in hand, goes from lane to lane, locks, looks at the worker, and writes.
    assert len(sent) == (8 if connection.vendor == "mysql" else 4)
    assert not any("bucket" in one for one in sent)
    hold(store, 0)
    fill("b")
    assert len(statements(look)) == len(sent) + (connection.vendor == "mysql")
    assert not any("bucket" in one for one in sent)


def test_a_rate_costs_a_read_and_a_write(fill: Fill, look: Look) -> None:
    limit(rate="100/h", burst=9)
    fill("a")
    sent = statements(look)
    of_buckets = [one.split()[0] for one in sent if "bucket" in one]
    assert of_buckets == ["SELECT", "INSERT"]
    limit(name="other")
    assert [one for one in statements(look) if "bucket" in one] == []


# Housekeeping.


def test_full_buckets_are_deleted(store: Store, fill: Fill, claim: Claim, clock: Clock) -> None:
    limit(rate="60/h")
    fill("a", "b")
    hold(store, 90, "c")
    hold(store, 150, "a")
    assert claim() == ["b"]
    assert store.forget_full_buckets(10) == 0
    clock.advance(seconds=100)
    assert store.forget_full_buckets(1) == 1
    assert store.forget_full_buckets(10) == 1
    assert [*Bucket.objects.values_list("lane", flat=True)] == ["a"]
    clock.advance(minutes=5)
    assert store.forget_full_buckets(10) == 1
    assert claim() == ["a"]


@on_servers
def test_a_bucket_that_a_claim_has_locked_is_not_waited_for(
    store: Store, fill: Fill, clock: Clock, worker: UUID
) -> None:
    limit(rate="60/h")
    fill("a", "a")
    store.claim_limited(worker, LINE, 1)
    clock.advance(minutes=2)
    with held_elsewhere(lambda: store.claim_limited(worker, LINE, 1)) as claimed:
        assert len(claimed.runs) == 1
        assert store.forget_full_buckets(10) == 0
    assert full_in(store, "a") > 50


def test_the_bucket_of_all_is_no_key_s() -> None:
    assert bucket_key("a", ALL) != bucket_key("a", "(all)")
    assert bucket_key("a", "b") != bucket_key("b", "a")


def test_a_claim_that_took_all_expects_more_if_there_are_new_places_by_now() -> None:
    """Its statements took so long that one has come since it looked."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    limit = Limit(name="api", rate="100/s", burst=10, declared={"rate": "100/s"})
    for took, has_new_ones in ((timedelta(milliseconds=15), True), (timedelta(), False)):
        meter = Meter(limit, now)
        meter.note([("a", now + timedelta(milliseconds=80), None)])
        assert meter.room("a") == 2
        meter.take([TaskRun(lane="a", claimed_at=now + took) for _ in range(2)])
        assert (meter.opens_in == 0) == has_new_ones
        assert meter.opens_in < 1
