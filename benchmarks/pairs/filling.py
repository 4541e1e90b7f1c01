"""What a producer enqueues for a pair: in one transaction, so that workers see all at once."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

CHUNK = 5_000
WORD = "hello-world"


def plain(system: Any, size: int) -> None:
    """Enqueue no-ops."""
    from django.db import transaction

    with transaction.atomic():
        system.fill(size)


def of_keys(system: Any, task: str, size: int, keys: int) -> None:
    """Enqueue no-ops with a limit, as many of each key, in a queue that is paused."""
    from benchmarks.project import limited_noops

    enqueue_many = getattr(limited_noops, task).enqueue_many
    for start in range(0, size, CHUNK):
        numbers = range(start, min(start + CHUNK, size))
        enqueue_many([(number, WORD, number % keys) for number in numbers])


def a_few_behind_many(system: Any, many: int, others: int, each: int) -> None:
    """Enqueue many of one key, then a few of each of the others, numbered behind those."""
    from benchmarks.project import limited_noops

    of_keys(system, "in_turn", many, 1)
    of_others = [(many + number, WORD, 1 + number % others) for number in range(others * each)]
    limited_noops.in_turn.enqueue_many(of_others)


def one_at_once(system: Any, size: int) -> None:
    """Enqueue no-ops of which one runs at a time, so that workers see all at once."""
    from django.db import transaction

    from benchmarks.project import limited_noops

    with transaction.atomic():
        limited_noops.one_at_once.enqueue_many([(number, WORD) for number in range(size)])


def fill_lanes(system: Any, task: str, keys: int, at_once: int) -> None:
    """Have each of these first keys as many runs in hand as it may, of a worker that lives."""
    from benchmarks.project import limited_noops
    from taskworks.models import TaskRun, Worker
    from taskworks.store import store

    worker = Worker(label="of nobody", hostname="here", pid=1)
    store().register(worker)
    now = store().read_clock()
    Worker.objects.filter(id=worker.id).update(heartbeat_at=now + timedelta(hours=1))
    noop = getattr(limited_noops, task).using(queue_name="full")
    noop.enqueue_many([(number, WORD, number % keys) for number in range(keys * at_once)])
    runs = TaskRun.objects.ready().limited().filter(queue_name="full")
    runs.update(state="claimed", claimed_by=worker.id, claim_token=uuid4(), claimed_at=now)


def pause(system: Any, queue: str) -> None:
    """Pause a queue, and wait until none of its runs is in hand."""
    from taskworks.control import pause

    pause(queue, wait=True, timeout=30)


def resume(system: Any, queue: str) -> None:
    from taskworks.control import resume

    resume(queue)


def unique(system: Any, size: int, keys: int, first: int) -> None:
    """Enqueue so many, one by one, under these keys in turn; without keys if there are 0."""
    from benchmarks.project import limited_noops

    enqueue = limited_noops.of_one_key.enqueue if keys else system.noop.enqueue
    for number in range(first, first + size):
        enqueue(number % keys if keys else number, WORD)


def count_runs(system: Any) -> int:
    """Return how many runs there are."""
    from taskworks.models import TaskRun

    return TaskRun.objects.count()


def a_group(system: Any, size: int) -> None:
    """Enqueue no-ops as a group, and one more that follows all of them."""
    from django.db import transaction

    from taskworks import Workflow

    flow = Workflow("fan-in")
    flow.each("children", system.noop, [(number, WORD) for number in range(size)])
    with transaction.atomic():
        result = flow.enqueue()  # as many as are enqueued together, so the follower comes later
        result.add("follower", system.noop, size, WORD, after="children")
