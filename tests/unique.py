"""Unique keys, and what stands under them, for tests of the store."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid5

from django.db.models import F

from taskworks.execution import Attempt, Succeeded, settle
from taskworks.models import RunState, TaskRun, UniqueKey
from taskworks.options.unique import Unique
from taskworks.store import Store
from taskworks.store import store as store_of
from taskworks.store.new_runs import NewRuns
from taskworks.store.unique_runs import Call, Standing
from tests.new_runs import new_runs

NAMESPACE = UUID(int=1)
SUPERSEDED = {"exception_class_path": "taskworks.exceptions.TaskCancelled", "traceback": "newer"}


def key_of(name: str) -> UUID:
    return uuid5(NAMESPACE, name)


def enqueue_unique(
    *names: str, unique: Unique | None = None, only_own: bool = False, **options: Any
) -> "Enqueued":
    """Enqueue a run under each of these keys."""
    new = new_runs(len(names), **options)
    call = Call(new, [key_of(name) for name in names], unique or Unique(), SUPERSEDED, only_own)
    store = store_of()
    return Enqueued(new, store.enqueue_unique(call, store.enqueue))


class Enqueued:
    """What came of it."""

    def __init__(self, new: NewRuns, standing: Standing) -> None:
        self.new, self.standing = new, standing

    @property
    def ids(self) -> list[UUID]:
        """The runs that stand."""
        met = self.standing.met
        return [met[at].id if at in met else self.new.uuids[at] for at in self.standing.stand_in]

    @property
    def id(self) -> UUID:
        [run_id] = self.ids
        return run_id

    @property
    def is_new(self) -> bool:
        return not self.standing.met


def holder(name: str) -> UUID:
    """The run that the key's row names."""
    return UniqueKey.objects.get(key=key_of(name)).run


def unfinished() -> list[UUID]:
    """The runs that have not ended, the oldest first."""
    ended = [RunState.SUCCESSFUL, RunState.FAILED, RunState.CANCELLED]
    return [*TaskRun.objects.exclude(state__in=ended).order_by("id").values_list("id", flat=True)]


def claimed(store: Store, worker: UUID) -> list[TaskRun]:
    """What a worker gets if it asks now."""
    return store.claim(worker, "default", ["default"], {"thread": 9})


def begun(store: Store, worker: UUID) -> Attempt:
    """The attempt that a worker has begun of the only run that waits."""
    [run] = claimed(store, worker)
    attempt = Attempt(run, "a label")
    attempt.begin()
    assert store.start([run]) == {run.id}
    return attempt


def succeed(store: Store, attempt: Attempt) -> None:
    settle(attempt, Succeeded(None))
    assert store.finish([attempt.run]) == {attempt.run.id}


def change(run_id: UUID, **columns: Any) -> None:
    assert TaskRun.objects.filter(id=run_id).update(**columns)


def age(run_id: UUID, seconds: float) -> None:
    """Make it that much older."""
    since = timedelta(seconds=seconds)
    change(run_id, enqueued_at=F("enqueued_at") - since, available_at=F("available_at") - since)
