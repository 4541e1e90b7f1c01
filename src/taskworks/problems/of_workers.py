"""Workers that are dead, outdated or short of connections."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.translation import gettext_noop as _

from taskworks.logs import visible
from taskworks.models import Worker
from taskworks.options.policy import ASYNC, THREAD
from taskworks.problems.problem import Problem, Severity
from taskworks.problems.situation import Situation
from taskworks.sentences import Sentence, counted, sentence

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
            _about(worker),
            sentence(
                _("The worker %(worker)s seems to be dead: %(outlook)s."),
                worker=visible(str(worker)),
                outlook=working.outlook,
            ),
            sentence(
                _(
                    "See whether its process lives, and why it does not reach the database. If no "
                    "other worker lives, start one, which takes over its runs: %(command)s"
                ),
                command="manage.py taskworks worker",
            ),
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
    yield Problem(
        "worker_of_another_release",
        Severity.WARNING,
        sentence(_("the backend %(name)s"), name=repr(latest.backend)),
        counted(
            len(others),
            _(
                "One living worker runs %(old)s, although %(new)s has been running for %(since)s: "
                "%(workers)s."
            ),
            _(
                "%(number)s living workers run %(old)s, although %(new)s has been running for "
                "%(since)s: %(workers)s."
            ),
            old=_named(others[0]),
            new=_named(latest),
            since=since,
            workers=labels,
        ),
        sentence(
            _("Restart them: %(command)s, and let the service manager start them again."),
            command="manage.py taskworks stop-worker ID",
        ),
    )


def _about(worker: Worker) -> Sentence:
    return sentence(_("the worker %(name)s"), name=visible(worker.label))


def _code_of(worker: Worker) -> tuple[str, str]:
    return worker.release, worker.version


def _named(worker: Worker) -> Sentence:
    release = sentence(_("no named release"))
    if worker.release:
        release = sentence(_("the release %(name)s"), name=repr(visible(worker.release)))
    if not worker.version:
        return release
    return sentence(
        _("%(release)s with Taskworks %(version)s"), release=release, version=worker.version
    )


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
                _about(worker),
                sentence(
                    _(
                        "The worker %(worker)s executes %(what)s, whose connections to the "
                        "database %(database)s come from a pool of %(size)s."
                    ),
                    worker=visible(worker.label),
                    what=_executed(threads, _slots(worker, ASYNC)),
                    database=repr(connection.alias),
                    size=size,
                ),
                sentence(
                    _(
                        "Give %(setting)s a pool of at least %(threads)s, or the worker fewer "
                        "threads."
                    ),
                    setting=f"DATABASES[{connection.alias!r}]['OPTIONS']",
                    threads=threads,
                ),
            )


def _executed(functions: int, coroutines: int) -> Sentence:
    at_once = sentence(_("%(number)s functions at once"), number=functions)
    if not coroutines:
        return at_once
    return sentence(
        _("%(functions)s and %(number)s coroutine functions"),
        functions=at_once,
        number=coroutines,
    )


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
