"""What breaks around a Celery worker, and what becomes of the runs then."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from celery import Celery
from django.db import connection

from taskworks.celery_worker.kinds import kind_of
from taskworks.models import TaskRun, Worker
from tests import tasks
from tests.celery_worker import shelf
from tests.celery_worker.brokers import OwnRedis, own_redis
from tests.celery_worker.enqueuer import enqueuing
from tests.celery_worker.processes import CeleryWorker, StartCelery
from tests.freezing import freeze
from tests.on_request import on_request
from tests.stopping.runs import cancel_under_way, error_of, finished, run_of, wait_until
from tests.waiting import wait_for


@on_request
def test_a_process_that_dies_before_its_tickets_are_sent_loses_nothing(
    start_celery: StartCelery, redis_server: OwnRedis, tmp_path: Path
) -> None:
    worker = start_celery(redis_server.url).wait_until_connected()
    nowhere = {**worker.environment, "TASKWORKS_TEST_BROKER": "redis://127.0.0.1:1/0"}
    with enqueuing(tmp_path / "lines", nowhere) as enqueuer:
        enqueuer.enqueue(5)
    wait_for(lambda: TaskRun.objects.successful().count() == 5, "it looks by itself")


@on_request
def test_a_worker_of_another_project_discards_tickets_and_nothing_is_lost(
    start_celery: StartCelery, redis_server: OwnRedis
) -> None:
    foreign = start_celery(redis_server.url, DJANGO_SETTINGS_MODULE="tests.settings")
    foreign.wait_until_connected()
    result = tasks.add.enqueue(1, 2)
    send_ticket(foreign, result.id)
    foreign.wait_for_log("Received unregistered task of type 'taskworks.run'")
    assert "it takes runs from" not in foreign.log
    assert run_of(result).state == "ready"
    start_celery(redis_server.url, **foreign.environment | {"DJANGO_SETTINGS_MODULE": OURS})
    assert finished(result)[0].return_value == 3


OURS = "tests.celery_worker.settings"


def send_ticket(worker: CeleryWorker, run_id: str) -> None:
    with Celery("sender", broker=worker.broker, set_as_current=False) as app:
        app.send_task("taskworks.run", [run_id], task_id=run_id, queue=worker.queue)


@on_request
def test_a_main_process_that_was_frozen_cannot_change_what_others_have(
    start_celery: StartCelery, pool: str, broker: str, tmp_path: Path
) -> None:
    frozen = start_celery(broker, pool=pool).wait_until_connected()
    result = tasks.wait_for_file.enqueue(str(tmp_path / "go"))
    wait_until(result, "running")
    freeze(frozen.process.pid)
    other = start_celery(broker, pool=pool)
    wait_for(lambda: run_of(result).worker_ids == [frozen.name[:64], other.name[:64]], "rescued")
    (tmp_path / "go").touch()
    [run] = finished(result)
    frozen.send(signal.SIGCONT)
    frozen.wait_for_log("its outcome is lost")
    assert (run.state, run.attempts) == ("successful", 2)
    assert run_of(result).finished_at == run.finished_at
    other.send(signal.SIGTERM)
    other.wait()
    assert finished(tasks.add.enqueue(1, 2))[0].return_value == 3  # it goes on, by another id


@on_request
def test_a_worker_that_gives_up_its_broker_gives_back_its_runs(
    start_celery: StartCelery, tmp_path: Path
) -> None:
    """By the setting broker_connection_max_retries."""
    with own_redis() as redis:
        options = {"TASKWORKS_TEST_MAX_RETRIES": "1", "TASKWORKS_TEST_SHUTDOWN_TIMEOUT": "1"}
        worker = start_celery(redis.url, **options).wait_until_connected()
        result = tasks.wait_for_file.enqueue(str(tmp_path / "never"))
        wait_until(result, "running")
        redis.stop()
        assert worker.wait() == 1
        run = run_of(result)
        assert (run.state, run.attempts, run.claimed_by) == ("ready", 0, None)
        assert not Worker.objects.exists()


@on_request
def test_a_worker_that_fails_ends_celery(start_celery: StartCelery, redis_server: OwnRedis) -> None:
    """No node looks as if it took runs, and does not."""
    with table_away(Worker._meta.db_table):
        worker = start_celery(redis_server.url)
        assert worker.wait() == 1
    assert "The worker of TASKS['default'] has failed." in worker.log


@contextmanager
def table_away(table: str) -> Iterator[None]:
    """While this lasts, there is no such table."""
    names = [connection.ops.quote_name(name) for name in (table, "taskworks_away")]
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {names[0]} RENAME TO {names[1]}")
        try:
            yield
        finally:
            cursor.execute(f"ALTER TABLE {names[1]} RENAME TO {names[0]}")


@on_request
def test_the_main_thread_is_woken_by_a_timeout_and_by_a_cancellation(
    start_celery: StartCelery, broker: str
) -> None:
    """Though it sleeps for an hour."""
    start_celery(broker, pool="solo").wait_until_connected()
    [run] = finished(shelf.sleep_for_ever.using(timeout=0.5).enqueue())
    assert (run.state, error_of(run)) == ("failed", "TaskTimeout")
    cancel_under_way(shelf.sleep_for_ever.enqueue())
    assert finished(tasks.add.enqueue(1, 2))[0].return_value == 3


@pytest.mark.any_database
@pytest.mark.parametrize("module", ["gevent", "eventlet", "of_the_project"])
def test_another_pool_is_refused_in_a_sentence(module: str) -> None:
    pool = type("TaskPool", (), {"__module__": f"celery.concurrency.{module}"})()
    with pytest.raises(SystemExit) as refused:
        kind_of(SimpleNamespace(pool=pool))
    assert f"This worker has the pool {module!r}, which cannot execute" in str(refused.value)
