"""Slots that Celery's own tasks use, too."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery.worker import state

from taskworks import real_time as time
from taskworks.celery_worker.sharing import CELERYS_TURN, SharedPool

pytestmark = pytest.mark.any_database


class TaskOfCelery:
    """What Celery has in its set of active requests."""


class OneSlot(SharedPool):
    """Executes nothing, as if Celery's pool were busy."""

    celerys_size = 1
    requests: Any = SimpleNamespace(reserve=lambda attempts: None, end=lambda attempt: None)

    def close(self) -> None: ...

    def _begin(self, count: int) -> None: ...


@pytest.fixture
def task_of_celery() -> Iterator[Any]:
    task = TaskOfCelery()
    state.active_requests.add(task)
    yield task
    state.active_requests.discard(task)


@pytest.fixture
def pool(task_of_celery: Any) -> SharedPool:
    """With a run that has waited in vain, and was given back."""
    pool = OneSlot(1)
    assert pool.room == 1
    run: Any = SimpleNamespace()
    pool.submit([run])
    assert pool.withdraw() == [run]
    return pool


def test_a_run_that_was_given_back_is_for_others_first(
    pool: SharedPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (pool.room, pool.empty) == (0, 0)
    later = time.monotonic() + CELERYS_TURN
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert pool.room == 1


def test_a_slot_that_celery_leaves_is_used_at_once(pool: SharedPool, task_of_celery: Any) -> None:
    state.active_requests.discard(task_of_celery)
    assert pool.room == 1
