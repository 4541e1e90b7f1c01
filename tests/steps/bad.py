"""Tasks that use steps as they cannot be used."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from django.db import transaction

from taskworks import TaskContext, task
from tests.steps.shelf import act, done

BAD_VALUES: dict[str, Any] = {
    "datetime": datetime(2026, 1, 1, tzinfo=UTC),
    "set": {1},
    "nan": float("nan"),
    "nul": "a\0b",
    "too large": "x" * (1024 * 1024 + 1),
}
BAD_NAMES: dict[str, Any] = {
    "number": 5,
    "none": None,
    "empty": "",
    "long": "x" * 129,
    "nul": "a\0b",
    "space": " a",
    "line": "a\nb",
}


@task(takes_context=True, max_attempts=3, backoff=0)
def returns(context: TaskContext, value: str) -> None:
    def give() -> Any:
        act("gives")
        return BAD_VALUES[value]

    context.step("gives", give)


@task(takes_context=True, max_attempts=3, backoff=0)
async def returns_async(context: TaskContext, value: str) -> None:
    async def give() -> Any:
        act("gives")
        return BAD_VALUES[value]

    await context.astep("gives", give)


@task(takes_context=True)
def names(context: TaskContext, method: str, name: str) -> None:
    extra = {"step": [act, "called"], "sleep": [5], "wait": []}[method]
    getattr(context, method)(BAD_NAMES[name], *extra)


@task(takes_context=True)
def twice(context: TaskContext, first: str, second: str) -> None:
    extra = {"step": [act, "called"], "sleep": [0], "wait": [0]}
    getattr(context, first)("same", *extra[first])
    getattr(context, second)("same", *extra[second])


@task(takes_context=True)
def again_after_an_error(context: TaskContext) -> Any:
    def fail_once() -> int:
        act("tries")
        return [0][2 - len(done)]

    try:
        context.step("tries", fail_once)
    except IndexError:
        return context.step("tries", fail_once)


@task(takes_context=True, max_attempts=2, backoff=0)
def changes(context: TaskContext) -> Any:
    """Its code changes between two attempts."""
    if "first version" not in done:
        context.step("kept", act, "kept", 1)
        context.step("dropped", act, "dropped")
        context.step("other kind", act, "other kind")
        done.append("first version")
        raise LookupError
    new = context.step("new", act, "new", 2)
    kept = context.step("kept", act, "kept", 3)
    try:
        context.sleep("other kind", 5)
    except ValueError as error:
        return [new, kept, str(error)]


@task(takes_context=True)
def in_a_transaction(context: TaskContext, method: str) -> None:
    extra = {"step": [act, "called"], "sleep": [5], "wait": []}[method]
    with transaction.atomic():
        getattr(context, method)("a", *extra)


@task(takes_context=True, transactional=True, timeout=3)
def in_its_transaction(context: TaskContext, method: str) -> None:
    extra = {"step": [act, "called"], "sleep": [5], "wait": []}[method]
    getattr(context, method)("a", *extra)


def _called(function: Callable[[], Any]) -> Any:
    return function()


@task(takes_context=True)
def calls_a_coroutine(context: TaskContext, *, hidden: bool) -> None:
    async def never_awaited() -> None:
        act("called")

    context.step("a", partial(_called, never_awaited) if hidden else never_awaited)


@task(takes_context=True)
async def blocks_the_loop(context: TaskContext, method: str) -> None:
    extra = {"step": [act, "called"], "sleep": [5], "wait": []}[method]
    getattr(context, method)("a", *extra)


@task(takes_context=True)
async def atomic_coroutine(context: TaskContext) -> None:
    async def never_awaited() -> None:
        act("called")

    await context.astep("a", never_awaited, atomic=True)


@task(takes_context=True)
def sleeps_badly(context: TaskContext, duration: Any) -> None:
    context.sleep("a", duration)


@task(takes_context=True)
def compensates(context: TaskContext) -> str:
    """What sleeps and waits raise is no failure of the task."""
    try:
        context.step("book", act, "book")
        context.sleep("nap", 3600)
        context.wait("approved", timeout=3600)
    except Exception:
        context.step("undo", act, "undo")
        return "undone"
    return "done"


@task(takes_context=True)
def steps_in_threads(context: TaskContext, count: int) -> list[str]:
    threads = [
        threading.Thread(target=context.step, args=(f"part {n}", act, f"part {n}"))
        for n in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(done)
