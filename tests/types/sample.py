"""
What a type checker knows of a task. Not executed: mypy --strict reads it, to which a type that is
not asserted rightly is an error, and an ignored error that does not occur is another.
"""

from datetime import timedelta
from typing import assert_type

from taskworks import Backoff, Task, TaskContext, TaskResult, task, wait_for
from taskworks.schedules import cron, every
from taskworks.typed import TypedTask, api_task
from taskworks.typed.params import IntParameter, ListParameter


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


@task(typed=True, queue_name="mail")
def letter(name: str, pages: int = 1) -> str:
    return name * pages


@api_task
class Sum(TypedTask):
    inputs = {"numbers": ListParameter(IntParameter(min_value=0)), "start": IntParameter(default=0)}
    outputs = {"sum": IntParameter()}

    def run(self, numbers: list[int], start: int) -> int:
        self.set_target(len(numbers))
        return sum(numbers, start)


@cron("*/5 * * * *", queue_name="mail")
@every(minutes=5, label="another")
@task
def sweep(days: int = 30) -> int:
    return days


annotated: Task[[str], str] = greet


def enqueue() -> None:
    assert_type(add.enqueue(1, b=2).return_value, int)
    assert_type(greet.enqueue("Ada").return_value, str)
    assert_type(count.enqueue(["a"]).wait(timeout=5).return_value, dict[str, int])
    assert_type(add.using(priority=10, expires=60).enqueue(1).return_value, int)
    assert_type([result.return_value for result in add.enqueue_many([(1, 2), {"a": 3}])], list[int])
    assert_type(sweep.enqueue(7).return_value, int)
    assert_type(add.enqueue_on_commit(1).return_value, int)
    assert_type(add.get_result("an id").cancel(), bool)
    assert_type(letter.enqueue("Ada", pages=2).return_value, str)
    Sum.enqueue(numbers=[1]).wait(timeout=5)
    Sum.using(priority=3).enqueue(numbers=[1])
    wait_for([add.enqueue(1), greet.enqueue("Ada")])


async def enqueue_async() -> None:
    result = await count_async.aenqueue(["a"])
    assert_type((await result.await_()).return_value, None)
    assert_type((await add.aget_result("an id")).return_value, int)


def refused() -> None:
    sweep.enqueue("7")  # type: ignore[arg-type]
    add.enqueue("1")  # type: ignore[arg-type]
    add.enqueue(1, c=2)  # type: ignore[call-arg]
    add.enqueue()  # type: ignore[call-arg]
    letter.enqueue(pages=1)  # type: ignore[call-arg]
    greet.enqueue(1)  # type: ignore[arg-type]
    count.enqueue("abc")  # type: ignore[arg-type]
    result: TaskResult[[int], str] = add.enqueue(1)  # type: ignore[assignment]
    result.cancel()
    task(max_attempts="many")  # type: ignore[call-overload]
