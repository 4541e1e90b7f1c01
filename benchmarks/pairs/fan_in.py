"""The bar of workflows."""

from statistics import median

from benchmarks import marks
from benchmarks.measures.drain import await_marks
from benchmarks.pairs import filling
from benchmarks.pairs.options import Options
from benchmarks.pairs.ratios import Cost, in_pairs, verdict
from benchmarks.pairs.site import site

BAR = 0.9
CHILDREN, WORKERS = 10_000, 4
SOON = 0.1  # seconds from the last child to what follows all of them


def fan_in(options: Options) -> bool:
    """10,000 runs that another one follows, beside such that nobody follows, with four workers."""
    size, seconds = options.size or CHILDREN, []
    with (
        options.files() as files,
        site(options.database, files, workers=WORKERS, options=options.worker) as one,
    ):
        place = one.contender.place

        def alone() -> Cost:
            return one.drained_all(lambda: one.run(filling.plain, size), size)

        def followed() -> Cost:
            cost = one.drained(lambda: one.run(filling.a_group, size), size)
            await_marks(one.contender, one.workers, size + 1)
            one.await_done()
            *children, follower = marks.read(place.marks)
            assert follower.number == size, "the follower has not begun last"
            seconds.append(follower.at - children[-1].at)
            return cost

        alone(), followed()  # warm up
        pairs = in_pairs(alone, followed, options.pairs)
    kept = verdict(pairs, BAR)
    is_soon = median(seconds) <= SOON
    print(
        f"from the last child to the follower: median {median(seconds) * 1e3:.0f} ms, worst "
        f"{max(seconds) * 1e3:.0f} ms; the bar is {SOON * 1e3:.0f} ms: "
        f"{'KEPT' if is_soon else 'MISSED'}"
    )
    return kept and is_soon
