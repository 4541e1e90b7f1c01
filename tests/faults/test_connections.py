"""Connections that the machinery needs, and that others take (B)."""

import pytest

from taskworks.models import Worker
from taskworks.store import store
from tests.faults import sabotage, shelf
from tests.faults.invariants import assert_invariants
from tests.faults.pace import PACE
from tests.faults.scene import Scene
from tests.faults.servers import private_server
from tests.settings import DATABASE
from tests.waiting import wait_for

FEW_CONNECTIONS = {
    "postgresql": ("-c", "max_connections=20", "-c", "superuser_reserved_connections=0"),
    "mariadb": ("--max-connections=20",),
}


@pytest.mark.fault(19)
def test_19_no_connection_is_left(scene: Scene) -> None:
    with private_server(*FEW_CONNECTIONS[DATABASE]):
        [worker] = scene.start("worker", measure=False)
        lives = rows_of_workers()
        gate = scene.gate()
        holding_one = scene.enqueue_many(shelf.hold_a_connection, [(gate,)] * 3)
        running = scene.enqueue_many(shelf.through_async, [(gate,)] * 5)
        scene.wait_for_entries(8, "start")
        for result in [*holding_one, *running]:
            scene.wait_until(result, "running")
        wait_for(has_beaten, "the worker has given a sign of life since it registered")
        with sabotage.every_connection():
            scene.strikes("the server has no connection left")
            scene.lasts(2 * PACE.worker_timeout)
            assert worker_rows_silent_for() < PACE.worker_timeout / 2
            gate.open()
            for result in [*holding_one, *running]:
                assert scene.wait_until(result, "successful").attempts == 1
            scene.recovers("what runs has ended, and its outcome is written")
            later = scene.enqueue(shelf.quick)
            scene.wait_until(later, "successful")
        assert rows_of_workers() == lives
        assert worker.is_running
        scene.sees("nobody given up, 8 outcomes written while no connection was left")
        assert_invariants(scene)


def worker_rows_silent_for() -> float:
    """Seconds since the oldest sign of life of a living worker."""
    oldest = min(Worker.objects.living().values_list("heartbeat_at", flat=True))
    return (store().read_clock() - oldest).total_seconds()


def has_beaten() -> bool:
    """And so has the connection that it does it by."""
    [row] = Worker.objects.living()
    return row.heartbeat_at > row.started_at


def rows_of_workers() -> set[str]:
    return {str(id_) for id_ in Worker.objects.living().values_list("id", flat=True)}
