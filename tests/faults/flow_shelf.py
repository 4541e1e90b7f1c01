"""Tasks with limits, rates and keys, for workers and callers that are struck."""

import random
import time

from django.db import connection

from taskworks import Debounce, Limit, TaskContext, Unique, task
from tests.faults.shelf import note  # and with it, who notes each outcome

DOCUMENTS = "faults_document"  # a table of numbers, which callers count up before they enqueue
AT_ONCE, TOTAL = 2, 50
RATE, BURST = 20, 5  # runs a second of each tenant
IMPORTS = Limit("imports", by="tenant", at_once=AT_ONCE, total=TOTAL)
CALLS = Limit("calls", by="tenant", rate=f"{RATE}/s", burst=BURST)
INDEXING = Limit("indexing", by="document", at_once=1)
A_MOMENT = 0.02  # seconds


@task
def plain() -> None:
    time.sleep(A_MOMENT)


@task(limit=IMPORTS)
def import_file(tenant: int) -> None:
    time.sleep(A_MOMENT)


@task(limit=IMPORTS, takes_context=True, max_attempts=2, backoff=0)
def import_at_second_try(context: TaskContext, tenant: int) -> None:
    time.sleep(A_MOMENT)
    if not context.task_result.errors:
        raise ValueError("the first time")


@task(limit=CALLS, takes_context=True)
def call(context: TaskContext, tenant: int, wait: float = 0) -> None:
    """It may be told to wait several times."""
    if wait and random.randrange(2):
        context.hold(wait)


@task(unique=Unique("document"))
def sync(document: int) -> None:
    time.sleep(A_MOMENT)


@task(unique=Unique("document", while_="waiting"), limit=INDEXING)
def index(document: int) -> int:
    return read(document)


@task(unique=Unique("document", while_="waiting", on_conflict="replace"))
def latest(document: int, version: int) -> int:
    return read(document)


@task(unique=Debounce("document", wait=0.3, longest=3))
def settled(document: int, version: int) -> int:
    return read(document)


@task(takes_context=True, queue_name="imports")
def pausable(context: TaskContext) -> None:
    note(context, "began")
    time.sleep(A_MOMENT)


def read(document: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT number FROM {DOCUMENTS} WHERE id = %s", [document])
        [(number,)] = cursor.fetchall()
        return int(number)
