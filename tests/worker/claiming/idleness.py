"""A worker that is idle, and runs that bring it to work."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import transaction

from taskworks import TaskResult
from taskworks.models import TaskRun
from taskworks.worker import Worker
from tests.waiting import wait_for

StartWorker = Callable[..., Worker]
RARELY = 600.0  # seconds; who is not told of a run looks for it in eight minutes, or ten


def idle(worker: Worker) -> Worker:
    """As soon as it listens, and has looked, and looks no more."""
    wait_for(lambda: worker._threads.wake_ups.works, "notifications arrive")
    wait_for(
        lambda: worker._intake._poll_schedule.seconds({"thread": 1}) > 2, "it waits to be told"
    )
    return worker


def wait_until_executed(*results: TaskResult) -> None:
    """However slow the machine is, that is sooner than a worker looks that was not told."""
    ids = [result.id for result in results]
    done = TaskRun.objects.successful().filter(id__in=ids)
    wait_for(lambda: done.count() == len(ids), f"{len(ids)} runs have ended", RARELY / 10)


@contextmanager
def rolled_back() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)
