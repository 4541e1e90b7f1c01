"""Effects that happen once, whoever is killed."""

import pytest
from django.db import connection

from taskworks.models import TaskRun
from tests.faults.counting import add_one
from tests.faults.havoc import Havoc
from tests.faults.invariants import assert_invariants
from tests.faults.scene import Scene

KILLS, STOPS = 20, 5


@pytest.mark.fault(43)
@pytest.mark.timeout(1200)
def test_43_ten_thousand_transactional_runs_count_to_ten_thousand(scene: Scene) -> None:
    total = 10_000
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE faults_counter (value integer NOT NULL)")
        cursor.execute("INSERT INTO faults_counter VALUES (0)")
    try:
        scene.accept(add_one.enqueue_many([{}] * total))
        havoc = Havoc(scene, 4)
        done = TaskRun.objects.finished().filter(task_path=add_one.module_path).count
        every = (KILLS + STOPS) // STOPS
        strikes = [havoc.stop if n % every == 0 else havoc.kill for n in range(KILLS + STOPS)]
        assert strikes.count(havoc.stop) == STOPS
        havoc.until(done, total, strikes)
        scene.recovery = havoc.slowest
        with connection.cursor() as cursor:
            cursor.execute("SELECT value FROM faults_counter")
            [(value,)] = cursor.fetchall()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE faults_counter")
    assert TaskRun.objects.successful().count() == total
    assert value == total
    starts = len(scene.ledger.entries("start"))
    scene.sees(f"started {starts} times, and the counter is {value}")
    assert_invariants(scene, crashes=KILLS)
