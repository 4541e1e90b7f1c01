"""Tasks that tell the ledger what they do. Whoever imports them tells it what was recorded, too."""

import asyncio
import ctypes
import functools
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.db import connection, transaction
from django.dispatch import receiver

from taskworks import Limit, Snooze, TaskContext, TaskResult, task
from taskworks.models import TaskRun
from taskworks.signals import task_finished, task_retried
from tests.faults import ledger


@receiver(task_finished)
@receiver(task_retried)
def note_recorded(task_result: TaskResult, **_: Any) -> None:
    """Sent once an outcome is stored, by who has stored it."""
    if task_result.task.module_path == bare.module_path:
        return
    ledger.write("recorded", task_result.id, task_result.attempts)


def in_ledger(function: Callable[..., Any]) -> Callable[..., Any]:
    """Write the start and the end of a task."""

    @functools.wraps(function)
    def noted(context: TaskContext, *args: Any) -> Any:
        note(context, "start")
        value = function(context, *args)
        note(context, "end")
        return value

    return noted


@task
def echo(value: Any) -> Any:
    return value


def note(context: TaskContext, event: str) -> None:
    ledger.write(event, context.task_result.id, context.attempt)


def wait_at(gate: str) -> None:
    while not Path(gate).exists():
        time.sleep(0.01)


@task
def bare() -> None:
    """For measuring."""


@task(takes_context=True)
@in_ledger
def quick(context: TaskContext) -> str:
    return "done"


@task(takes_context=True, delivery="at_most_once")
@in_ledger
def once(context: TaskContext) -> None:
    return None


@task(takes_context=True, limit=Limit("metered", rate="100/s"))
@in_ledger
def metered(context: TaskContext) -> None:
    return None


@task(takes_context=True)
@in_ledger
def takes_a_moment(context: TaskContext) -> None:
    time.sleep(0.01)


@task(takes_context=True)
@in_ledger
def through(context: TaskContext, gate: str) -> str:
    """Until the gate is open."""
    wait_at(gate)
    return "through"


@task(takes_context=True)
async def through_async(context: TaskContext, gate: str) -> str:
    note(context, "start")
    while not Path(gate).exists():
        await asyncio.sleep(0.01)
    note(context, "end")
    return "through"


@task(takes_context=True)
@in_ledger
def for_seconds(context: TaskContext, seconds: float) -> str:
    time.sleep(seconds)
    return "slept"


@task(takes_context=True, max_attempts=3, backoff=0)
@in_ledger
def fail_once_at(context: TaskContext, gate: str) -> str:
    wait_at(gate)
    if context.task_result.worker_ids[-1:] == ["zombie"]:
        raise ValueError("the zombie's")
    return "through"


@task(takes_context=True)
@in_ledger
def fail_at(context: TaskContext, gate: str) -> None:
    wait_at(gate)
    raise ValueError("as always")


@task(takes_context=True)
@in_ledger
def return_at(context: TaskContext, gate: str, value: Any) -> Any:
    wait_at(gate)
    return value


@task(takes_context=True)
@in_ledger
def snooze_once_at(context: TaskContext, gate: str) -> str:
    wait_at(gate)
    if context.task_result.worker_ids[-1:] == ["zombie"]:
        raise Snooze(3600)
    return "through"


@task(takes_context=True)
@in_ledger
def tell_at(context: TaskContext, gate: str) -> str:
    """Tell how far it is before the gate and behind it; the zombie tells nonsense."""
    is_zombie = context.task_result.worker_ids[-1:] == ["zombie"]
    context.set_target(2)
    context.set_progress(1)
    wait_at(gate)
    context.set_progress(666 if is_zombie else 2)
    return "through"


@task(takes_context=True)
def die_after_the_effect(context: TaskContext, flag: str) -> str:
    """The first time its process is killed when all is done, and nothing is written yet."""
    note(context, "start")
    note(context, "effect")
    if not Path(flag).exists():
        Path(flag).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    note(context, "end")
    return "done"


@task(takes_context=True)
def die(context: TaskContext, how: str) -> None:
    """However often it is tried."""
    note(context, "start")
    match how:
        case "sys.exit":
            sys.exit(3)
        case "os._exit":
            os._exit(1)
        case "segfault":
            ctypes.string_at(0)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)


class Unprintable(Exception):  # noqa: N818 - it is an error only by trade
    def __str__(self) -> str:
        raise RuntimeError("not even a name")

    __repr__ = __str__

    def __reduce__(self) -> str:
        raise TypeError("not even a pickle")


@task(takes_context=True)
@in_ledger
def end_oddly(context: TaskContext, how: str) -> Any:
    """With a result that cannot be stored, or an exception that cannot be printed."""
    if how in ODD_RESULTS:
        return ODD_RESULTS[how]()
    raise ODD_EXCEPTIONS[how]()


def cyclic() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


def not_importable() -> Exception:
    class Local(Exception):  # noqa: N818 - as above
        pass

    return Local("who knows")


def circular_causes() -> Exception:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    return one


ODD_RESULTS: dict[str, Callable[[], Any]] = {
    "no JSON": lambda: object,
    "NUL": lambda: "a\0b",
    "50 MB": lambda: "x" * 50_000_000,
    "cyclic": cyclic,
}
ODD_EXCEPTIONS: dict[str, Callable[[], BaseException]] = {
    "unprintable": Unprintable,
    "not importable": not_importable,
    "circular causes": circular_causes,
    "5 MB message": lambda: ValueError("x" * 5_000_000),
    "BaseException": lambda: BaseException("the very base"),
    "ExceptionGroup": lambda: ExceptionGroup("many", [ValueError("one"), KeyError("two")]),
    "SystemExit": lambda: SystemExit(3),
    "KeyboardInterrupt": KeyboardInterrupt,
    "CancelledError": asyncio.CancelledError,
    "dirty text": lambda: ValueError("nul \0 surrogate \ud800"),
}


@task(takes_context=True)
@in_ledger
def hold_the_interpreter_of(context: TaskContext, worker: str, seconds: float) -> str:
    """As a C extension does that never lets go of the GIL: no other thread of it runs meanwhile."""
    if context.task_result.worker_ids[-1] == worker:
        ctypes.PyDLL(None).usleep(ctypes.c_uint(int(seconds * 1e6)))
    return "let go"


@task(takes_context=True)
@in_ledger
def count_runs(context: TaskContext) -> int:
    """Uses the database itself."""
    return TaskRun.objects.count()


@task(takes_context=True)
@in_ledger
def hold_a_connection(context: TaskContext, gate: str) -> int:
    """In a transaction until the gate is open."""
    with transaction.atomic():
        count = TaskRun.objects.count()
        wait_at(gate)
    return count


@task(takes_context=True)
@in_ledger
def sockets(context: TaskContext) -> list[str]:
    """The sockets that this process has, once it has used the database."""
    connection.ensure_connection()
    return sorted(sockets_of(os.getpid()))


def sockets_of(pid: int) -> set[str]:
    found = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # the listing's own
            found.add(str(descriptor.readlink()))
    return {target for target in found if target.startswith("socket:")}


@task
def tell_time() -> float:
    return time.time()


@task(takes_context=True)
@in_ledger
def return_much_at(context: TaskContext, gate: str, size: int) -> str:
    """What a database cannot compress away."""
    value = os.urandom(size // 2).hex()
    wait_at(gate)
    return value


@task(takes_context=True)
@in_ledger
def brief(context: TaskContext) -> None:
    time.sleep(0.003)
