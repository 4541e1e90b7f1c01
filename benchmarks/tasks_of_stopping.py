"""The tasks that ``benchmarks.stopping`` cancels."""

import asyncio
import re
import time

from taskworks import task


@task
def spin() -> None:
    while True:
        sum(range(100))


@task
async def wait() -> None:
    await asyncio.sleep(3600)


@task(executor="process")
def sleep_in_a_process() -> None:
    time.sleep(3600)


@task(executor="process")
def hold_the_interpreter_of_a_process() -> None:
    """Block all threads: the regular expression engine does not release the GIL."""
    re.match(r"(a+)+$", "a" * 40 + "b")
