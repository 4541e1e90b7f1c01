"""A worker that parks runs, or frees them, and kills itself before one of its statements."""

import os
import signal
import sys
from typing import Any
from uuid import UUID

import django


def main(what: str, number: str, pause: str) -> None:
    """Do it, and die before the statement with this number, counted from 0."""
    django.setup()
    from django.db import connection

    from taskworks.duties.unblock import ParkedRuns
    from taskworks.execution import Attempt, Parked, settle
    from taskworks.models import Worker
    from taskworks.store import store

    left = int(number)

    def dying(execute: Any, sql: str, *given: Any) -> Any:
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return execute(sql, *given)

    connection.ensure_connection()
    if what == "park":
        worker = Worker(label="dying", hostname="here", pid=os.getpid())
        store().register(worker)
        runs = store().claim(worker.id, "default", ["default"], {"thread": 10})
        for run in runs:
            settle(Attempt(run, "dying"), Parked(UUID(pause)))
        with connection.execute_wrapper(dying):
            store().park(runs)
    else:
        parked = ParkedRuns(store())
        parked.note_resumed([UUID(pause)])
        with connection.execute_wrapper(dying):
            parked.unblock()
    print("survived", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
