"""How many runs a claim is to find, for slots that are empty and ahead of others."""

from collections.abc import Mapping


class Demand:
    """
    What is left to claim of the ``room`` for each executor, at most ``most`` in all: first for its
    ``empty`` slots, and then ahead.
    """

    def __init__(self, room: Mapping[str, int], empty: Mapping[str, int], most: int) -> None:
        self._most = most
        self._left = dict(room)
        self._empty = {
            executor: min(free, empty.get(executor, 0)) for executor, free in room.items()
        }

    def of(self, executor: str) -> tuple[int, int]:
        """Return how many runs are wanted for empty slots, and how many ahead."""
        wanted = max(0, min(self._left.get(executor, 0), self._most))
        now = min(wanted, self._empty.get(executor, 0))
        return now, wanted - now

    def take(self, executor: str, number: int) -> None:
        """Note that so many were claimed for an executor."""
        self._most -= number
        self._left[executor] -= number
        self._empty[executor] = max(0, self._empty[executor] - number)

    @property
    def short(self) -> set[str]:
        """The executors for which there is room left."""
        return {executor for executor, free in self._left.items() if free > 0}
