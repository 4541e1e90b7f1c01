"""The database goes away, in all the ways in which it can (B)."""

import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from django.db import Error as DatabaseError
from django.db import connection

from taskworks.models import TaskRun, Worker
from tests.connections import begin_elsewhere
from tests.faults import sabotage, shelf
from tests.faults.disks import small_disk
from tests.faults.invariants import assert_invariants
from tests.faults.pace import PACE, SLACK
from tests.faults.proxy import Proxy
from tests.faults.scene import Scene
from tests.faults.servers import PrivateServer, private_server, reconnect
from tests.faults.sessions import holding
from tests.faults.workers import through_port
from tests.settings import DATABASE
from tests.stopping.runs import error_of
from tests.waiting import wait_for

NOTICED = "Database error while "  # what a worker logs that is cut off
MANY = 2_000  # runs
CRASHES = 5
BACK_WITHIN = 10 + SLACK  # seconds; workers ask at least every 10


@pytest.fixture
def server(transactional_db: None) -> Iterator[PrivateServer]:
    with private_server() as server:
        yield server


def rows_of_workers() -> set[str]:
    return {str(id_) for id_ in Worker.objects.living().values_list("id", flat=True)}


@pytest.mark.fault(13)
def test_13_connections_are_terminated_again_and_again(scene: Scene) -> None:
    # By default a worker's silence counts for longer than the storm lasts, however it strikes.
    scene.start("first", "second", TASKWORKS_FAULTS_PACE="default")
    lives = rows_of_workers()
    gate = scene.gate()
    running = scene.enqueue_many(shelf.through, [(gate,)] * 2)
    scene.wait_for_entries(2, "start")
    scene.strikes("all connections of the workers are terminated, again and again")
    ends = time.monotonic() + PACE.storm
    storms = 0
    results = []
    while time.monotonic() < ends:
        storms += sabotage.terminate_others() > 0
        results += scene.enqueue_many(shelf.quick, [()] * 10)
        wait_for(lambda: sabotage.others() > 0 or time.monotonic() > ends, "a worker connects anew")
    scene.ceases(f"{storms} storms, {len(results)} runs enqueued meanwhile")
    gate.open()
    scene.wait_until_all_ended()
    scene.recovers("all have ended")
    runs = [scene.run(result) for result in [*running, *results]]
    assert {run.state for run in runs} == {"successful"}
    assert {run.attempts for run in runs} == {1}
    assert rows_of_workers() == lives
    assert storms > 3
    scene.sees(f"{storms} storms: {len(runs)} runs successful, one attempt each")
    assert_invariants(scene)


@pytest.mark.fault(14)
@pytest.mark.parametrize("how", ["stop", "crash"])
def test_14_the_server_is_restarted(scene: Scene, server: PrivateServer, how: str) -> None:
    scene.start("first", "second")
    gate, later = scene.gate(), scene.gate("later")
    ending = scene.enqueue_many(shelf.through, [(gate,)] * 2)
    running = scene.enqueue_many(shelf.through, [(later,)] * 2)
    scene.wait_for_entries(4, "start")
    ready = scene.enqueue_many(shelf.quick, [()] * 200)
    getattr(server, how)()
    scene.strikes(f"{how} of the server")
    gate.open()
    for result in ending:
        scene.wait_for_entries(1, "end", result)
    before = time.monotonic()
    with pytest.raises(DatabaseError):
        shelf.quick.enqueue()
    assert time.monotonic() - before < SLACK
    server.start()
    reconnect()
    scene.ceases("it takes connections")
    for result in [*ending, *ready]:
        scene.wait_until(result, "successful", timeout=BACK_WITHIN)
    scene.recovers("what ended meanwhile is written, and what was ready is executed")
    later.open()
    scene.wait_until_all_ended()
    runs = [scene.run(result) for result in [*ending, *running]]
    assert {run.attempts for run in runs} == {1}
    assert {run.state for run in runs} == {"successful"}
    scene.sees("4 outcomes written, with one attempt each; 200 ready runs executed")
    # A claim whose answer was lost is given back; what had begun of it is begun again.
    assert_invariants(scene, crashes=0)


@pytest.mark.fault(14)
def test_14_the_server_crashes_at_full_load(scene: Scene, server: PrivateServer) -> None:
    """What it had not stored yet is forgotten, such as claims on PostgreSQL."""
    everything = 2 * MANY
    at_most_once = shelf.once.enqueue_many([()] * MANY)
    scene.accept([*at_most_once, *shelf.quick.enqueue_many([()] * MANY)])
    scene.start("first", "second", measure=False)
    for crash in range(1, CRASHES + 1):
        part = everything * crash // (CRASHES + 1)
        scene.wait_for_entries(part, "end")
        server.crash()
        scene.strikes(f"crash of the server after {part} of {everything} runs")
        server.start()
        reconnect()
        scene.ceases("it takes connections")
    scene.wait_until_all_ended()
    scene.recovers("all have ended")
    starts = Counter(entry.run for entry in scene.ledger.entries("start"))
    assert max(starts[result.id] for result in at_most_once) == 1
    ended = {result.id: scene.run(result) for result in at_most_once}
    lost = [run for run in ended.values() if run.state == "failed"]
    assert {error_of(run) for run in lost} <= {"TaskLost"}
    again = sum(count - 1 for count in starts.values())
    scene.sees(
        f"{CRASHES} crashes during {everything} runs: {again} executed again, none of those at "
        f"most once, of which {len(lost)} failed as TaskLost"
    )
    assert_invariants(scene)


