"""Poll until something has happened, or the timeout is over."""

import asyncio
import math
from collections.abc import Callable, Iterator
from datetime import timedelta

from asgiref.sync import sync_to_async

from taskworks import real_time as time
from taskworks.database.connection_places import give_way
from taskworks.durations import seconds

Timeout = float | timedelta | None

FIRST_PAUSE, MAX_PAUSE = 0.02, 1.0  # seconds between two looks


def wait_until(
    has_come: Callable[[], bool], timeout: Timeout, overdue: Callable[[str], str]
) -> None:
    """
    Look until ``has_come`` returns True, the last time when the timeout is over. Then raise
    TimeoutError with what ``overdue`` makes of the timeout, such as "60 s".
    """
    for pause in _pauses(timeout):
        if has_come():
            return
        time.sleep(pause)
    raise TimeoutError(overdue(_in_words(timeout)))


async def await_until(
    has_come: Callable[[], bool], timeout: Timeout, overdue: Callable[[str], str]
) -> None:
    """See wait_until()."""
    for pause in _pauses(timeout):
        if await sync_to_async(_has_come_or_gives_way)(has_come):
            return
        await _sleep(pause)
    raise TimeoutError(await sync_to_async(overdue)(_in_words(timeout)))


def _has_come_or_gives_way(has_come: Callable[[], bool]) -> bool:
    """Look; a coroutine function's place may be wanted by the very run that it waits for."""
    if has_come():
        return True
    give_way()
    return False


def _pauses(timeout: Timeout) -> Iterator[float]:
    """Yield the seconds to wait after each look, until the timeout is over."""
    deadline = math.inf if timeout is None else time.monotonic() + seconds(timeout, "timeout")
    pause, left = FIRST_PAUSE, math.inf
    while left > 0:
        left = deadline - time.monotonic()
        yield max(0.0, min(pause, left))
        pause = min(pause * 1.5, MAX_PAUSE)


def _in_words(timeout: Timeout) -> str:
    return f"{seconds(timeout, 'timeout'):g} s"


async def _sleep(pause: float) -> None:
    """Sleep, even if a test has stopped the clock of the event loop, whose timers are never due."""
    if time.is_replaced():
        await asyncio.to_thread(time.sleep, pause)
    else:
        await asyncio.sleep(pause)
