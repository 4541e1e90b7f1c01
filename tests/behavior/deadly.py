"""Tasks that kill the process that executes them, and tasks that tell where they are."""

import ctypes
import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any

from taskworks import Snooze, TaskContext, task
from taskworks.framework import Task
from taskworks.models import TaskRun


@task
def die(how: str) -> None:
    match how:
        case "segfault":
            ctypes.string_at(0)
        case "exit":
            os._exit(7)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)


@task
async def die_async(how: str) -> None:
    die.func(how)


@task
def die_at_every_second_time(ledger: str) -> int:
    """The first, the third, ...; returns which time it is."""
    path = Path(ledger)
    with path.open("a") as file:
        file.write("x")
    if len(path.read_text()) % 2:
        os._exit(7)
    return len(path.read_text())


@task
def die_first_and_fail_then(ledger: str) -> None:
    """Fails in the second attempt, and tells in the third where it is executed."""
    path = Path(ledger)
    with path.open("a") as file:
        file.write("x")
    match len(path.read_text()):
        case 1:
            os._exit(7)
        case 2:
            raise Snooze(after=0)


@task(takes_context=True)
def tell_row(context: TaskContext) -> dict[str, Any]:
    """What the record says while the first line runs, and in which process that is."""
    run = TaskRun.objects.get(id=context.task_result.id)
    return {"state": run.state, "attempts": run.attempts, "pid": os.getpid()}


@task(takes_context=True)
async def tell_row_async(context: TaskContext) -> dict[str, Any]:
    run = await TaskRun.objects.aget(id=context.task_result.id)
    return {"state": run.state, "attempts": run.attempts, "pid": os.getpid()}


@task(delivery="at_most_once")
def note_and_wait(ledger: str, go_on: str) -> str:
    with Path(ledger).open("a") as file:
        file.write("x")
    while not Path(go_on).exists():
        time.sleep(0.01)
    return "done"


@task
def write_pid_and_hold_on(path: str) -> None:
    """The engine of regular expressions lets no other thread run."""
    Path(path).write_text(str(os.getpid()))
    re.match(r"(a+)+$", "a" * 40 + "b")


async def standard() -> int:
    return os.getpid()


# As @django.tasks.task makes it, which Django 5.2 has not.
standard = Task(
    func=standard,
    priority=0,
    queue_name="default",
    backend="default",
    takes_context=False,
    run_after=None,
)


@task
def leave_with_0_once(flag: str) -> None:
    """The first time, end the process as one that has done its work."""
    if not Path(flag).exists():
        Path(flag).touch()
        os._exit(0)


@task
def fork_and_come_back(how: str) -> int:
    """The child comes out of the task as its parent does."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    match how:
        case "exits":
            sys.exit(3)
        case "raises":
            raise ValueError("in the child")
    return 0


@task
async def fork_and_come_back_async(how: str) -> int:
    result: int = fork_and_come_back.func(how)
    return result


@task
def sign(ledger: str) -> None:
    """A line with the process, by one write."""
    file = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{os.getpid()}\n".encode())
    os.close(file)
