"""Tasks with steps. What their steps have done is in a list, in this process."""

import asyncio
import os
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from taskworks import Sent, TaskContext, task
from taskworks.models import UniqueKey

done: list[Any] = []
broken: set[str] = set()  # the steps that raise


def act(name: str, value: Any = None) -> Any:
    done.append(name)
    if name in broken:
        raise LookupError(name)
    return name if value is None else value


def told(sent: Sent | None) -> Any:
    return "nothing" if sent is None else [sent.value]


@task(takes_context=True, max_attempts=3, backoff=0)
def two_steps(context: TaskContext) -> list[Any]:
    first = context.step("first", act, "first")
    second = context.step("second", act, "second")
    return [first, second]


@task(takes_context=True, max_attempts=3, backoff=0)
async def two_steps_async(context: TaskContext) -> list[Any]:
    async def acting(name: str) -> Any:
        await asyncio.sleep(0)
        return act(name)

    return [
        await context.astep("first", acting, "first"),
        await context.astep("second", lambda: act("second")),
    ]


@task(takes_context=True, max_attempts=3, backoff=0)
async def gathered(context: TaskContext, count: int) -> list[Any]:
    async def acting(name: str) -> Any:
        await asyncio.sleep(0)
        return act(name)

    steps = (context.astep(f"page {n}", acting, f"page {n}") for n in range(count))
    return [*await asyncio.gather(*steps)]


@task(takes_context=True, max_attempts=3, backoff=0, executor="process")
def two_steps_in_a_process(context: TaskContext, file: str) -> list[Any]:
    def note(name: str) -> int:
        with Path(file).open("a") as lines:
            lines.write(f"{name}\n")
        return len(name)

    first = context.step("first", note, "first")
    if context.step_key("first") not in Path(file).read_text():
        note(context.step_key("first"))
        os._exit(1)
    return [first, context.step("second", note, "second")]


@task(takes_context=True)
def sleeps(context: TaskContext, seconds: float) -> str:
    context.step("before", act, "before")
    context.sleep("nap", timedelta(seconds=seconds))
    context.step("after", act, "after")
    return "awake"


@task(takes_context=True)
async def sleeps_async(context: TaskContext, seconds: float) -> str:
    await context.astep("before", act, "before")
    await context.asleep("nap", seconds)
    await context.astep("after", act, "after")
    return "awake"


@task(takes_context=True)
def waits(context: TaskContext, timeout: float | None = None) -> Any:
    context.step("before", act, "before")
    answer = context.wait("approved", timeout=timeout)
    context.step("after", act, "after")
    return told(answer)


@task(takes_context=True)
async def waits_async(context: TaskContext, timeout: float | None = None) -> Any:
    await context.astep("before", act, "before")
    answer = await context.await_("approved", timeout=timeout)
    await context.astep("after", act, "after")
    return told(answer)


@task(takes_context=True, executor="process")
def waits_in_a_process(context: TaskContext, timeout: float | None = None) -> Any:
    return told(context.wait("approved", timeout=timeout))


@task(takes_context=True)
def waits_in_a_loop(context: TaskContext, names: list[str], timeout: float) -> list[Any]:
    return [told(context.wait(name, timeout=timeout)) for name in names]


@task(takes_context=True)
async def waits_for_both(context: TaskContext, timeouts: dict[str, float]) -> list[Any]:
    waits = (context.await_(name, timeout=timeout) for name, timeout in timeouts.items())
    return [told(answer) for answer in await asyncio.gather(*waits)]


@task(takes_context=True)
async def waits_in_a_group(context: TaskContext, timeouts: dict[str, float]) -> list[Any]:
    async with asyncio.TaskGroup() as group:
        waits = [
            group.create_task(context.await_(name, timeout=timeout))
            for name, timeout in timeouts.items()
        ]
        group.create_task(context.asleep("nap", 50_000))
    return [told(wait.result()) for wait in waits]


@task(takes_context=True, max_attempts=3, backoff=0)
def writes(context: TaskContext, *, atomic: bool) -> Any:
    def write() -> str:
        UniqueKey.objects.create(key=uuid4(), run=uuid4())
        act("write")
        return "written"

    return context.step("write", write, atomic=atomic)
