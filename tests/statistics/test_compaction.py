"""Rows are added up, once each: whoever is killed, and whoever else writes."""

import pytest
from django.db import connection

from taskworks.models import Duty, Statistic
from taskworks.models.statistic import (
    EVER,
    HOUR,
    MINUTE,
    OF_SERIES,
    OTHERS,
    TEN_MINUTES,
    TEN_SECONDS,
)
from taskworks.statistics import compaction, flushing, reading
from taskworks.statistics.compaction import COMPACTED_AFTER, compact
from taskworks.store import Store
from taskworks.store.shared_duties import BOOKKEEPING, statistics_are_due
from tests.connections import begin_elsewhere, held_elsewhere
from tests.killed import killed_between
from tests.statistics.conftest import Flushed, counted, of_tasks, sums

LONG_AGO = COMPACTED_AFTER + 60


def compact_all(store: Store) -> int:
    done = 0
    while some := compact(store):
        done += some
    return done


def by_period(name: str = "successful") -> dict[int, int]:
    counts: dict[int, int] = {}
    for row in Statistic.objects.filter(level=OF_SERIES):
        counts[row.seconds] = counts.get(row.seconds, 0) + getattr(row, name)
    return counts


def test_each_row_is_added_to_each_longer_period_and_to_the_total(
    store: Store, flushed: Flushed
) -> None:
    for number in range(20):
        flushed(ago=LONG_AGO + number * 30, successful=number, failed=1, took=[0.1, 2.0])
    assert compact_all(store) == 3 * 20  # of the task, its queue, and everything
    assert compact(store) == 0
    assert by_period() == dict.fromkeys((EVER, MINUTE, TEN_MINUTES, HOUR), 190)
    assert by_period("failed") == dict.fromkeys((EVER, MINUTE, TEN_MINUTES, HOUR), 20)
    assert sums(store) == dict.fromkeys((MINUTE, TEN_MINUTES, HOUR), 190)
    ever = Statistic.objects.get(seconds=EVER)
    assert (ever.since, ever.worker, ever.run_max) == (0, None, 2.0)
    assert ever.run_sum == pytest.approx(42.0)
    [tally] = reading.totals(store).values()
    assert tally.runs.total == 40
    assert all(row.since % row.seconds == 0 for row in Statistic.objects.exclude(seconds=EVER))


def test_what_may_be_inserted_again_is_left(store: Store, flushed: Flushed) -> None:
    flushed(ago=COMPACTED_AFTER - 30, successful=1)
    assert compact(store) == 0
    assert counted(store) == {"successful": 1}


def test_rows_from_before_the_clock_was_set_back_are_added_up(
    store: Store, flushed: Flushed
) -> None:
    flushed(ago=-5 * HOUR, successful=3)
    flushed(ago=-300, successful=1)  # within what clocks may differ
    assert compact(store) == 3
    assert counted(store) == {"successful": 4}


def test_late_rows_are_added_to_the_same_periods(store: Store, flushed: Flushed) -> None:
    since = flushed(ago=LONG_AGO, successful=1).since
    compact_all(store)
    flushed(since=since, successful=2)
    compact_all(store)
    assert by_period() == dict.fromkeys((EVER, MINUTE, TEN_MINUTES, HOUR), 3)
    assert sums(store) == dict.fromkeys((MINUTE, TEN_MINUTES, HOUR), 3)
    assert Statistic.objects.count() == 1 + 3 * 3


def test_rows_with_nonsense_keep_no_others_from_being_added_up(
    store: Store, flushed: Flushed
) -> None:
    for _ in range(2):
        flushed(ago=LONG_AGO, successful=2**63 - 1, wait_sum=1.7e308, waits="nonsense, 1:x")
    flushed(since=-(2**63), failed=-5)
    flushed(ago=LONG_AGO, path="c.d", successful=1)
    assert compact_all(store) == 3 * 4
    assert of_tasks(store) == {"a.b": 2**63 - 1, "c.d": 1}


# Bounds.


