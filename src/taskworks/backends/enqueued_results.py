"""``EnqueuedResults``: the results of runs that were enqueued together, made on demand."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from operator import eq
from typing import TYPE_CHECKING, Any, overload
from uuid import UUID

from taskworks.framework import Task
from taskworks.result import TaskResult

if TYPE_CHECKING:
    from taskworks.store.new_runs import NewRuns
    from taskworks.store.unique_runs import Standing


class EnqueuedResults(Sequence[TaskResult[..., Any]]):
    """
    One result per run, in the order of the runs. Each is made when it is first asked for, and kept:
    making all of them would cost a caller who needs none as much as storing the runs.

    ``keys`` are the unique keys of the runs, if they have some. Which runs stand for them is known
    when they are stored.
    """

    def __init__(self, runs: "NewRuns", task: Task, keys: Sequence[UUID] | None = None) -> None:
        self.runs, self.task, self.keys = runs, task, keys
        self.standing: Standing | None = None  # which runs stand, once they are stored
        self._made: dict[int, TaskResult[..., Any]] = {}

    def take_over(self, task: Task, enqueued_at: datetime | None) -> None:
        """Note that the runs are stored now, also in the results that were made before."""
        self.task = task
        for place, result in self._made.items():
            if not self._has_met_one(place):
                object.__setattr__(result, "task", task)
                object.__setattr__(result, "enqueued_at", enqueued_at)

    def settle(self, standing: "Standing") -> None:
        """Note which runs stand for these, also in the results that were made before."""
        self.standing = standing
        for place, result in self._made.items():
            become(result, self._made_at(place))

    @property
    def standing_ids(self) -> list[UUID]:
        """The ids of the runs that stand."""
        return [UUID(result.id) for result in self] if self.standing else self.runs.uuids

    @property
    def of_new_runs(self) -> Sequence[TaskResult[..., Any]]:
        """The results of those that were inserted."""
        if self.standing is None:
            return self
        return [self._at(place) for place in self.standing.inserted]

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
            self._made[place] = self._made_at(place)
        return self._made[place]

    def _has_met_one(self, place: int) -> bool:
        """Return whether a run that was stored before stands for this one."""
        standing = self.standing
        return standing is not None and standing.stand_in[place] in standing.met

    def _made_at(self, place: int) -> TaskResult[..., Any]:
        if self.keys is None:
            return self.runs.result(place, self.task)
        standing = self.standing
        if standing is None:
            return _with_news(self.runs.result(place, self.task), is_new=None)
        stand_in = standing.stand_in[place]
        if run := standing.met.get(stand_in):
            return _with_news(run.to_result(), is_new=False)
        return _with_news(self.runs.result(stand_in, self.task), is_new=place == stand_in)


def _with_news(result: TaskResult[..., Any], *, is_new: bool | None) -> TaskResult[..., Any]:
    object.__setattr__(result, "is_new", is_new)
    return result


def become(result: TaskResult[..., Any], other: TaskResult[..., Any]) -> None:
    """Make a result that is in somebody's hands that of another run."""
    for name in ("task", "id", "args", "kwargs", "is_new"):
        object.__setattr__(result, name, getattr(other, name))
    result._take_over(other)
