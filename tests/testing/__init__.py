"""The test kit: tasks that its tests execute."""

import os
import threading
from contextvars import ContextVar

from asgiref.sync import sync_to_async
from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction

from taskworks import Retry, Snooze, TaskContext, current_context, task
from tests import tasks

word: ContextVar[str] = ContextVar("word", default="nothing")
called: list[str] = []


def place() -> list[int]:
    """Where this is executed."""
    return [os.getpid(), threading.get_ident()]


@task
def tell_place() -> list[int]:
    return place()


@task(executor="process")
def tell_place_of_a_process() -> list[int]:
    return place()


@task
async def tell_place_of_a_coroutine() -> list[int]:
    """Where its queries are made."""
    return await sync_to_async(place)()


@task
def set_word() -> str:
    before = word.get()
    word.set("something")
    return before


@task
def enqueue_itself() -> None:
    enqueue_itself.enqueue()


@task(takes_context=True, max_attempts=3, backoff=60)
def succeed_at_the_third(context: TaskContext) -> int:
    if context.attempt < 3:
        raise ValueError(f"attempt {context.attempt}")
    return context.attempt


@task(max_attempts=2)
def ask_for_a_retry() -> None:
    raise Retry("not yet", after=0)


@task(takes_context=True)
def snooze_first(context: TaskContext) -> str:
    if not context.metadata:
        context.metadata["snoozed"] = True
        context.save_metadata()
        raise Snooze("later", after=60)
    return "awake"


@task(takes_context=True)
def tell_and_fail(context: TaskContext) -> None:
    tell(context)
    context.save_metadata()
    raise ValueError("told all")


@task(takes_context=True)
async def tell_as_coroutine(context: TaskContext) -> None:
    tell(context)
    await context.asave_metadata()


def tell(context: TaskContext) -> None:
    context.set_target(5)
    context.set_progress(2)
    context.inc_progress()
    context.add_message("well")
    context.metadata["told"] = "all"


@task
def cancel_itself_and_fail() -> None:
    context = current_context()
    assert context is not None
    context.task_result.cancel()
    raise ValueError("in vain")


@task
def write_one_type_twice() -> None:
    for _ in range(2):
        ContentType.objects.create(app_label="tests", model="twice")


@task
def run_bad_sql() -> None:
    ContentType.objects.create(app_label="tests", model="bad")
    with connection.cursor() as cursor:
        cursor.execute("SELECT nothing FROM nowhere")


@task
def enqueue_on_commit(path: str) -> None:
    with transaction.atomic():
        transaction.on_commit(lambda: called.append(path))
        tasks.noop.enqueue_on_commit(path)
        called.append("in the task")


@task
def fail_on_commit() -> None:
    def fail() -> None:
        raise ValueError("too late")

    transaction.on_commit(fail)


@task
def roll_back() -> None:
    with transaction.atomic():
        transaction.on_commit(lambda: called.append("never"))
        ContentType.objects.create(app_label="tests", model="rolled back")
        raise ValueError("not this way")
