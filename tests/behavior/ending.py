"""Tasks that do their work, which is counted in a file, and then end as nobody can store."""

from pathlib import Path
from typing import Any

from asgiref.sync import sync_to_async
from django.db import transaction

from taskworks import task
from taskworks.models import Worker
from taskworks.typed import TypedTask
from taskworks.typed.params import IntParameter, StringParameter


def work(path: str) -> None:
    with Path(path).open("a") as file:
        file.write("done\n")


class OddList(list[Any]):
    """What cannot be read."""

    def __iter__(self) -> Any:
        raise LookupError("no items")


ENDS: dict[str, Any] = {"TypeError": Worker(), "ValueError": "a\0b", "LookupError": OddList([[]])}


@task
def return_bad(path: str, end: str) -> Any:
    work(path)
    return ENDS[end]


@task
async def return_bad_async(path: str, end: str) -> Any:
    work(path)
    return ENDS[end]


@task(transactional=True, timeout=1)
def return_bad_in_transaction(path: str, end: str) -> Any:
    work(path)
    return ENDS[end]


@task
def leave_open(path: str) -> None:
    work(path)
    transaction.atomic().__enter__()


@task
async def leave_open_async(path: str) -> None:
    work(path)
    await sync_to_async(transaction.atomic().__enter__)()


@task(transactional=True, timeout=1)
def leave_open_in_transaction(path: str) -> None:
    work(path)
    transaction.atomic().__enter__()


class BadOutput(TypedTask):
    inputs = {"path": StringParameter()}  # noqa: RUF012 - as in the documentation
    outputs = {"number": IntParameter()}  # noqa: RUF012

    def run(self, path: str) -> Any:
        work(path)
        return "no number"


@task(typed=True)
async def bad_output_async(path: str) -> int:
    work(path)
    return "no number"  # type: ignore[return-value]
