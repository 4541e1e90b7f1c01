"""A Celery worker of a backend with a database of its own, and Celery's handle of a run there."""

import pytest
from django.db import DatabaseError, connections

from taskworks import task_backends
from taskworks.celery import AsyncResult
from taskworks.celery_worker.remote_control import Canceller
from taskworks.models import Limit, Schedule, TaskRun
from tests import tasks
from tests.celery_worker.brokers import OwnRedis
from tests.celery_worker.conftest import redis_server, start_celery
from tests.celery_worker.processes import StartCelery
from tests.shards.backends import SHARD
from tests.shards.several import down
from tests.shards.test_runs import bulk
from tests.waiting import wait_for

__all__ = ["redis_server", "start_celery"]

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", SHARD])


@pytest.mark.not_every_day
@pytest.mark.thorough_on_servers
def test_a_celery_worker_needs_its_own_database_alone(
    start_celery: StartCelery, redis_server: OwnRedis
) -> None:
    settings = {
        "DJANGO_SETTINGS_MODULE": "tests.shards.celery_settings",
        "TASKWORKS_TEST_SHARD_NAME": str(connections[SHARD].settings_dict["NAME"]),
    }
    result = bulk(tasks.add).enqueue(1, 2)
    start_celery(redis_server.url, **settings).wait_until_up()
    assert result.wait(60).return_value == 3
    assert Schedule.objects.using(SHARD).get().label == "of the shard"
    assert Limit.objects.using(SHARD).filter(name="narrow").exists()


def test_a_run_is_found_though_another_database_is_down() -> None:
    result = bulk(tasks.add).enqueue(1, 2)
    with down("default"):
        found = AsyncResult(result.id)
        assert found.state == "PENDING"
        assert found.args == [1, 2]
        with pytest.raises(DatabaseError):
            _ = AsyncResult("0" * 32).state


def test_a_revoked_run_is_cancelled_though_another_database_is_down(
    caplog: pytest.LogCaptureFixture,
) -> None:
    canceller = Canceller([task_backends["default"], task_backends["bulk"]])  # type: ignore[list-item]
    ids = [bulk(tasks.noop).enqueue().id for _ in range(2)]
    cancelled = TaskRun.objects.using(SHARD).filter(id__in=ids, state="cancelled")
    with down("default"):
        canceller.cancel(ids)
        wait_for(lambda: cancelled.count() == 2, "they are cancelled")
    for id_ in ids:
        assert f"{id_} was not cancelled in TASKS['default']" in caplog.text
