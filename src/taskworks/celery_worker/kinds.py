"""Which of Celery's pools can execute runs, and how."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from django.db import connections

from taskworks.backends.celery import CeleryBackend
from taskworks.celery_worker.main_thread import MainThread
from taskworks.celery_worker.pools import MakeThreads
from taskworks.celery_worker.prefork import CeleryPrefork
from taskworks.celery_worker.sharing import MakeRequest
from taskworks.celery_worker.threads import CelerySolo, CeleryThreads

PREFORK, THREADS, SOLO = "prefork", "threads", "solo"
KINDS = {
    "celery.concurrency.prefork": PREFORK,
    "celery.concurrency.thread": THREADS,
    "celery.concurrency.solo": SOLO,
}
POOLS = {PREFORK: CeleryPrefork, THREADS: CeleryThreads, SOLO: CelerySolo}


def kind_of(celery_worker: Any) -> str:
    """Return which pool it has; raise SystemExit, with a sentence, if that cannot execute runs."""
    module = type(celery_worker.pool).__module__
    kind = KINDS.get(module)
    if kind is None:
        raise SystemExit(
            f"This worker has the pool {module.rpartition('.')[2]!r}, which cannot execute the "
            "runs of a taskworks.backends.celery.CeleryBackend: start it with --pool prefork, "
            "--pool threads or --pool solo."
        )
    if celery_worker.autoscale and kind != PREFORK:
        raise SystemExit(
            f"With --autoscale, Celery has its pool grow, which --pool {kind} cannot: the worker "
            "would end as soon as it has more to do than one task at a time. Start it with "
            "--concurrency instead."
        )
    if kind != THREADS and celery_worker.hub is None:
        raise SystemExit(
            f"With the broker {celery_worker._conninfo.as_uri()}, Celery has no event loop, and "
            f"without that --pool {kind} cannot execute the runs of a "
            "taskworks.backends.celery.CeleryBackend: start this worker with --pool threads."
        )
    return kind


def refuse_forks_on_sqlite(celery_worker: Any, backends: Iterable[CeleryBackend]) -> None:
    """Raise SystemExit, with a sentence, if children would be forked from who uses SQLite."""
    if kind_of(celery_worker) != PREFORK or not celery_worker.pool.forking_enable:
        return
    for backend in backends:
        if connections[backend.database].vendor == "sqlite":
            raise SystemExit(
                f"The runs of TASKS[{backend.alias!r}] are in a SQLite database, which a process "
                "must not use that was forked from another one that does: start this worker "
                "with --pool threads, or, with Celery 5.7 or newer, set its "
                "worker_pool_start_method to 'spawn'."
            )


def how_to_make_threads(
    celery_worker: Any, main_thread: MainThread, make_request: MakeRequest
) -> MakeThreads:
    """Return what makes the pool for functions, out of Celery's."""
    return partial(POOLS[kind_of(celery_worker)], main_thread, celery_worker, make_request)
