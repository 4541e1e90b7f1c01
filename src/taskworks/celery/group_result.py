"""``GroupResult``: the results of a group."""

from collections.abc import Iterator, Sequence
from typing import Any

from taskworks import real_time as time


class GroupResult:
    """
    The results of the parts of a group, in their order. ``id`` is that of the workflow, or None if
    the group was executed where it was called.
    """

    def __init__(
        self,
        id: str | None,  # noqa: A002 - as Celery has it
        results: Sequence[Any],
        parent: Any = None,
    ) -> None:
        self.id, self.results, self.parent = id, [*results], parent

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.id} {self.results!r}>"

    def __len__(self) -> int:
        return len(self.results)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.results)

    def __getitem__(self, index: int) -> Any:
        return self.results[index]

    @property
    def children(self) -> list[Any]:
        """Another name of ``results``."""
        return self.results

    def ready(self) -> bool:
        """Return whether all have finished."""
        return all(result.ready() for result in self.results)

    def successful(self) -> bool:
        """Return whether all have succeeded."""
        return all(result.successful() for result in self.results)

    def failed(self) -> bool:
        """Return whether one has failed."""
        return any(result.failed() for result in self.results)

    def waiting(self) -> bool:
        """Return whether one has not finished."""
        return not self.ready()

    def completed_count(self) -> int:
        """Return how many have succeeded."""
        return sum(1 for result in self.results if result.successful())

    def get(self, timeout: float | None = None, propagate: bool = True, **others: Any) -> list[Any]:
        """
        Wait until all have finished, and return the list of what they returned; raise what
        ``AsyncResult.get`` raises. ``timeout`` is for all of them.
        """
        end = None if timeout is None else time.monotonic() + timeout
        return [
            result.get(None if end is None else max(0.0, end - time.monotonic()), propagate)
            for result in self.results
        ]

    join = wait = get

    def revoke(self, **options: Any) -> None:
        """Cancel all of them."""
        for result in self.results:
            result.revoke(**options)
