"""Workers that are dead, outdated or short of connections."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from taskworks.durations import in_words
from taskworks.logs import visible
from taskworks.models import Worker
from taskworks.options.policy import ASYNC, THREAD
from taskworks.problems.problem import Problem, Severity
from taskworks.problems.situation import Situation

ROLLING = timedelta(minutes=10)  # for which workers of two releases may live beside each other
DEFAULT_POOL = {"postgresql": 4, "mysql": 5}  # connections, of the drivers' pools
MAX_TOLD = 20  # workers


def silent_worker(situation: Situation) -> Iterator[Problem]:
    """Find workers that seem to be dead, and that nobody has given up yet."""
    silent = [working for working in situation.workers if working.is_silent]
    for working in silent[:MAX_TOLD]:
        worker = working.worker
        yield Problem(
            "silent_worker",
            Severity.CRITICAL,
            f"the worker {visible(worker.label)}",
            f"The worker {visible(str(worker))} seems to be dead: {working.outlook}.",
            "See whether its process lives, and why it does not reach the database. If no other "
            "worker lives, start one, which takes over its runs: manage.py taskworks worker",
        )


def worker_of_another_release(situation: Situation) -> Iterator[Problem]:
    """Find workers that have not been restarted since a newer release began."""
    by_backend: dict[str, list[Worker]] = {}
    for worker in situation.living:
        by_backend.setdefault(worker.backend, []).append(worker)
    for workers in by_backend.values():
        yield from _outdated(situation, workers)


def _outdated(situation: Situation, workers: list[Worker]) -> Iterator[Problem]:
    latest = max(workers, key=lambda worker: worker.started_at)
    of_latest = [worker for worker in workers if _code_of(worker) == _code_of(latest)]
    since = situation.now - min(worker.started_at for worker in of_latest)
    others = [worker for worker in workers if _code_of(worker) != _code_of(latest)]
    if not others or since < ROLLING:
        return
    labels = ", ".join(visible(worker.label) for worker in others[:MAX_TOLD])
    lives = "One living worker runs" if len(others) == 1 else f"{len(others)} living workers run"
    yield Problem(
        "worker_of_another_release",
        Severity.WARNING,
        f"the backend {latest.backend!r}",
        f"{lives} {_named(others[0])}, although {_named(latest)} has been running for "
        f"{in_words(since)}: {labels}.",
        "Restart them: manage.py taskworks stop-worker ID, and let the service manager start them "
        "again.",
    )


def _code_of(worker: Worker) -> tuple[str, str]:
    return worker.release, worker.version


def _named(worker: Worker) -> str:
    release = f"the release {visible(worker.release)!r}" if worker.release else "no named release"
    return f"{release} with Taskworks {worker.version}" if worker.version else release


def pool_too_small(situation: Situation) -> Iterator[Problem]:
    """Find workers whose threads share a pool that has fewer connections."""
    connection = connections[situation.store.alias]
    if (size := pool_size(connection)) is None:
        return
    for worker in situation.living[:MAX_TOLD]:
        threads = _slots(worker, THREAD)
        if threads > size:
            yield Problem(
                "pool_too_small",
                Severity.WARNING,
                f"the worker {visible(worker.label)}",
                f"The worker {visible(worker.label)} executes {threads} functions at once"
                f"{_coroutines(worker)}, whose connections to the database {connection.alias!r} "
                f"come from a pool of {size}.",
                f"Give DATABASES[{connection.alias!r}]['OPTIONS'] a pool of at least {threads}, or "
                "the worker fewer threads.",
            )


def _coroutines(worker: Worker) -> str:
    slots = _slots(worker, ASYNC)
    return f" and {slots} coroutine functions" if slots else ""


def _slots(worker: Worker, executor: str) -> int:
    number: Any = worker.slots.get(executor, 0)
    return number if type(number) is int else 0


def pool_size(connection: BaseDatabaseWrapper) -> int | None:
    """Return how many connections the tasks of a process may have at once; None for any number."""
    options, vendor = connection.settings_dict["OPTIONS"], connection.vendor
    if vendor == "postgresql" and (pool := options.get("pool")):
        given = pool if isinstance(pool, dict) else {}
        least = given.get("min_size", DEFAULT_POOL[vendor])
        return int(given.get("max_size") or least)
    if vendor == "mysql" and {"pool_name", "pool_size"} & {*options}:
        return int(options.get("pool_size", DEFAULT_POOL[vendor]))
    return None