def test_a_period_tells_so_many_apart_and_counts_the_rest_together(
    store: Store, flushed: Flushed, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = dict.fromkeys((EVER, *compaction.KEPT_FOR), 5)
    monkeypatch.setattr(compaction, "MAX_SERIES", limits)
    monkeypatch.setattr(flushing, "MAX_SERIES", limits)
    since = flushed("task 0", ago=LONG_AGO, successful=100).since
    for number in range(1, 40):
        flushed(f"task {number}", since=since, successful=number)
    compact_all(store)
    for seconds in (EVER, MINUTE, TEN_MINUTES, HOUR):
        of_period = Statistic.objects.filter(seconds=seconds, level=OF_SERIES)
        rows = {row.task_path: row.successful for row in of_period}
        assert len(rows) == 6
        if seconds != EVER:  # the busiest
            assert {*rows} == {"task 0", "task 39", "task 38", "task 37", "task 36", OTHERS}
        assert sum(rows.values()) == 100 + sum(range(40))
    flushed("task 40", since=since, successful=1)
    flushed("task 0", since=since, successful=1)
    compact_all(store)
    assert of_tasks(store)["task 0"] == 101
    assert Statistic.objects.filter(seconds=EVER).count() == 6
    of_all = 100 + sum(range(40)) + 2
    assert sums(store) == dict.fromkeys((MINUTE, TEN_MINUTES, HOUR), of_all)


def test_no_count_falls_when_what_is_new_turns_out_to_have_no_room(
    store: Store, flushed: Flushed, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = dict.fromkeys((EVER, *compaction.KEPT_FOR), 3)
    monkeypatch.setattr(compaction, "MAX_SERIES", limits)
    monkeypatch.setattr(flushing, "MAX_SERIES", limits)
    seen: dict[str, int] = {}
    for number in range(24):
        flushed(f"task {number % 6}", ago=LONG_AGO, successful=1)
        for _ in range(2):
            now = of_tasks(store)
            assert all(now.get(name, 0) >= count for name, count in seen.items())
            seen = now
            if number % 4 == 3:
                compact_all(store)
    assert of_tasks(store) == {"task 0": 4, "task 1": 4, "task 2": 4, OTHERS: 12}


# Who is killed in the middle.


def test_killed_between_any_two_statements_nothing_is_lost_or_counted_twice(
    store: Store, flushed: Flushed
) -> None:
    for number in range(6):
        flushed(f"task {number % 3}", ago=LONG_AGO + number, successful=2, took=[1.0])
    expected = counted(store)
    for _ in killed_between(lambda: compact(store), at_least=7):
        assert counted(store) == expected
        assert {*sums(store).values()} <= {12}
        assert sum(t.runs.total for t in reading.totals(store).values()) == 6
    assert counted(store) == expected
    assert not Statistic.objects.filter(seconds=TEN_SECONDS).exists()


# Two at once.


def test_a_second_one_leaves_it_to_the_first(store: Store, flushed: Flushed) -> None:
    flushed(ago=LONG_AGO, successful=1)
    compact(store)
    flushed(ago=LONG_AGO, successful=1)

    def begin() -> None:
        Duty.objects.select_for_update().get(name=BOOKKEEPING)

    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time.")
    with held_elsewhere(begin):
        assert compact(store) == 0
        assert not store.begin_duty(BOOKKEEPING)
    assert compact(store) == 3
    assert counted(store) == {"successful": 2}


def test_many_compact_while_others_flush(store: Store, flushed: Flushed) -> None:
    def flush(number: int) -> None:
        for _ in range(25):
            flushed(f"task {number}", ago=LONG_AGO, successful=1, took=[0.01])

    def compact_often() -> None:
        for _ in range(25):
            compact(store)

    flushing = [begin_elsewhere(lambda n=number: flush(n)) for number in range(2)]
    compacting = [begin_elsewhere(compact_often) for _ in range(2)]
    seen = 0
    while not all(one.done() for one in (*flushing, *compacting)):
        now = counted(store).get("successful", 0)
        assert now >= seen
        seen = now
    for one in (*flushing, *compacting):
        one.result(timeout=60)
    compact_all(store)
    assert counted(store) == {"successful": 50}
    assert of_tasks(store) == {"task 0": 25, "task 1": 25}
    assert {*sums(store).values()} == {50}


def test_it_is_due_when_there_are_rows_and_nobody_has_begun(store: Store, flushed: Flushed) -> None:
    def is_due() -> bool:
        return Duty.objects.annotate(due=statistics_are_due()).first().due  # type: ignore[union-attr]

    Duty.objects.create(name="another")
    assert not is_due()
    flushed(successful=1)
    assert is_due()
    assert store.begin_duty(BOOKKEEPING)
    assert not is_due()
    assert not store.begin_duty(BOOKKEEPING)
    Duty.objects.update(done_at=store.read_clock() - 2 * compaction.KEPT_FOR[MINUTE])
    assert is_due()
    # A clock was set back.
    Duty.objects.update(done_at=store.read_clock() + 2 * compaction.KEPT_FOR[MINUTE])
    assert is_due()
    assert store.begin_duty(BOOKKEEPING)
