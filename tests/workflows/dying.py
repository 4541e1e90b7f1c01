"""
Processes that are killed by ``kill -9`` at one statement after another while they enqueue a
workflow and execute it; after each, another one goes on and looks at what is there.

Each is a fork of this process, which never has a connection of its own.
"""

import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import django
from django.db import connections

FIRST, STRIDE = int(sys.argv[1]), int(sys.argv[2])
EVERY = "a", "x", "y", "inner", "last", "job", "then"
KILLED = -signal.SIGKILL


def main() -> None:
    django.setup()
    number, code = FIRST, KILLED
    while code == KILLED:
        code = forked(lambda n=number: play(n))
        if code not in (0, KILLED):
            sys.exit(f"statement {number}: the process that was to be killed ended with {code}")
        if forked(go_on):
            sys.exit(f"statement {number}: what was left is not right")
        number += STRIDE
    print(f"killed at {(number - FIRST) // STRIDE - 1} statements", flush=True)


def forked(do: Callable[[], None]) -> int:
    """Do it in a fork, and return its exit code."""
    child = os.fork()
    if child == 0:
        try:
            do()
        except BaseException as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def play(number: int) -> None:
    """Enqueue and execute; be killed at this statement."""
    from django.db.backends.signals import connection_created

    from taskworks.models import TaskRun

    assert not TaskRun.objects.exists()
    executed = 0

    def count(execute: Any, *arguments: Any) -> Any:
        nonlocal executed
        executed += 1
        if executed == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return execute(*arguments)

    def watch(connection: Any, **_: Any) -> None:
        connection.execute_wrappers.append(count)

    connection_created.connect(watch)
    connections.close_all()  # so that all are new
    enqueue()
    work()


def enqueue() -> None:
    from taskworks import Batch, Workflow
    from tests.workflows.tasks import step

    flow, inner = Workflow("dying"), Workflow("inner")
    inner.add("inner", step, "inner")
    a = flow.add("a", step, "a")
    group = flow.each("group", step, [["x"], ["y"]], after=a)
    flow.add("nested", inner, after=group)
    flow.add("last", step, "last", after="nested", any_end=True)
    flow.enqueue()
    with Batch("batch", then=step.step("then"), failed=step.step("failed")) as batch:
        batch.add(step, "job")


def work() -> None:
    from django.core.management import call_command

    call_command("taskworks", "worker", "--batch", "--threads", "1", verbosity=0)


def go_on() -> None:
    """Do what other workers would, and look."""
    from taskworks.database.clock import DatabaseClock
    from taskworks.models import Edge, Step, TaskRun, Worker, Workflow
    from taskworks.store import store
    from tests.connections import wait_until_the_dead_are_gone

    wait_until_the_dead_are_gone()
    Worker.objects.update(given_up_at=DatabaseClock())
    while store().rescue(100):
        pass
    work()
    for batch in Workflow.objects.filter(closed_at=None):  # whose process died before its close
        store().close_workflow(batch.id)
    work()
    unfinished = [str(run) for run in TaskRun.objects.exclude(state="successful")]
    assert not unfinished, f"these have not succeeded: {unfinished}"
    assert not Edge.objects.exists(), "there are edges left"
    open_ = [str(row) for row in Workflow.objects.exclude(outcome="successful")]
    assert not open_, f"these have not ended: {open_}"
    labels = Counter(run.args[0] for run in TaskRun.objects.all())
    assert set(labels.values()) <= {1}, f"a step has two runs: {labels}"
    assert "failed" not in labels, "nothing has failed"
    names = {*Workflow.objects.values_list("name", flat=True)}
    if "dying" in names:
        assert {*EVERY[:5]} <= labels.keys(), f"some are missing: {labels}"
    if "batch" in names:
        assert "then" in labels, f"the callback is missing: {labels}"
    for model in (TaskRun, Edge, Step, Workflow, Worker):
        model.objects.all().delete()


if __name__ == "__main__":
    main()
