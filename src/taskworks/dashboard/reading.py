"""Reads of pages: each has a time limit, after which the page says so, and shows the rest."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from taskworks.database.time_limit import TookTooLong, reading_at_most
from taskworks.store import store_alias

T = TypeVar("T")

LONGEST_READ = 0.25  # seconds, of one statement


class Read(Generic[T]):
    """What was read, or why it was not: then ``value`` is None, and ``problem`` a sentence."""

    __slots__ = ("problem", "value")

    def __init__(self, value: T | None, problem: str = "") -> None:
        self.value, self.problem = value, problem


def read(call: Callable[[], T], seconds: float = LONGEST_READ) -> Read[T]:
    """
    Return what ``call`` reads. Each of its statements may take so long. It must read, and not
    return what is read only later, such as a QuerySet.
    """
    try:
        with reading_at_most(store_alias(), seconds):
            return Read(call())
    except TookTooLong as error:
        return Read(None, str(error))


def read_into(target: Any, **calls: Callable[[], Any]) -> None:
    """
    Set an attribute of the target, a Read, for each of these calls, in their order: one may use
    what those before it have read. All are one transaction, where reads have a transaction; if one
    takes too long, each is read in its own.
    """
    try:
        with reading_at_most(store_alias(), LONGEST_READ):
            for name, call in calls.items():
                setattr(target, name, Read(call()))
    except TookTooLong:
        for name, call in calls.items():
            setattr(target, name, read(call))
