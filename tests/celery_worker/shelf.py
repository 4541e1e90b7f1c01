"""Tasks for Celery workers to execute."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from django.db import connection

from taskworks import Limit, TaskContext, task


@task(takes_context=True)
def report_and_wait(context: TaskContext, go: str) -> str:
    """Say how far it is, and go on once there is the file."""
    context.metadata["half"] = True
    context.save_metadata()
    while not Path(go).exists():
        time.sleep(0.01)
    return "found"


@task
def nap() -> None:
    """Sleep, but not for so long at once that a thread could not be interrupted."""
    while True:
        time.sleep(0.05)


@task
def sleep_for_ever() -> None:
    time.sleep(3600)


@task
def count_for_ever() -> None:
    while True:
        sum(range(100))


@task
def add_line(path: str, line: str, seconds: float = 0.0) -> None:
    time.sleep(seconds)
    with Path(path).open("a") as file:
        file.write(f"{line}\n")


@task
def swallow_interruptions(until: str = "", done: str = "") -> None:
    """For ever, or until there is a file; then make the other one."""
    while True:
        with suppress(BaseException):
            time.sleep(0.01)
            if until and Path(until).exists():
                break
    Path(done).touch()


@task(limit=Limit("desk", at_once=1))
def wait_at_the_desk(go: str) -> None:
    """Until there is the file; of these, one at a time."""
    while not Path(go).exists():
        time.sleep(0.01)


@task
def write_pid_and_wait(path: str, go: str) -> None:
    """Write the id of the process, and go on once there is the file."""
    Path(path).write_text(str(os.getpid()))
    while not Path(go).exists():
        time.sleep(0.01)


@task
def process_after_query() -> str:
    """What no other process is called since the machine started; it has used the database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    _name, _, values = Path("/proc/self/stat").read_text().rpartition(")")
    started_at = values.split()[19]
    return f"{os.getpid()} of {started_at}"


@task
def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