@pytest.mark.fault(15)
def test_15_the_server_is_down_for_long(scene: Scene, server: PrivateServer) -> None:
    [worker] = scene.start("worker")
    gate = scene.gate()
    running = scene.enqueue_many(shelf.return_at, [(gate, "x" * 100_000)] * 4)
    scene.wait_for_entries(4, "start")
    memory = worker.memory()
    server.stop()
    scene.strikes(f"the server is down for {PACE.outage:g} s")
    gate.open()
    scene.wait_for_entries(4, "end")
    scene.lasts(PACE.outage)
    lines = worker.output.count("Database error while claiming and recording runs")
    grown = worker.memory() - memory
    server.start()
    reconnect()
    scene.ceases("it takes connections")
    for result in running:
        assert scene.wait_until(result, "successful", timeout=BACK_WITHIN).attempts == 1
    scene.recovers("what ended meanwhile is written")
    # The worker's own thread says it once a minute.
    assert 1 <= lines <= 1 + PACE.outage // 60
    assert grown < 20 * 1024 * 1024
    more = f"{grown // 1024} KiB more memory"
    scene.sees(f"down for {PACE.outage:g} s: {lines} log records, {more}")
    assert_invariants(scene)


@pytest.mark.fault(16)
@pytest.mark.parametrize("how", ["black_hole", "unplugged"])
def test_16_the_network_swallows_everything(scene: Scene, how: str) -> None:
    with Proxy(connection.settings_dict["HOST"], int(connection.settings_dict["PORT"])) as proxy:
        lost = scene.worker("lost", **through_port(proxy.port, proxy.address))
        scene.throughput = scene.measure()
        gate = scene.gate()
        [result] = scene.enqueue_many(shelf.through, [(gate,)])
        scene.wait_for_entries(1, "start")
        scene.wait_until(result, "running")
        other = scene.worker("other")
        with getattr(proxy, how)():
            scene.strikes(f"{how}: nothing of the worker reaches the database any more")
            again = scene.wait_for_entries(
                2, "start", result, timeout=PACE.rescue + PACE.worker_timeout + SLACK
            )
            scene.recovers("the run is executed by another", again[-1].at)
            gate.open()
            run = scene.wait_until(result, "successful")
            assert run.worker_ids == ["lost", "other"]
            if how == "unplugged" or DATABASE != "postgresql":
                # Whoever acknowledges what is sent, and never answers, keeps libpq waiting.
                wait_for(lambda: NOTICED in lost.output, "it notices", 60)
                scene.happens("the lost worker knows it")
        scene.happens("the network is whole again")
        healed = time.monotonic()
        wait_for(
            lambda: Worker.objects.living().filter(label="lost").exists(),
            "the lost worker is registered anew",
            BACK_WITHIN,
        )
        back = time.monotonic() - healed
        other.ask_to_stop()
        other.wait()
        scene.wait_until(scene.enqueue(shelf.quick), "successful")
        assert scene.run(result).worker_ids == ["lost", "other"]
        assert lost.is_running
        scene.sees(
            f"executed by another worker; the lost one was back {back:.0f} s after the network"
        )
        assert_invariants(scene, crashes=1)


@pytest.mark.fault(17)
def test_17_the_server_only_reads(scene: Scene, server: PrivateServer) -> None:
    who = sabotage.let_workers_be_no_superusers() if DATABASE == "mariadb" else {}
    for label in ("first", "second"):
        scene.worker(label, **who)
    scene.throughput = scene.measure()
    gate = scene.gate()
    running = scene.enqueue_many(shelf.through, [(gate,)] * 2)
    scene.wait_for_entries(2, "start")
    ready = scene.enqueue_many(shelf.quick, [()] * 20)
    with sabotage.only_reading():
        scene.strikes("the server only reads")
        gate.open()
        scene.wait_for_entries(2, "end")
        for worker in scene.workers:
            worker.wait_for_line(NOTICED)
        scene.lasts(PACE.outage)
    scene.ceases("it writes again")
    for result in [*running, *ready]:
        run = scene.wait_until(result, "successful", timeout=BACK_WITHIN)
        assert (run.attempts, run.errors) == (1, [])
    scene.recovers("all have ended")
    scene.sees("22 runs successful, one attempt each, no failure")
    assert_invariants(scene)


