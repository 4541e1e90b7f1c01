"""Tasks that raise, and what stands between them and a worker."""

from typing import Any

from taskworks import TaskContext, task


class ParcelError(Exception):
    """Its text is made of attributes, and it needs two arguments."""

    def __init__(self, number: int, *, place: str) -> None:
        super().__init__(number)
        self.place = place

    def __str__(self) -> str:
        return f"parcel {self.args[0]} is not in {self.place}"


def deliver(number: int) -> None:
    try:
        {}["shelf"]
    except KeyError as error:
        failed = ParcelError(number, place="Ulm")
        failed.add_note("It was sent on Monday.")
        raise failed from error


@task
def fail(number: int) -> None:
    deliver(number)


@task
async def fail_async(number: int) -> None:
    deliver(number)


@task(transactional=True, timeout=1)
def fail_in_transaction(number: int) -> None:
    deliver(number)


@task(takes_context=True)
def fail_with_context(context: TaskContext, number: int) -> None:
    deliver(number)


@task(typed=True)
def fail_typed(number: int) -> None:
    deliver(number)


@task(typed=True)
async def fail_typed_async(number: int) -> None:
    deliver(number)


@task
def fail_plainly(number: int) -> None:
    raise ValueError(f"no parcel {number}")


@task
def fail_with_group(number: int) -> None:
    raise ExceptionGroup("both", [ValueError("one"), KeyError("two")])


def fail_by_message(message: Any) -> None:
    deliver(7)


TASKS = [fail, fail_async, fail_in_transaction, fail_with_context, fail_typed, fail_typed_async]
