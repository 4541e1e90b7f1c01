"""The targets, mostly ratios within one benchmark, and whether they were reached."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.figures import Figures, Key
from benchmarks.tables import OURS, Table, named, number, ratio

# The smallest ratio of Taskworks' figure to the other's.
DRAIN = {
    ("django-tasks-db", "postgresql"): 25,
    ("django-ox", "postgresql"): 15,
    ("dj-queue", "postgresql"): 6,
    ("procrastinate", "postgresql"): 10,
    ("celery", "redis"): 4,
    ("celery", "rabbitmq"): 4,
    ("pgqueuer", "postgresql"): 1,
    ("bare", "postgresql"): 0.6,
    ("django-tasks-db", "mariadb"): 15,
    ("bare", "mariadb"): 1 / 3,
    ("django-tasks-db", "sqlite"): 35,
}
ENQUEUE = {
    ("one by one", "bare"): 0.5,
    ("one by one", "django-tasks-db"): 2,
    ("in bulk", "bare"): 0.5,
    ("in bulk", "pgqueuer"): 1,
}
# At most, in milliseconds.
LATENCY = {
    "postgresql": {"p50 ms": 3, "p99 ms": 12},
    "mariadb": {"p50 ms": 60, "p99 ms": 130, "mean ms, seconds apart": 80},
    "sqlite": {"p50 ms": 8, "p99 ms": 20, "mean ms, seconds apart": 15},
}
# At most, per second.
IDLE_STATEMENTS = {"postgresql": 1.2, "mariadb": 12}
IDLE_CPU = 10  # ms


@dataclass(frozen=True)
class Target:
    """A target for a figure, or for the ratio of two figures."""

    text: str
    target: float
    above: Key
    below: Key | None = None
    at_most: bool = False

    def value(self, figures: Figures) -> float | None:
        """The figure or ratio that was measured."""
        above = figures.median(self.above)
        below = figures.median(self.below) if self.below else 1
        return above / below if above is not None and below else None

    def row(self, value: float) -> list[str]:
        """The row of the table."""
        shown: Callable[[float], str] = ratio if self.below else number
        reached = value <= self.target if self.at_most else value >= self.target
        least = "at most" if self.at_most else "at least"
        verdict = "reached" if reached else "NOT reached"
        return [self.text, f"{least} {shown(self.target)}", shown(value), verdict]


def table(figures: Figures) -> Table | None:
    """Return a table of the targets that have figures."""
    reached = [(target, target.value(figures)) for target in targets()]
    rows = [target.row(value) for target, value in reached if value is not None]
    return Table("Targets", [["", "target", "measured", ""], *rows]) if rows else None


def targets() -> Iterator[Target]:
    """Yield all targets."""
    for system in (OURS, f"{OURS}-async"):
        yield from _drain(system)
    for (measure, peer), least in ENQUEUE.items():
        ours = Key("enqueue", measure, OURS, "postgresql")
        theirs = Key("enqueue", measure, peer, "postgresql")
        yield Target(f"enqueue {measure}, compared with {peer}", least, ours, theirs)
    for store, limits in LATENCY.items():
        for measure, most in limits.items():
            key = Key("latency", measure, OURS, store)
            yield Target(f"latency on {store}, {measure}", most, key, at_most=True)
    for store in ("postgresql", "mariadb", "sqlite"):
        yield from _of_store(store)


def _drain(system: str) -> Iterator[Target]:
    for (peer, store), least in DRAIN.items():
        own = store if store in ("mariadb", "sqlite") else "postgresql"
        ours, theirs = (
            Key("drain", "1 worker", system, own),
            Key("drain", "1 worker", peer, store),
        )
        yield Target(
            f"{system}: drain on {own}, compared with {named(peer, store)}", least, ours, theirs
        )
    ours = Key("drain", "2 workers", system, "postgresql")
    one = ours._replace(measure="1 worker")
    yield Target(
        f"{system}: two workers compared with one (on four processors or more)", 1.6, ours, one
    )


def _of_store(store: str) -> Iterator[Target]:
    grown = Key("growth", "drain, grown", OURS, store)
    alone = grown._replace(measure="drain, alone")
    yield Target(
        f"drain on {store} among two million others, compared with alone", 0.8, grown, alone
    )
    for what in ("buffers", "buffers to find the runs", "rows read"):
        grown = Key("growth", f"claim of 100, {what}, grown", OURS, store)
        alone = grown._replace(measure=f"claim of 100, {what}, alone")
        yield Target(f"claim on {store} among two million others: {what}", 1, grown, alone, True)
    held = Key("held", "drain, with a transaction open", OURS, store)
    free = held._replace(measure="drain")
    yield Target(f"drain on {store} with a transaction open", 0.5, held, free)
    cost = Key("schedules", "CPU ms/s", OURS, store)
    yield Target(f"10,000 schedules per hour on {store}, CPU ms/s", 20, cost, at_most=True)
    late = cost._replace(measure="late p99 ms")
    yield Target(f"lateness of a schedule on {store}, p99, ms", 1000, late, at_most=True)
    worker = Key("idle", "RSS MiB", OURS, store)
    shell = worker._replace(measure="shell RSS MiB")
    yield Target(
        f"memory of an idle worker on {store}, compared with a shell", 1.15, worker, shell, True
    )
    if most := IDLE_STATEMENTS.get(store):
        statements = worker._replace(measure="statements/s")
        text = f"statements per second of an idle worker on {store}"
        yield Target(text, most, statements, at_most=True)
    spent = worker._replace(measure="CPU ms/s")
    yield Target(f"CPU of an idle worker on {store}, ms/s", IDLE_CPU, spent, at_most=True)