@pytest.mark.fault(18)
def test_18_deadlocks_and_serialization_failures(scene: Scene) -> None:
    isolation = {"postgresql": "4", "mariadb": "repeatable read"}[DATABASE]  # 4: serializable
    environment = {"TASKWORKS_FAULTS_ISOLATION": isolation}
    for label in ("first", "second"):
        scene.worker(label, **environment)
    lives = rows_of_workers()
    scene.throughput = scene.measure()
    over = threading.Event()
    scene.strikes("workers are strictly isolated, and other sessions lock rows in any order")
    lockers = [begin_elsewhere(lambda: sabotage.lock_in_any_order(over)) for _ in range(3)]
    ends = time.monotonic() + PACE.storm
    while time.monotonic() < ends:
        scene.enqueue_many(shelf.quick, [()] * 20)
    over.set()
    deadlocks = sum(locker.result(timeout=60) for locker in lockers)
    scene.ceases(f"{deadlocks} deadlocks ended a session of the lockers")
    scene.wait_until_all_ended()
    scene.recovers("all have ended")
    runs = TaskRun.objects.filter(task_path=shelf.quick.module_path)
    assert {run.state for run in runs} == {"successful"}
    assert rows_of_workers() == lives
    starts = scene.ledger.entries("start")
    assert len(starts) == len({entry.run for entry in starts}) == len(runs)
    scene.sees(f"{len(runs)} runs successful, each executed once")
    assert_invariants(scene)


@pytest.mark.fault(21)
def test_21_the_disk_is_full(scene: Scene) -> None:
    with small_disk() as disk:
        [worker] = scene.start("worker")
        gate = scene.gate()
        running = scene.enqueue_many(shelf.return_much_at, [(gate, 600_000)] * 4)
        scene.wait_for_entries(4, "start")
        for result in running:
            scene.wait_until(result, "running")
        disk.fill()
        scene.strikes("the disk is full")
        with pytest.raises(DatabaseError):
            enqueue_much(scene)
        gate.open()
        scene.wait_for_entries(4, "end")
        worker.wait_for_line(NOTICED)
        disk.free()
        scene.ceases("there is space again")
        for result in running:
            run = scene.wait_until(result, "successful", timeout=BACK_WITHIN)
            assert (run.attempts, run.errors) == (1, [])
        scene.wait_until_all_ended()
        scene.recovers("all have ended")
        assert len(scene.ledger.entries("end")) == 4
        scene.sees("`enqueue` raised; 4 outcomes were written once there was space")
        assert_invariants(scene)


@pytest.mark.fault(22)
def test_22_another_session_holds_a_transaction_open(scene: Scene) -> None:
    scene.start("worker")
    before = max(scene.measure(count=MANY) for _ in range(2))
    with holding(sabotage.look_at_the_runs):
        scene.strikes("another session looks at the runs as they are now, and goes on looking")
        for _ in range(4):
            scene.measure(count=MANY)
        meanwhile = max(scene.measure(count=MANY) for _ in range(2))
    scene.ceases("it has ended")
    after = max(scene.measure(count=MANY) for _ in range(2))
    scene.recovers(f"{before:.0f}, then {meanwhile:.0f}, then {after:.0f} runs a second")
    assert meanwhile >= before / 2
    of_it = f"{100 * meanwhile / before:.0f}% of the throughput after {6 * MANY:,} runs"
    scene.sees(f"{of_it}, {100 * after / before:.0f}% afterwards")
    assert_invariants(scene)


@pytest.mark.fault(24)
def test_24_somebody_holds_the_write_lock(scene: Scene) -> None:
    for label in ("first", "second"):
        scene.worker(label, TASKWORKS_FAULTS_BUSY_TIMEOUT="1")
    scene.throughput = scene.measure()
    lives = rows_of_workers()
    gate = scene.gate()
    running = scene.enqueue_many(shelf.through, [(gate,)] * 2)
    scene.wait_for_entries(2, "start")
    ready = scene.enqueue_many(shelf.quick, [()] * 20)
    with holding(lambda: None):
        scene.strikes("another process holds the write lock")
        gate.open()
        scene.wait_for_entries(2, "end")
        scene.lasts(max(10, PACE.worker_timeout * 2))
    scene.ceases("the lock is released")
    for result in [*running, *ready]:
        run = scene.wait_until(result, "successful", timeout=BACK_WITHIN)
        assert (run.attempts, run.errors) == (1, [])
    scene.recovers("all have ended")
    assert rows_of_workers() == lives
    assert any("database is locked" in worker.output for worker in scene.workers)
    scene.sees("22 runs successful, one attempt each; no worker was declared dead")
    assert_invariants(scene)


def enqueue_much(scene: Scene) -> None:
    for _ in range(100):
        scene.enqueue(shelf.echo, "x" * 900_000)
