"""Workers and callers are struck at each point of claims, ends and enqueues (catalogue A)."""

import time
from collections import Counter
from collections.abc import Iterator
from itertools import chain

import pytest
from django.db import connection

from taskworks.actions import limits
from taskworks.models import TaskRun
from taskworks.models.run import FINISHED
from taskworks.store import store
from tests.faults import flow_shelf as shelf
from tests.faults.caller import DOCUMENTS, Accepted
from tests.faults.doomed import Fate
from tests.faults.invariants import assert_invariants
from tests.faults.pace import PACE
from tests.faults.points import Strike
from tests.faults.scene import Scene
from tests.faults.watch import (
    Pauses,
    Watch,
    slots_were_kept_between_looks,
    what_was_committed_was_seen,
)
from tests.waiting import wait_for

WORKERS = 4  # one of which is spared: to give up others takes one that has lived for a while
CALLERS = 2
LEAST = 10  # strikes, however slow the machine is
BETWEEN_LOOKS = 0.02  # seconds


@pytest.fixture
def documents(transactional_db: None) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {shelf.DOCUMENTS} (id integer PRIMARY KEY, number integer)")
        for number in range(DOCUMENTS):
            cursor.execute(f"INSERT INTO {shelf.DOCUMENTS} VALUES ({number}, 0)")
    yield
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {shelf.DOCUMENTS}")


@pytest.mark.fault(48)
@pytest.mark.timeout(1200)
def test_48_limits_rates_and_keys_hold_at_whatever_point_one_dies(
    documents: None, scene: Scene
) -> None:
    limits.synchronize()
    scene.start("spared", measure=False)
    fate = Fate(scene, WORKERS - 1, CALLERS)
    watch, pauses = Watch(), Pauses(fate)
    ends = time.monotonic() + PACE.points
    while time.monotonic() < ends or len(fate.strikes) < LEAST:
        fate.look()
        watch.look()
        pauses.look()
        time.sleep(BETWEEN_LOOKS)  # others need the processor
    fate.end()
    pauses.end()
    scene.strikes("the last of them are killed")
    wait_for(lambda: not unfinished(watch), "all have ended", 3 * PACE.rescue + 60)
    scene.recovers("all runs have ended")
    assert TaskRun.objects.exclude(state="successful").count() == 0
    assert store().slots_in_use(shelf.IMPORTS.name) == 0
    watch.rates_were_kept()
    slots_were_kept_between_looks()
    accepted = [*chain.from_iterable(Accepted.read(journal) for journal in fate.journals)]
    seen = what_was_committed_was_seen(accepted)
    scene.sees(
        f"{in_words(fate.strikes)}; {TaskRun.objects.count():,} runs, all successful; "
        f"{watch.looks:,} looks: never more than {watch.most_of_lane} of a key and "
        f"{watch.most_of_all} in all; {seen:,} changes seen by the runs enqueued with them; "
        f"{pauses.number} pauses"
    )
    print(*scene.seen, sep="\n")
    assert_invariants(scene)


def unfinished(watch: Watch) -> int:
    watch.look()
    return TaskRun.objects.exclude(state__in=FINISHED).count()


def in_words(strikes: list[Strike]) -> str:
    kinds = Counter("kills" if strike.number == 9 else "stops" for strike in strikes)
    points = {strike.point for strike in strikes}
    known = {point for strike in strikes for point in strike.passed}
    return (
        f"{kinds['kills']} kills and {kinds['stops']} stops at {len(points)} of "
        f"{len(known | points)} points"
    )
