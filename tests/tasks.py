"""A shelf of sample tasks."""

import asyncio
import sys
import threading
import time
from pathlib import Path
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connection, transaction

from taskworks import TaskContext, task

# Tests that run a worker in their own process may hold its tasks at this gate.
gate = threading.Event()


@task
def noop(*args: Any, **kwargs: Any) -> None:
    return None


@task
def echo(*args: Any, **kwargs: Any) -> Any:
    return {"args": args, "kwargs": kwargs}


@task
def add(a: int, b: int) -> int:
    return a + b


@task
async def add_async(a: int, b: int) -> int:
    await asyncio.sleep(0)
    return a + b


@task(queue_name="mail")
def send_mail(to: str) -> str:
    return f"sent to {to}"


@task(takes_context=True)
def tell_context(context: TaskContext) -> dict[str, Any]:
    result = context.task_result
    return {
        "id": result.id,
        "attempt": context.attempt,
        "status": result.status,
        "started": result.started_at is not None,
    }


@task
def fail(text: str = "no luck") -> None:
    raise ValueError(text)


@task
async def fail_async(text: str = "no luck") -> None:
    raise ValueError(text)


@task
def nested_failure() -> None:
    raise ValueError(ValueError("inner"))


@task
def leave() -> None:
    sys.exit(1)


@task
async def leave_async() -> None:
    sys.exit(1)


@task
async def leave_from_child() -> None:
    async def child() -> None:
        sys.exit(1)

    await asyncio.create_task(child())


@task
def interrupt() -> None:
    raise KeyboardInterrupt


@task
async def cancel_itself() -> None:
    raise asyncio.CancelledError


@task
def return_object() -> Any:
    return lambda: True


@task
def return_nul() -> str:
    return "a\0b"


@task
def print_line(line: str) -> None:
    print(line, flush=True)
    print(line, file=sys.stderr, flush=True)


class Unprintable(Exception):  # noqa: N818 - it is an error only by trade
    def __str__(self) -> str:
        raise RuntimeError("not even a name")

    __repr__ = __str__


@task
def raise_unprintable() -> None:
    raise Unprintable


@task
def raise_dirty() -> None:
    raise ValueError("nul \0 surrogate \ud800")


@task
def raise_long() -> None:
    raise ValueError("x" * 100_000)


@task
def wait_for_gate() -> str:
    assert gate.wait(timeout=30)
    return "through"


@task
def wait_for_file(path: str) -> str:
    """Until the file exists; a test lets the run go by making it."""
    while not Path(path).exists():
        time.sleep(0.01)
    return "found"


@task
def note(path: str, text: str) -> None:
    """One line in a file, whole even when many processes write."""
    with Path(path).open("a") as file:
        file.write(f"{text}\n")


@task
async def wait_for_file_async(path: str) -> str:
    while not Path(path).exists():
        await asyncio.sleep(0.01)
    return "found"


@task
def count_runs() -> int:
    """Uses the database itself."""
    from taskworks.models import TaskRun

    return TaskRun.objects.count()


@task
def enqueue_noop(*args: Any) -> str:
    """A task may enqueue another; here it tells which."""
    return noop.enqueue(*args).id


@task
def change_its_argument(items: list[int]) -> list[int]:
    items.append(0)
    return items


@task(takes_context=True)
async def tell_context_async(context: TaskContext, word: str) -> list[Any]:
    return [context.task_result.id, context.attempt, word]


@task
def sleep_for(seconds: float) -> None:
    time.sleep(seconds)


@task
async def read_slowly() -> int:
    """Reads in several steps, on one connection."""
    from taskworks.models import TaskRun

    seen = 0
    async for _ in TaskRun.objects.aiterator(chunk_size=1):
        seen += 1
        await asyncio.sleep(0.01)
    return seen


@task
def leave_atomic() -> None:
    transaction.atomic().__enter__()
    connection.close()


@task
async def leave_atomic_async() -> None:
    await sync_to_async(transaction.atomic().__enter__)()


@task
async def cancel_its_task() -> int:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    return 1


class OddNotes(Exception):  # noqa: N818 - as above
    @property
    def __notes__(self) -> list[str]:
        sys.exit(3)


@task
def raise_odd_notes() -> None:
    raise OddNotes


class OddModule:
    def __format__(self, spec: str) -> str:
        raise RuntimeError("no name")


@task
def raise_odd_module() -> None:
    raise type("Odd", (Exception,), {"__module__": OddModule()})


@task
async def noop_async(*args: Any, **kwargs: Any) -> None:
    return None
