"""
A child process that stops at a point of its second order: there it dies, or waits for a byte from
its standard input. None of its threads sends what is held.
"""

import multiprocessing.connection
import os
import sys
from contextlib import nullcontext
from pathlib import Path

PIPE_VARIABLE = "TASKWORKS_TEST_CHILD"
POINTS = ("before the mark", "after the mark", "after the end")


def main(folder: Path, point: str, what: str) -> None:
    import django

    django.setup()
    from taskworks.celery_worker.marks import new_mark
    from taskworks.worker.pools import child
    from taskworks.worker.pools.messages import TurnBegun
    from tests.waiting import wait_for

    child.HOLD_FOR = 3600.0
    note, executed = new_mark(folder), 0

    def mark(number: int) -> None:
        nonlocal executed
        executed = number or executed
        if number == 1:
            wait_for(lambda: main_of_child._orders.qsize() == 2, "the others are here")
        is_it = executed == 2
        if is_it and number and point == "before the mark":
            stop()
        note(number)
        if is_it and point == ("after the mark" if number else "after the end"):
            stop()

    def stop() -> None:
        (folder / "stopped").touch()
        if what == "die":
            os._exit(1)
        os.read(0, 1)

    connection = multiprocessing.connection.Connection(int(os.environ.pop(PIPE_VARIABLE)))
    main_of_child = child.ChildMain(connection, nullcontext(), mark=mark)
    main_of_child.start()
    main_of_child.work(TurnBegun(1, os.getpid()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
