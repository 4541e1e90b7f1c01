"""Heartbeats, giving up, rescue: a dead worker's runs come back, a living one's do not."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID, uuid4

from django.test.utils import CaptureQueriesContext

from taskworks.models import Edge, Schedule, TaskRun, Worker
from taskworks.store import Store
from tests.connections import begin_elsewhere
from tests.store.conftest import Enqueue

MINUTE = timedelta(minutes=1)


def silence(worker: UUID, store: Store) -> None:
    Worker.objects.filter(id=worker).update(heartbeat_at=store.read_clock() - MINUTE)


def test_a_heartbeat_is_the_databases_time(store: Store, worker: UUID) -> None:
    silence(worker, store)
    before = store.read_clock()
    assert store.heartbeat(worker)
    assert before <= Worker.objects.get().heartbeat_at <= store.read_clock()


def test_only_the_silent_are_given_up(store: Store, new_worker: Callable[[], UUID]) -> None:
    silent, lively = new_worker(), new_worker()
    silence(silent, store)
    assert store.give_up(MINUTE / 2, lively) == 1
    assert [row.id for row in Worker.objects.living()] == [lively]
    assert not store.heartbeat(silent)
    assert store.heartbeat(lively)
    assert store.give_up(MINUTE / 2, lively) == 0


def test_what_is_to_be_seen_to_is_seen_in_one_statement(
    store: Store, enqueue: Enqueue, new_worker: Callable[[], UUID]
) -> None:
    witness, other = new_worker(), new_worker()
    assert seen(store, witness) == []
    run = enqueue()
    store.claim(other, "default", ["default"], {"thread": 1})
    assert seen(store, witness) == []
    silence(other, store)
    assert seen(store, witness) == ["silent"]
    Worker.objects.filter(id=other).delete()
    assert seen(store, witness) == ["lost"]
    Edge.objects.create(run=uuid4(), after=run.id)
    assert seen(store, witness) == ["lost", "blocked"]
    Edge.objects.all().delete()
    assert seen(store, witness) == ["lost"]
    enqueue()
    TaskRun.objects.ready().update(state="blocked")  # whose last edge is deleted
    assert seen(store, witness) == ["lost", "blocked"]
    Schedule.objects.create(label="bell", path="tests.tasks.noop", cron="0 0 1 1 *")
    assert seen(store, witness) == ["lost", "blocked", "scheduled"]
    Schedule.objects.update(enabled=False)
    assert seen(store, witness) == ["lost", "blocked"]
    Worker.objects.filter(id=witness).update(given_up_at=store.read_clock())
    assert seen(store, witness) == []


def seen(store: Store, witness: UUID) -> list[str]:
    with CaptureQueriesContext(store.connection) as queries:
        overview = store.overview(MINUTE / 2, witness)
    assert len(queries) == 1
    names = ("silent", "lost", "blocked", "scheduled")  # what is due by the clock has other tests
    return [name for name in names if getattr(overview, name)]


def test_runs_without_a_living_worker_are_rescued_behind_the_others(
    store: Store, enqueue: Enqueue, new_worker: Callable[[], UUID]
) -> None:
    dead, gone, alive = new_worker(), new_worker(), new_worker()
    for worker in (dead, gone, alive):
        enqueue()
        store.claim(worker, "default", ["default"], {"thread": 1})
    waiting = enqueue()
    assert store.rescue(10) == []
    silence(dead, store)
    store.give_up(MINUTE / 2, alive)
    Worker.objects.filter(id=gone).delete()
    assert len(store.rescue(1)) == len(store.rescue(10)) == 1
    assert TaskRun.objects.get(claimed_by=alive).state == "claimed"
    runs = store.claim(alive, "default", ["default"], {"thread": 10, "alone": 10})
    assert len(runs) == 3
    assert runs[0].id == waiting.id


def test_two_sweeps_at_once_rescue_a_run_once(store: Store, enqueue: Enqueue, worker: UUID) -> None:
    for _ in range(50):
        enqueue()
    store.claim(worker, "default", ["default"], {"thread": 50})
    Worker.objects.all().delete()
    sweeps = [begin_elsewhere(lambda: store.rescue(100)) for _ in range(4)]
    assert sum(len(sweep.result(timeout=30)) for sweep in sweeps) == 50
    assert TaskRun.objects.ready().count() == 50


def test_one_that_was_silent_itself_gives_nobody_up(
    store: Store, new_worker: Callable[[], UUID]
) -> None:
    """What kept the others from the database may have kept its own statement."""
    witness, other, unknown = new_worker(), new_worker(), new_worker()
    silence(witness, store)
    silence(other, store)
    Worker.objects.filter(id=unknown).delete()
    assert store.give_up(MINUTE / 2, witness) == store.give_up(MINUTE / 2, unknown) == 0
    store.heartbeat(witness)
    assert store.give_up(MINUTE / 2, witness) == 1
    assert [row.id for row in Worker.objects.living()] == [witness]


def test_strays_of_a_lost_claim_are_given_back(
    store: Store, enqueue: Enqueue, worker: UUID
) -> None:
    known, stray = enqueue(), enqueue()
    store.claim(worker, "default", ["default"], {"thread": 2})
    assert store.release_strays(worker, [known.id]) == 1
    assert TaskRun.objects.ready().get().id == stray.id


def test_a_worker_that_leaves_takes_old_rows_with_it(
    store: Store, new_worker: Callable[[], UUID]
) -> None:
    leaving, staying, old, recent = (new_worker() for _ in range(4))
    now = store.read_clock()
    Worker.objects.filter(id=old).update(given_up_at=now - 25 * 60 * MINUTE)
    Worker.objects.filter(id=recent).update(given_up_at=now)
    store.leave(leaving)
    assert {row.id for row in Worker.objects.all()} == {staying, recent}
