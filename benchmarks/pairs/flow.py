"""The bars of flow control."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from itertools import pairwise
from statistics import median, quantiles

from benchmarks import databases, marks
from benchmarks.client import Client, NotMeasuredError
from benchmarks.measures.drain import await_marks
from benchmarks.pairs import filling
from benchmarks.pairs.options import Options
from benchmarks.pairs.ratios import Cost, in_pairs, verdict
from benchmarks.pairs.site import Site, site

LIMITED = {
    "postgresql": {1: 0.6, 50: 0.6, 10_000: 0.5},
    "sqlite": dict.fromkeys((1, 50, 10_000), 0.4),
    "mariadb": dict.fromkeys((1, 50, 10_000), 0.3),
}
BESIDE_UNLIMITED = 0.98
PAST_FULL_KEYS = 0.8
UNIQUE = 0.4
DRAINED, DRAINED_LIMITED = 6_000, 2_000  # runs of a side in a pair
SPARE = 1.7  # times as many are filled in as are measured: workers go on until they see a pause
MILLION = 1_000_000
FULL_KEYS = 2_000
STARTS, SOON, AT_LATEST = 1_000, 0.010, 0.060  # seconds
HEAD, OTHERS, EACH, WITHIN = 300_000, 99, 10, 2_500
CALLERS, ENQUEUES, KEYS = 8, 8_000, 800


def plain(options: Options) -> bool:
    """Runs that use none of it, beside another version: ``--before FOLDER`` has its package."""
    with options.files() as files, ExitStack() as stack:
        old = stack.enter_context(
            site(options.database, files, variant="before", source=options.before)
        )
        new = stack.enter_context(site(options.database, files, options=options.worker))
        size = options.size or DRAINED
        kept = True
        for title, measure in (
            ("drain", lambda one: one.drained_all(lambda: one.run(filling.plain, size), size)),
            ("enqueue one by one", lambda one: _enqueued(one, "seconds_to_enqueue", 1_000)),
            ("enqueue in bulk", lambda one: _enqueued(one, "seconds_to_enqueue_many", 10_000)),
        ):
            print(f"\n{title}")
            for one in (old, new):
                measure(one)  # warms up
            pairs = in_pairs(partial(measure, old), partial(measure, new), options.pairs)
            kept &= verdict(pairs, BESIDE_UNLIMITED, of=("wall", "backend"))
        return kept


def _enqueued(one: Site, method: str, size: int) -> Cost:
    """What an enqueue costs; afterwards the workers execute them."""
    cost = one.used(lambda: one.contender.client.call(method, size), size)
    one.await_done()
    return cost


def limited_by_1(options: Options) -> bool:
    """Runs of one key, at most 500 at once, beside plain ones."""
    return _limited(options, 1)


def limited_by_50(options: Options) -> bool:
    """Runs of 50 keys, at most 10 at once of each, beside plain ones."""
    return _limited(options, 50)


def limited_by_10000(options: Options) -> bool:
    """Runs of 10,000 keys, a million of which wait, beside plain ones."""
    return _limited(options, 10_000)


def _limited(options: Options, keys: int) -> bool:
    size = options.size or DRAINED_LIMITED
    waiting = int(size * (options.pairs + 1) * SPARE)
    waiting = options.waiting or (max(MILLION, waiting) if keys == 10_000 else waiting)
    with options.files() as files, site(options.database, files, options=options.worker) as one:
        one.run(filling.pause, "limited")
        one.run(filling.of_keys, f"of_{keys}", waiting, keys)
        one.settle()

        def unlimited() -> Cost:
            return one.drained(lambda: one.run(filling.plain, size), size)

        def limited() -> Cost:
            return _of_queue(one, "limited", size)

        unlimited(), limited()  # warm up
        pairs = in_pairs(unlimited, limited, options.pairs)
    return verdict(pairs, LIMITED[options.database][keys])


def full_keys(options: Options) -> bool:
    """Runs of 10,000 keys, of which the first 2,000 are full, beside such of which none is."""
    size = options.size or DRAINED_LIMITED
    waiting = options.waiting or int(size * (options.pairs + 1) * SPARE) * 10_000 // 8_000
    with options.files() as files, site(options.database, files, options=options.worker) as one:
        for queue, task in (("limited", "of_10000"), ("fenced", "behind_full")):
            one.run(filling.pause, queue)
            one.run(filling.of_keys, task, waiting, 10_000)
        one.run(filling.fill_lanes, "behind_full", FULL_KEYS, 2)
        one.settle()

        def free() -> Cost:
            return _of_queue(one, "limited", size)

        def fenced() -> Cost:
            return _of_queue(one, "fenced", size)

        free(), fenced()  # warm up
        pairs = in_pairs(free, fenced, options.pairs)
    return verdict(pairs, PAST_FULL_KEYS)


def _of_queue(one: Site, queue: str, size: int) -> Cost:
    cost = one.drained(lambda: one.run(filling.resume, queue), size)
    one.run(filling.pause, queue)
    return cost


def slot(options: Options) -> bool:
    """From a start to the next one of the same key, of which one is in hand, with two workers."""
    with (
        options.files() as files,
        site(options.database, files, workers=2, options=options.worker) as here,
    ):
        place, number = here.contender.place, options.size or STARTS
        marks.empty(place.marks)
        here.run(filling.one_at_once, number)
        await_marks(here.contender, here.workers, number)
        starts = marks.read(place.marks)
    gaps = [
        (later.at - earlier.at, later.pid != earlier.pid) for earlier, later in pairwise(starts)
    ]
    seconds = sorted(gap for gap, _ in gaps)
    handed_over = sum(is_other for _, is_other in gaps)
    middle, last = median(seconds), quantiles(seconds, n=100)[98]
    kept = middle <= SOON and last <= AT_LATEST
    print(
        f"{len(gaps)} gaps between two starts of one key, {handed_over} of them from one worker to "
        f"the other: p50 {middle * 1e3:.1f} ms, p99 {last * 1e3:.1f} ms; the bar is "
        f"{SOON * 1e3:.0f} and {AT_LATEST * 1e3:.0f} ms: {'KEPT' if kept else 'MISSED'}"
    )
    return kept


def fairness(options: Options) -> bool:
    """One key with 300,000 runs, 99 with ten each, none full: when these have started."""
    head = options.waiting or HEAD
    with options.files() as files, site(options.database, files, options=options.worker) as one:
        one.run(filling.pause, "limited")
        one.run(filling.a_few_behind_many, head, OTHERS, EACH)
        marks.empty(one.contender.place.marks)
        one.run(filling.resume, "limited")
        await_marks(one.contender, one.workers, min(2 * WITHIN, head + OTHERS * EACH))
        starts = marks.read(one.contender.place.marks)
    places = [place for place, mark in enumerate(starts, 1) if mark.number >= head]
    kept = len(places) == OTHERS * EACH and places[-1] <= WITHIN
    print(
        f"{len(places)} of {OTHERS * EACH} runs behind {head:,} have started, the last of them as "
        f"number {places[-1] if places else 0:,}; the bar is {WITHIN:,}: "
        f"{'KEPT' if kept else 'MISSED'}"
    )
    return kept


def unique(options: Options) -> bool:
    """Eight callers that enqueue one by one, ten times as many as there are keys, beside plain."""
    size = (options.size or ENQUEUES) // CALLERS
    with (
        options.files() as files,
        site(options.database, files, workers=0) as one,
        ExitStack() as stack,
    ):
        place = one.contender.place
        callers = [stack.enter_context(Client(place)) for _ in range(CALLERS)]
        threads = stack.enter_context(ThreadPoolExecutor(CALLERS))

        def all_of(*arguments: object) -> None:
            calls = [
                threads.submit(caller.run, filling.unique, *arguments, size * number)
                for number, caller in enumerate(callers)
            ]
            for call in calls:
                call.result()

        def usual() -> Cost:
            one.contender.client.call("clear")
            return one.used(lambda: all_of(size, 0), size * CALLERS)

        def measured() -> Cost:
            one.contender.client.call("clear")
            cost = one.used(lambda: all_of(size, KEYS), size * CALLERS)
            runs = one.run(filling.count_runs)
            if runs != min(KEYS, size * CALLERS):
                raise NotMeasuredError(f"{runs} runs stand for {KEYS} keys")
            return cost

        usual(), measured()  # warm up
        pairs = in_pairs(usual, measured, options.pairs)
        undone = _undone(one)
    kept = verdict(pairs, UNIQUE)
    if undone is not None:
        print(f"transactions that the server has undone: {undone}; the bar is 0")
    return kept and not undone


def _undone(one: Site) -> int | None:
    """Return how many transactions have ended in an error; None where nobody counts them."""
    if one.contender.place.store != "postgresql":
        return None
    with closing(databases.connect(one.contender.place)) as connection:
        cursor = connection.cursor()
        cursor.execute(
            "SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()"
        )
        [(undone,)] = cursor.fetchall()
        return int(undone)
