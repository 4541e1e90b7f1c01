"""
A process that sends an event to a run, or suspends it, and is killed before one of its statements.
"""

import sys
from datetime import timedelta
from typing import Any
from uuid import UUID

import django


def main(role: str, run_id: str, number: int) -> None:
    django.setup()
    from django.db import connection

    from taskworks.models import TaskRun
    from taskworks.store import store

    run = TaskRun.objects.get(id=UUID(run_id))
    sent = 0

    def count(execute: Any, sql: str, params: Any, many: Any, context: Any) -> Any:
        nonlocal sent
        if sent == number:
            print("here", flush=True)
            sys.stdin.read()
        sent += 1
        return execute(sql, params, many, context)

    with connection.execute_wrapper(count):
        if role == "sender":
            store().send_event(run.id, "approved", 1)
        else:
            suspend(store(), run)
    print("done", flush=True)


def suspend(store: Any, run: Any) -> None:
    """End an attempt at the run as that of a task that waits for a day."""
    from taskworks.execution import Attempt, Suspended, settle

    attempt = Attempt(run, "a label")
    attempt.begin()
    settle(attempt, Suspended(timedelta(days=1), frozenset()))
    assert store.suspend([run]) == {run.id}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
