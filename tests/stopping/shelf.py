"""Tasks that are hard to stop, and tasks that end oddly."""

import asyncio
import atexit
import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

from django.db import connection

from taskworks import TaskContext, task
from taskworks.models import TaskRun
from tests.waiting import wait_for


@task
def spin() -> None:
    while True:
        sum(range(100))


@task
def spin_and_catch() -> None:
    while True:
        try:  # noqa: SIM105 - as people write it
            sum(range(100))
        except Exception:
            pass


@task(takes_context=True)
def spin_until_asked(context: TaskContext) -> None:
    while True:
        context.raise_if_cancelled()


@task
def sleep_for_ever() -> None:
    time.sleep(3600)


def think_for_ever(exception: BaseException, result: Any) -> float:
    """A backoff that never ends."""
    while True:
        time.sleep(3600)


@task(max_attempts=2, backoff=think_for_ever)
def fail_and_think_for_ever() -> None:
    raise ValueError


@task
def hold_the_interpreter() -> None:
    """The engine of regular expressions lets no other thread run."""
    re.match(r"(a+)+$", "a" * 40 + "b")


@task
async def await_for_ever() -> None:
    while True:
        await asyncio.sleep(0.05)


@task
async def block_the_loop() -> None:
    time.sleep(3600)


@task
async def swallow_cancellation() -> None:
    while True:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)


@task(takes_context=True)
def survive_once(context: TaskContext, path: str) -> str:
    """The first attempt lets nothing stop it, and shows that it lives; the second returns."""
    with Path(path).open("a", buffering=1) as file:
        while context.attempt == 1:
            try:
                file.write(f"{time.monotonic()}\n")
                time.sleep(0.001)
            except BaseException:
                pass
    return str(time.monotonic())


@task
def sleep_briefly(seconds: float) -> str:
    time.sleep(seconds)
    return "in time"


@task
async def await_briefly(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "in time"


@task
def end_in_its_own_way(way: str) -> None:
    raise ENDS[way]()


@task
async def end_in_its_own_way_async(way: str) -> None:
    raise ENDS[way]()


class Unprintable(Exception):  # noqa: N818 - it is an error only by trade
    def __str__(self) -> str:
        raise RuntimeError("not even a name")

    __repr__ = __str__


class Unpicklable(Exception):  # noqa: N818 - as above
    def __init__(self) -> None:
        super().__init__(lambda: None)


ENDS = {
    "SystemExit": lambda: SystemExit(3),
    "KeyboardInterrupt": KeyboardInterrupt,
    "MemoryError": MemoryError,
    "ExceptionGroup": lambda: ExceptionGroup("several", [ValueError(1), KeyError(2)]),
    "CancelledError": asyncio.CancelledError,
    "Unprintable": Unprintable,
    "Unpicklable": Unpicklable,
    "GeneratorExit": GeneratorExit,
}


@task
def fail_while_it_is_stopped() -> None:
    try:
        time.sleep(0.01)
        while True:
            time.sleep(0.01)
    finally:
        raise ValueError("from tidying up")


@task
async def fail_while_it_is_stopped_async() -> None:
    try:
        await asyncio.sleep(3600)
    finally:
        raise ValueError("from tidying up")


# In child processes.


@task
def pid() -> int:
    return os.getpid()


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
def die_and_leave_a_program() -> None:
    """A program that inherits whatever may be inherited, and outlives the child."""
    os.set_inheritable(2, True)
    subprocess.Popen(["sleep", "90"], close_fds=False, start_new_session=True)
    os._exit(7)


@task
def die_and_leave_a_fork() -> None:
    if os.fork() == 0:
        os.setsid()
        time.sleep(90)
        os._exit(0)
    os._exit(7)


@task
def grow(megabytes: int) -> int:
    hoard.append(bytearray(os.urandom(1024) * 1024 * megabytes))
    return os.getpid()


hoard: list[bytearray] = []


@task
def shout(text: str) -> None:
    sys.stdout.write(text)


@task
def enqueue_more(count: int) -> list[str]:
    return [pid.enqueue().id for _ in range(count)]


@task(takes_context=True)
def tell_everything(context: TaskContext) -> dict[str, Any]:
    context.set_target(10)
    context.set_progress(4)
    context.add_message("half-way, nearly")
    context.metadata["seen"] = True
    context.save_metadata()
    [saved] = TaskRun.objects.filter(id=context.task_result.id).values_list("metadata", flat=True)
    return {"attempt": context.attempt, "saved": saved}


@task(takes_context=True)
def tell_much(context: TaskContext, rounds: int) -> None:
    for number in range(rounds):
        context.metadata["much"] = "x" * 300_000
        context.add_message("y" * 1000)
        context.set_progress(number)
        context.save_metadata()


@task(takes_context=True)
def heed(context: TaskContext) -> str:
    """Sees that it is cancelled, and succeeds all the same."""
    while not context.cancel_requested:
        time.sleep(0.005)
    return "seen"


# At the end of the process.


@task
def leave_word(folder: str) -> int:
    """In the ways in which a program or a library is told that the process leaves."""
    atexit.register((Path(folder) / "exit handler").touch)
    Finalize(None, (Path(folder) / "finalizer").touch, exitpriority=1)
    return os.getpid()


@task
def hang_at_the_end(how: str) -> int:
    match how:
        case "exit handler":
            atexit.register(time.sleep, 3600)
        case "thread":
            threading.Thread(target=time.sleep, args=[3600]).start()
        case "C code":  # it lets no other thread run
            atexit.register(re.match, r"(a+)+$", "a" * 40 + "b")
    return os.getpid()


@task
def wait_at_the_end(path: str) -> int:
    atexit.register(wait_for, Path(path).exists, path)
    return os.getpid()


@task
def meet_at_the_end(folder: str, parties: int) -> None:
    """As many processes meet now, and again when they leave."""
    _meet(Path(folder) / "now", parties)
    atexit.register(_meet, Path(folder) / "at the end", parties)


def _meet(folder: Path, parties: int) -> None:
    folder.mkdir(exist_ok=True)
    (folder / str(os.getpid())).touch()
    wait_for(lambda: len([*folder.iterdir()]) >= parties, "all have come")


@task
def fork_a_process(path: str) -> int:
    """It holds what this process has open, until there is a file."""
    if forked := os.fork():
        return forked
    with suppress(BaseException):
        wait_for(Path(path).exists, path)
    os._exit(0)


# With the database.


@task
def query_for_ever() -> None:
    while True:
        TaskRun.objects.count()


@task
def sleep_in_the_database(seconds: float) -> None:
    function = {"postgresql": "pg_sleep", "mysql": "SLEEP"}[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(%s)", [seconds])


@task
def backend_pid() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            {
                "postgresql": "SELECT pg_backend_pid()",
                "mysql": "SELECT connection_id()",
                "sqlite": "SELECT 1",
            }[connection.vendor]
        )
        return int(cursor.fetchone()[0])
