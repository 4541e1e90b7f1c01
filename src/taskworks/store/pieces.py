"""How much goes into one statement."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

MOST = 2000  # rows
MOST_BYTES = 4 * 1024 * 1024  # of values, before they are quoted; MariaDB refuses 16 MiB

T = TypeVar("T")


def bytes_of(values: Iterable[Any]) -> int:
    """Of the values that may be long, which are text and of it ASCII alone."""
    return sum(len(value) for value in values if isinstance(value, str))


def pieces(rows: Sequence[T], size: Callable[[T], int]) -> Iterator[Sequence[T]]:
    """The rows in order, as many at a time as a statement takes; ``size`` gives a row's bytes."""
    start = total = 0
    for index, row in enumerate(rows):
        bytes_ = size(row)
        if index - start == MOST or (index > start and total + bytes_ > MOST_BYTES):
            yield rows[start:index]
            start, total = index, 0
        total += bytes_
    yield rows[start:]
