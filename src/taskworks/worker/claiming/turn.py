"""
Which queues a worker looks at, if more of them have ready runs than one claim can take; and which
limits.
"""

from collections.abc import Collection, Iterable
from typing import Generic, TypeVar

Name = TypeVar("Name")


class Turn(Generic[Name]):
    """
    A turn over all queues with ready runs, or over all limits, in the order of their names, part by
    part. It knows where to go on, and whether there may be runs in other parts than the current
    one: the worker must not rest before each of them was found empty.
    """

    def __init__(self) -> None:
        self.began_after: Name | None = None  # the current part begins after it
        self.goes_on_after: Name | None = None  # None at the end of the turn
        self._empty: list[set[str]] = [set()]  # executors without a run here, per part

    @property
    def is_whole(self) -> bool:
        """True if the current part is all there is."""
        return self.began_after is None and self.goes_on_after is None

    def go_on(self, then_after: Name | None) -> None:
        """Come to the next part, or to the first one of the next turn."""
        if self.goes_on_after is None:
            self._empty.clear()
        self._empty.append(set())
        self.began_after, self.goes_on_after = self.goes_on_after, then_after

    def start_over(self) -> None:
        """Go on with the first part."""
        self.goes_on_after = None

    def note_claim(self, asked: Iterable[str], empty: Collection[str]) -> None:
        """Note the executors that a claim from this part asked for, and those it had no more of."""
        self._empty[-1].difference_update(asked)
        self._empty[-1].update(empty)

    def note_news(self) -> None:
        """Note that there may be new runs in any part."""
        for executors in self._empty:
            executors.clear()

    def may_have_more(self, executors: Collection[str]) -> bool:
        """Return whether other parts may have runs of one of these executors."""
        if self.is_whole or not executors:
            return False
        return self.goes_on_after is not None or any(
            not empty.issuperset(executors) for empty in self._empty
        )
