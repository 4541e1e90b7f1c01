"""``EnqueuedResults``: the results of runs that were enqueued together, made on demand."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from operator import eq
from typing import TYPE_CHECKING, Any, overload

from taskworks.framework import Task
from taskworks.result import TaskResult

if TYPE_CHECKING:
    from taskworks.store.new_runs import NewRuns


class EnqueuedResults(Sequence[TaskResult[..., Any]]):
    """
    One result per run, in the order of the runs. Each is made when it is first asked for, and kept:
    making all of them would cost a caller who needs none as much as storing the runs.
    """

    def __init__(self, runs: "NewRuns", task: Task) -> None:
        self.runs, self.task = runs, task
        self._made: dict[int, TaskResult[..., Any]] = {}

    def take_over(self, task: Task, enqueued_at: datetime | None) -> None:
        """Note that the runs are stored now, also in the results that were made before."""
        self.task = task
        for result in self._made.values():
            object.__setattr__(result, "task", task)
            object.__setattr__(result, "enqueued_at", enqueued_at)

    def __len__(self) -> int:
        return len(self.runs)

    @overload
    def __getitem__(self, index: int) -> TaskResult[..., Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[TaskResult[..., Any]]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self._at(place) for place in range(len(self))[index]]
        return self._at(range(len(self))[index])

    def __iter__(self) -> Iterator[TaskResult[..., Any]]:
        return map(self._at, range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, list | EnqueuedResults):
            return NotImplemented
        return len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{len(self)} results of {self.task.module_path}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return list, ([*self],)

    def _at(self, place: int) -> TaskResult[..., Any]:
        if place not in self._made:
            self._made[place] = self.runs.result(place, self.task)
        return self._made[place]
