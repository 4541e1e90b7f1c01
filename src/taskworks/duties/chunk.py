"""How much one statement may do: less where it is slow, more again where it is not."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import Error as DatabaseError

MOST, LEAST = 1000, 10  # rows
SLOW = 1.0  # seconds


class Chunk:
    """
    A number of rows. A statement that took too long, or that the database refused, makes it a
    tenth; one that was quick doubles it.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = self.size = most

    @property
    def is_least(self) -> bool:
        """Whether there is no smaller one to try."""
        return self.size <= LEAST

    @contextmanager
    def measured(self) -> Iterator[int]:
        """The rows that the statement of this block may take; how it goes decides on the next."""
        began = time.monotonic()
        try:
            yield self.size
        except DatabaseError:
            self._shrink()
            raise
        took = time.monotonic() - began
        if took > SLOW:
            self._shrink()
        elif took < SLOW / 4:
            self.size = min(self.size * 2, self._most)

    def _shrink(self) -> None:
        self.size = min(self.size, max(self.size // 10, LEAST))
