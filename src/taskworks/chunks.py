"""Sequences, some items at a time."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

MAX_IDS_PER_QUERY = 900  # SQLite may allow only 999 variables

T = TypeVar("T")


def in_chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield the items in order, ``size`` at a time, and what is left in the end."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
