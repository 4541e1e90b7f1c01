"""The goals, most of them ratios within one benchmark, and whether they were reached."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.figures import Figures, Key
from benchmarks.tables import OURS, Table, named, number, ratio

COROUTINES = f"{OURS}-async"
GOAL_REACHED, STRETCH_REACHED, NOT_REACHED = "reached", "stretch reached", "NOT reached"

NAMES = {"postgresql": "PostgreSQL", "mariadb": "MariaDB", "sqlite": "SQLite"}

# The goal and the stretch goal: the smallest ratio of Taskworks' figure to the other's.
DRAIN_BESIDE_PGQUEUER = {"1 worker": (0.9, 1.05), "2 workers": (0.9, 1.0)}
ENQUEUE_ON_POSTGRESQL = {
    ("one by one", "bare", "postgresql"): (0.65, 0.75),
    ("one by one", "procrastinate", "postgresql"): (1.2, 1.3),
    ("one by one", "celery", "rabbitmq"): (0.9, 1.0),
    ("in bulk", "bare", "postgresql"): (0.5, 0.6),
    ("in bulk", "pgqueuer", "postgresql"): (1.0, 1.1),
}
ON_SQLITE = {("enqueue", "one by one", "bare"): (0.3, 0.4), ("drain", "1 worker", "huey"): (2, 2.5)}
ON_MARIADB = {("drain", "1 worker", "bare"): (0.7, 0.75)}
# At most, in milliseconds.
LATENCY = {
    "sqlite": {"p50 ms": 8, "p99 ms": 20, "mean ms, seconds apart": 15},
    "mariadb": {"p50 ms": 60, "p99 ms": 130, "mean ms, seconds apart": 80},
}
# At most, per second.
IDLE_STATEMENTS = {"postgresql": 1, "mariadb": 12}
IDLE_CPU = 10  # ms

# Further limits. The smallest ratio of Taskworks' figure to the other's.
DRAIN = {
    ("django-tasks-db", "postgresql"): 25,
    ("django-ox", "postgresql"): 15,
    ("dj-queue", "postgresql"): 6,
    ("procrastinate", "postgresql"): 10,
    ("celery", "redis"): 4,
    ("celery", "rabbitmq"): 4,
    ("bare", "postgresql"): 0.6,
    ("django-tasks-db", "mariadb"): 15,
    ("django-tasks-db", "sqlite"): 35,
}
# The share of the speed in an empty table that is left in a large one.
GROWTH = {"postgresql": 0.9, "mariadb": 0.9, "sqlite": 0.85}


@dataclass(frozen=True)
class Target:
    """
    A goal for a figure, or for the ratio of two figures. Of several keys ``above``, the better one
    counts. A target may have only a ``stretch`` goal.
    """

    text: str
    goal: float | None
    above: Key | tuple[Key, ...]
    below: Key | None = None
    at_most: bool = False
    stretch: float | None = None

    def value(self, figures: Figures) -> float | None:
        """The figure or ratio that was measured: of the medians of the rounds."""
        above = self._better(figures)
        mine = figures.median(above) if above else None
        other = figures.median(self.below) if self.below else 1
        return mine / other if mine is not None and other else None

    def spread(self, figures: Figures) -> tuple[float, float] | None:
        """The least and the greatest figure or ratio of a round, if there were several rounds."""
        above = self._better(figures)
        mine = figures.values[above] if above else []
        others = figures.values[self.below] if self.below else [1] * len(mine)
        if len(mine) < 2 or len(mine) != len(others) or not all(others):
            return None
        ratios = [one / other for one, other in zip(mine, others, strict=True)]
        return min(ratios), max(ratios)

    def verdict(self, value: float) -> str:
        """Whether a value reaches the goal or the stretch goal."""
        if self.stretch is not None and self._reaches(value, self.stretch):
            return STRETCH_REACHED
        if self.goal is not None and self._reaches(value, self.goal):
            return GOAL_REACHED
        return NOT_REACHED if self.goal is not None else "stretch not reached"

    def row(self, figures: Figures, value: float) -> list[str]:
        """The row of the table."""
        measured = self._shown(value)
        if spread := self.spread(figures):
            measured += f" ({self._shown(spread[0])} to {self._shown(spread[1])})"
        goals = [self._shown_goal(goal) for goal in (self.goal, self.stretch)]
        return [self.text, *goals, measured, self.verdict(value)]

    def _better(self, figures: Figures) -> Key | None:
        keys = [self.above] if isinstance(self.above, Key) else self.above
        measured = {key: value for key in keys if (value := figures.median(key)) is not None}
        best = min if self.at_most else max
        return best(measured, key=measured.__getitem__) if measured else None

    def _reaches(self, value: float, goal: float) -> bool:
        return value <= goal if self.at_most else value >= goal

    def _shown_goal(self, goal: float | None) -> str:
        least = "at most" if self.at_most else "at least"
        return "" if goal is None else f"{least} {self._shown(goal)}"

    def _shown(self, value: float) -> str:
        show: Callable[[float], str] = ratio if self.below else number
        return show(value)


def table(figures: Figures) -> Table | None:
    """Return a table of the targets that have figures."""
    measured = [(target, target.value(figures)) for target in targets()]
    rows = [target.row(figures, value) for target, value in measured if value is not None]
    head = ["", "goal", "stretch goal", "measured", ""]
    return Table("Targets", [head, *rows]) if rows else None


def targets() -> Iterator[Target]:
    """Yield all targets: the goals of speed, then further limits."""
    yield from _speed()
    yield from _latency()
    yield from _idle()
    for system in (OURS, COROUTINES):
        yield from _drain(system)
    for store in ("postgresql", "mariadb", "sqlite"):
        yield from _of_store(store)
    ours = Key("enqueue", "one by one", OURS, "postgresql")
    theirs = ours._replace(system="django-tasks-db")
    yield Target("enqueue one by one, compared with django-tasks-db", 2, ours, theirs)


def _speed() -> Iterator[Target]:
    for workers, (goal, stretch) in DRAIN_BESIDE_PGQUEUER.items():
        threads = Key("drain", workers, OURS, "postgresql")
        ours = (threads, threads._replace(system=COROUTINES))
        text = f"PostgreSQL, drain, {workers}, better of threads and coroutines, beside pgqueuer"
        yield Target(text, goal, ours, threads._replace(system="pgqueuer"), stretch=stretch)
    for (measure, peer, store), (goal, stretch) in ENQUEUE_ON_POSTGRESQL.items():
        mine = Key("enqueue", measure, OURS, "postgresql")
        theirs = mine._replace(system=peer, store=store)
        text = f"PostgreSQL, enqueue {measure}, beside {named(peer, store)}"
        yield Target(text, goal, mine, theirs, stretch=stretch)
    for store, goals in {"sqlite": ON_SQLITE, "mariadb": ON_MARIADB}.items():
        for (part, measure, peer), (goal, stretch) in goals.items():
            mine = Key(part, measure, OURS, store)
            text = f"{NAMES[store]}, {part}, {measure}, beside {peer}"
            yield Target(text, goal, mine, mine._replace(system=peer), stretch=stretch)


def _latency() -> Iterator[Target]:
    for measure in ("p50 ms", "p99 ms"):
        ours = Key("latency", measure, OURS, "postgresql")
        theirs = {peer: ours._replace(system=peer) for peer in ("procrastinate", "pgqueuer")}
        text = f"PostgreSQL, latency, {measure.split()[0]}, beside"
        goal = Target(f"{text} procrastinate", 1, ours, theirs["procrastinate"], at_most=True)
        yield goal
        stretch = theirs["pgqueuer"]
        yield Target(f"{text} pgqueuer", None, ours, stretch, at_most=True, stretch=1)
    for store, limits in LATENCY.items():
        for measure, most in limits.items():
            key = Key("latency", measure, OURS, store)
            yield Target(f"{NAMES[store]}, latency, {measure}", most, key, at_most=True)


def _idle() -> Iterator[Target]:
    for store, name in NAMES.items():
        if most := IDLE_STATEMENTS.get(store):
            statements = Key("idle", "statements/s", OURS, store)
            yield Target(f"{name}, idle, statements/s", most, statements, at_most=True)
        spent = Key("idle", "CPU ms/s", OURS, store)
        yield Target(f"{name}, idle, CPU ms/s", IDLE_CPU, spent, at_most=True)


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
        f"drain on {store} among eleven million others, compared with alone",
        GROWTH[store],
        grown,
        alone,
    )
    for what in ("buffers", "buffers to find the runs", "rows read"):
        grown = Key("growth", f"claim of 100, {what}, grown", OURS, store)
        alone = grown._replace(measure=f"claim of 100, {what}, alone")
        yield Target(f"claim on {store} among eleven million others: {what}", 1, grown, alone, True)
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
