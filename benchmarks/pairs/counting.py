"""The bar of statistics."""

from contextlib import ExitStack

from benchmarks.pairs import filling
from benchmarks.pairs.options import Options
from benchmarks.pairs.ratios import Cost, in_pairs, verdict
from benchmarks.pairs.site import Site, site

BAR = 0.98
DRAINED = 7_000  # a side in a pair; in fifteen pairs 105,000


def statistics(options: Options) -> bool:
    """No-ops with statistics, beside such without."""
    size = options.size or DRAINED
    with options.files() as files, ExitStack() as stack:
        counts = stack.enter_context(site(options.database, files, options=options.worker))
        counts_not = stack.enter_context(
            site(
                options.database,
                files,
                system="taskworks-without-statistics",
                options=options.worker,
            )
        )

        def drained(one: Site) -> Cost:
            return one.drained_all(lambda: one.run(filling.plain, size), size)

        drained(counts_not), drained(counts)  # warm up
        pairs = in_pairs(lambda: drained(counts_not), lambda: drained(counts), options.pairs)
    return verdict(pairs, BAR, of=("wall", "backend"))
