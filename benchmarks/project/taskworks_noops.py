"""The no-op as a Taskworks task."""

import time

from benchmarks.marks import Marker
from benchmarks.place import Place
from taskworks import task

mark = Marker(Place.here().marks)


@task
def noop(number: int, word: str) -> int:
    mark(number)
    return number


@task
async def noop_async(number: int, word: str) -> int:
    mark(number)
    return number


@task
def nap(number: int, seconds: float) -> int:
    """Take a while."""
    mark(number)
    time.sleep(seconds)
    return number
