"""
What a type checker knows of a task. Not executed: mypy --strict reads it, to which a type that is
not asserted rightly is an error, and an ignored error that does not occur is another.
"""

from datetime import timedelta
from typing import assert_type

from taskworks import Backoff, Task, TaskContext, TaskResult, task, wait_for


@task
def add(a: int, b: int = 1) -> int:
    return a + b


@task(max_attempts=3, backoff=Backoff(initial=5), timeout=timedelta(minutes=1))
async def greet(name: str) -> str:
    return f"Hello {name}"


@task(takes_context=True)
def count(context: TaskContext, items: list[str]) -> dict[str, int]:
    context.set_target(len(items))
    return {item: items.count(item) for item in items}


@task(takes_context=True, executor="async")
async def count_async(context: TaskContext, items: list[str]) -> None:
    await context.aset_progress(len(items))


annotated: Task[[str], str] = greet


def enqueue() -> None:
    assert_type(add.enqueue(1, b=2).return_value, int)
    assert_type(greet.enqueue("Ada").return_value, str)
    assert_type(count.enqueue(["a"]).wait(timeout=5).return_value, dict[str, int])
    assert_type(add.using(priority=10, expires=60).enqueue(1).return_value, int)
    assert_type([result.return_value for result in add.enqueue_many([(1, 2), {"a": 3}])], list[int])
    assert_type(add.enqueue_on_commit(1).return_value, int)
    assert_type(add.get_result("an id").cancel(), bool)
    wait_for([add.enqueue(1), greet.enqueue("Ada")])


async def enqueue_async() -> None:
    result = await count_async.aenqueue(["a"])
    assert_type((await result.await_()).return_value, None)
    assert_type((await add.aget_result("an id")).return_value, int)


def refused() -> None:
    add.enqueue("1")  # type: ignore[arg-type]
    add.enqueue(1, c=2)  # type: ignore[call-arg]
    add.enqueue()  # type: ignore[call-arg]
    greet.enqueue(1)  # type: ignore[arg-type]
    count.enqueue("abc")  # type: ignore[arg-type]
    result: TaskResult[[int], str] = add.enqueue(1)  # type: ignore[assignment]
    result.cancel()
    task(max_attempts="many")  # type: ignore[call-overload]
