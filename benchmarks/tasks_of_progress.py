"""The task that is measured by ``benchmarks.progress``."""

import time

from taskworks import TaskContext, task


@task(takes_context=True)
def count(context: TaskContext, calls: int) -> dict[str, float]:
    """Return the seconds that loops of ``calls`` steps take."""
    context.set_target(calls)
    begin = time.perf_counter()
    for number in range(calls):
        _count(number)
    bare = time.perf_counter()
    for number in range(calls):
        context.set_progress(number)
    by_setting = time.perf_counter()
    context.set_progress(0)
    for _ in range(calls):
        context.inc_progress()
    by_moving = time.perf_counter()
    return {
        "bare": bare - begin,
        "set_progress": by_setting - bare,
        "inc_progress": by_moving - by_setting,
    }


def _count(number: int) -> None:
    pass
