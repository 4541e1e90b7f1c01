"""A task whose effect happens once, in the transaction of its own end."""

from django.db import connection

from taskworks import TaskContext, task
from tests.faults.shelf import in_ledger


@task(takes_context=True, transactional=True, timeout=10)
@in_ledger
def add_one(context: TaskContext) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE faults_counter SET value = value + 1")
