"""The bars of Celery's workers that execute runs: beside plain Celery, and beside our own."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks import marks
from benchmarks.measures.drain import await_marks
from benchmarks.measures.idle import SETTLING_TIME
from benchmarks.measures.latency import GAPS, trickle
from benchmarks.pairs.options import Options
from benchmarks.pairs.ratios import (
    Cost,
    Pair,
    in_a_word_at_most,
    in_pairs,
    interval,
    verdict,
)
from benchmarks.pairs.site import Site, site
from benchmarks.systems.taskworks import TaskworksCelery

MakeSite = Callable[..., AbstractContextManager[Site]]

SIZES = {"prefork": 2, "threads": 4}  # of a pool: children, or threads
DRAINED = 4_000  # runs of a side in a pair
BESIDE_RESULTS = {"prefork": 2.0, "threads": 2.0}  # times as fast, at least
BESIDE_PLAIN = {"prefork": 1.0, "threads": 1.5}
OF_THE_SERVER = {"prefork": 2.0, "threads": 1.5}  # times its processor time, at most
TASKS, LATER = 50, 3.0  # in a pair; milliseconds, at most
CHILDREN, CONNECTIONS = 16, 4  # of an idle node, at most
GLANCES, GLANCE_INTERVAL = 20, 0.25  # seconds


def without_results(options: Options) -> bool:
    """Runs on Celery's worker, beside plain Celery whose results are kept nowhere."""
    plain = partial(site, options.broker, system="celery-without-results")
    return _beside(plain, options, BESIDE_PLAIN[options.pool])


def with_results(options: Options) -> bool:
    """Runs on Celery's worker, beside plain Celery with django-celery-results."""
    plain = partial(site, options.database, system="celery-django-results", variant=options.broker)
    return _beside(plain, options, BESIDE_RESULTS[options.pool])


def _beside(plain: MakeSite, options: Options, bar: float) -> bool:
    size = options.size or DRAINED
    with _both(plain, options) as (usual, ours):
        pairs = _drained_in_pairs(usual, ours, size, options.pairs)
    return verdict(pairs, bar)


def server(options: Options) -> bool:
    """What a run costs the database on Celery's worker, beside our own worker."""
    size = options.size or DRAINED
    with options.files() as files, ExitStack() as stack:
        usual = stack.enter_context(site(options.database, files))
        ours = stack.enter_context(_ours(options, files))
        pairs = _drained_in_pairs(usual, ours, size, options.pairs)
    return verdict(pairs, 1 / OF_THE_SERVER[options.pool], of=("backend",))


def latency(options: Options) -> bool:
    """From the commit of an enqueue to the first line, on an idle worker, beside plain Celery."""
    tasks = options.size or TASKS
    plain = partial(site, options.broker, system="celery-without-results")
    with _both(plain, options) as (usual, ours):
        for one in (usual, ours):  # warm up
            one.drained_of_backlog(DRAINED)
        pairs = in_pairs(lambda: _waited(usual, tasks), lambda: _waited(ours, tasks), options.pairs)
    later = interval([(pair.measured.wall - pair.usual.wall) / 1e3 for pair in pairs])
    print(
        f"p50 of {tasks} tasks: plain Celery {_p50(pair.usual for pair in pairs):.1f} ms, here "
        f"{_p50(pair.measured for pair in pairs):.1f} ms, later by {later} ms; the bar is "
        f"{LATER:g} ms: {in_a_word_at_most(later, LATER)}"
    )
    return later.low <= LATER


def connections(options: Options) -> bool:
    """Connections to the database of an idle worker with 16 children, or threads."""
    with options.files() as files, _ours(options, files, size=CHILDREN) as one:
        one.drained_of_backlog(options.size or DRAINED)
        one.run(disconnect)
        time.sleep(SETTLING_TIME)
        most = 0
        for _ in range(GLANCES):
            most = max(most, one.server.clients())
            time.sleep(GLANCE_INTERVAL)
    kept = 0 < most <= CONNECTIONS
    print(
        f"an idle worker with {CHILDREN} slots has {most} connections at most; the bar is "
        f"{CONNECTIONS}: {'KEPT' if kept else 'MISSED'}"
    )
    return kept


@contextmanager
def _both(plain: MakeSite, options: Options) -> Iterator[tuple[Site, Site]]:
    with options.files() as files, ExitStack() as stack:
        # First: it sees whether Redis is empty.
        usual = stack.enter_context(plain(files=files, options=_pool(options)))
        yield usual, stack.enter_context(_ours(options, files))


def _ours(options: Options, files: Path, size: int = 0) -> AbstractContextManager[Site]:
    return site(
        options.database,
        files,
        system="taskworks-celery",
        variant=options.broker,
        options=_pool(options, size),
    )


def _pool(options: Options, size: int = 0) -> str:
    return f"-P {options.pool} -c {size or SIZES[options.pool]} {options.worker}"


def _drained_in_pairs(usual: Site, measured: Site, size: int, number: int) -> list[Pair]:
    for one in (usual, measured):  # warm up
        one.drained_of_backlog(size)
    return in_pairs(
        lambda: usual.drained_of_backlog(size), lambda: measured.drained_of_backlog(size), number
    )


def _waited(one: Site, tasks: int) -> Cost:
    """Return the median time from commits to first lines; of processors nothing."""
    place = one.contender.place
    marks.empty(place.marks)
    times = one.contender.client.run(trickle, 0, tasks, *GAPS)
    await_marks(one.contender, one.workers, tasks)
    started = {mark.number: mark.at for mark in marks.read(place.marks)}
    waits = [started[number] - committed for number, (_, committed) in enumerate(times)]
    return Cost(wall=median(waits) * 1e6, backend=0.0)


def _p50(costs: Iterable[Cost]) -> float:
    return median(cost.wall for cost in costs) / 1e3


# Called in the producer.


def disconnect(system: TaskworksCelery) -> None:
    """Have it no connection to the database."""
    from django.db import connections

    connections.close_all()
