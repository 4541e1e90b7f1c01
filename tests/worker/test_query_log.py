"""With DEBUG, Django's log of statements grows neither from run to run nor by the worker's own."""

import pytest
from django.db import connection, connections

from taskworks import task
from taskworks.database.connections import copy_of
from taskworks.framework import task_backends
from taskworks.models import TaskRun
from taskworks.worker import Options, Queues, Worker
from taskworks.worker.pools import Sizes
from tests.behavior import Settings

pytestmark = pytest.mark.django_db(transaction=True)


@task
def count_queries() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return sum("SELECT 1" in entry["sql"] for entry in connection.queries)


def test_a_run_finds_the_queries_of_no_other(settings: Settings) -> None:
    settings.DEBUG = True
    for _ in range(3):
        count_queries.enqueue()
    one_thread = Options(queues=Queues(), sizes=Sizes(threads=1), batch=True, interval=0.02)
    Worker(task_backends["default"], one_thread).run()
    assert [run.return_value for run in TaskRun.objects.all()] == [1, 1, 1]


def test_connections_of_the_machinery_log_none(settings: Settings) -> None:
    settings.DEBUG = True
    copied = copy_of(connections["default"])
    try:
        with copied.cursor() as cursor:
            cursor.execute("SELECT 1")
        assert not copied.queries_log
    finally:
        copied.close()
