"""Connections that the machinery needs, and that others take (B)."""

from typing import Any

import psycopg
import pytest
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper

from taskworks.database.listener import Listener
from taskworks.models import Schedule, Worker
from taskworks.store import store
from tests.faults import sabotage, shelf
from tests.faults.invariants import assert_invariants
from tests.faults.pace import PACE, SLACK
from tests.faults.pooler import Pooler, pooler
from tests.faults.scene import Scene
from tests.faults.servers import private_server
from tests.hurry import waiting_for_the_disk
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
            assert worker_rows_silent_for() < PACE.worker_timeout
            gate.open()
            for result in [*holding_one, *running]:
                assert scene.wait_until(result, "successful").attempts == 1
            scene.recovers("what runs has ended, and its outcome is written")
            later = scene.enqueue(shelf.quick)
            scene.wait_until(later, "successful")
        assert rows_of_workers() == lives
        assert worker.is_running
        scene.sees("no worker was declared dead, 8 outcomes written while no connection was left")
        assert_invariants(scene)


@pytest.mark.fault(20)
def test_20_a_pooler_in_transaction_mode(scene: Scene) -> None:
    with waiting_for_the_disk(), pooler() as between:
        lost = scene.worker("lost", **behind(between))
        gate = scene.gate()
        running = scene.enqueue_many(shelf.through, [(gate,)] * 4)
        for result in running:
            scene.wait_until(result, "running")
        worker = scene.worker("worker", **behind(between))
        worker.wait_for_line("Notifications of the database do not arrive")
        scene.wait_until(scene.enqueue(shelf.quick), "successful")
        every_second = Schedule(label="bell", cron="* * * * * *")
        every_second.describe(shelf.bare)
        every_second.save()
        wait_for(lambda: every_second.firings.count() >= 3, "the schedule fires")
        scene.kill(lost)
        gate.open()
        scene.wait_until_all_ended(PACE.rescue + SLACK)
        scene.recovers("the runs of a worker that was killed have ended")
        Schedule.objects.update(enabled=False)
        scene.measure()
        worker.ask_to_stop()
        assert worker.wait() == 0
        assert what_is_left(between) == []
        with Listener(through(between)) as listener:
            assert listener.is_pooled
    scene.sees("no notification arrived, the worker polled; all runs ended, 0 settings were left")
    assert_invariants(scene, crashes=1)


def behind(between: Pooler) -> dict[str, str]:
    return {"PGHOST": "127.0.0.1", "PGPORT": str(between.port)}


def through(between: Pooler) -> BaseDatabaseWrapper:
    """As the settings of a process behind it are."""
    settings = {**connection.settings_dict, "HOST": "127.0.0.1", "PORT": str(between.port)}
    return type(connection.copy())(settings)


def what_is_left(between: Pooler) -> list[Any]:
    """Settings, locks and channels of ours, in the sessions that a client would find."""
    name, user = connection.settings_dict["NAME"], connection.settings_dict["USER"]
    clients = [  # in a transaction each, and so in a session each
        psycopg.connect(host="127.0.0.1", port=between.port, dbname=name, user=user)
        for _ in range(between.sessions)
    ]
    found = [client.execute(LEFT).fetchone() for client in clients]
    for client in clients:
        client.close()
    pids = {row[-1] for row in found}
    assert len(pids) == between.sessions
    return [row for row in found if row[:-1] != ("0", "on", 0, 0)]


LEFT = """
    SELECT CURRENT_SETTING('idle_in_transaction_session_timeout'),
        CURRENT_SETTING('synchronous_commit'),
        (SELECT COUNT(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'),
        (SELECT COUNT(*) FROM pg_listening_channels() AS channel
            WHERE channel IN ('taskworks', 'taskworks_watched')),
        pg_backend_pid()
"""


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
