"""Tasks that write into the database, and come to different ends."""

import os
import threading
import time
from pathlib import Path
from typing import Any

from django.contrib.auth.models import Group
from django.db import connection, transaction

from taskworks import Snooze, TaskContext, task
from tests.waiting import wait_for

# Tests that run a worker in their own process hold tasks here.
written, go_on = threading.Event(), threading.Event()


@task(transactional=True, timeout=15, takes_context=True)
def enter(context: TaskContext) -> str:
    Group.objects.create(name=f"{context.task_result.id} {context.attempt}")
    return "entered"


@task(transactional=True, timeout=15, executor="process")
async def enter_async(name: str) -> str:
    await Group.objects.acreate(name=name)
    return "entered"


@task(transactional=True, timeout=15)
def enter_and(end: str, name: str) -> Any:
    Group.objects.create(name=name)
    return_value = None
    match end:
        case "fail":
            raise ValueError("after all")
        case "return an object":
            return_value = object()
        case "snooze":
            raise Snooze(after=60)
        case "leave open":
            transaction.atomic().__enter__()
        case "roll back":
            transaction.set_rollback(True)
        case "exit":
            os._exit(7)
        case "wait":
            written.set()
            wait_for(go_on.is_set, "the test lets it go on")
    return return_value


@task(transactional=True, timeout=15)
def enter_and_call_on_commit(name: str) -> None:
    Group.objects.create(name=name)
    transaction.on_commit(lambda: 1 / 0)


@task(transactional=True, timeout=15)
def swallow_an_implicit_end(name: str) -> None:
    """MySQL commits at a CREATE, whoever asks."""
    Group.objects.create(name=name)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS tests_ledger (id int)")
        cursor.execute("DROP TABLE tests_ledger")


@task(transactional=True, timeout=15, takes_context=True)
def enter_and_tell(context: TaskContext) -> None:
    Group.objects.create(name="telling")
    context.set_target(3)
    for _ in range(3):
        context.inc_progress()
        context.add_message("one more")


@task(transactional=True, timeout=1)
def enter_and_spin() -> None:
    Group.objects.create(name="spinning")
    while True:
        time.sleep(0.01)


@task(transactional=True, timeout=15, takes_context=True)
def enter_and_wait(context: TaskContext, path: str) -> None:
    Group.objects.create(name=f"{context.task_result.id} {context.attempt}")
    Path(f"{path}.{context.attempt}").touch()
    wait_for(Path(path).exists, "the test lets it go on")


def entered() -> list[str]:
    return sorted(Group.objects.values_list("name", flat=True))
