"""Tasks that log."""

import asyncio
import logging
import threading
from contextvars import copy_context

from asgiref.sync import sync_to_async

from taskworks import TaskContext, task

logger = logging.getLogger("tests.captured")


@task(takes_context=True)
def say(context: TaskContext) -> None:
    logger.warning("One of %d.", 2)
    context.add_message("For people.")
    try:
        raise KeyError("x")
    except KeyError:
        logger.exception("Two\nof \x1b[31m<b>2</b>.")


@task
def say_in_threads() -> None:
    for number, target in enumerate([copy_context().run, lambda call: call()]):
        thread = threading.Thread(target=target, args=[lambda n=number: logger.warning("%d", n)])
        thread.start()
        thread.join()


@task
async def say_in_a_loop() -> None:
    logger.warning("a coroutine")
    await asyncio.create_task(_say_as_well())
    await sync_to_async(logger.warning)("a thread of it")


async def _say_as_well() -> None:
    logger.warning("a task of it")


@task(executor="process")
def say_in_a_child() -> None:
    logger.warning("a child")


@task(max_attempts=2, backoff=0)
def say_and_fail() -> None:
    logger.warning("again")
    raise ValueError("No.")


@task
def say_much(lines: int, length: int) -> None:
    for number in range(lines):
        logger.warning("%s", f"{number} ".ljust(length, "x"))
