"""Whether goals are reached is computed from one run."""

import pytest

from benchmarks import targets
from benchmarks.figures import Figures, Key
from benchmarks.targets import NOT_REACHED, Target

pytestmark = pytest.mark.any_database

OURS, COROUTINES, THEIRS = (
    Key("drain", "1 worker", system, "postgresql")
    for system in ("taskworks", "taskworks-async", "pgqueuer")
)
BESIDE = Target("beside", 0.9, (OURS, COROUTINES), THEIRS, stretch=1.05)
GOALS = {
    "PostgreSQL, drain, 1 worker, better of threads and coroutines, beside pgqueuer": (0.9, 1.05),
    "PostgreSQL, drain, 2 workers, better of threads and coroutines, beside pgqueuer": (0.9, 1.0),
    "PostgreSQL, enqueue one by one, beside bare": (0.65, 0.75),
    "PostgreSQL, enqueue one by one, beside procrastinate": (1.2, 1.3),
    "PostgreSQL, enqueue one by one, beside celery (RabbitMQ)": (0.9, 1.0),
    "PostgreSQL, enqueue in bulk, beside bare": (0.5, 0.6),
    "PostgreSQL, enqueue in bulk, beside pgqueuer": (1.0, 1.1),
    "SQLite, enqueue, one by one, beside bare": (0.3, 0.4),
    "SQLite, drain, 1 worker, beside huey": (2, 2.5),
    "MariaDB, drain, 1 worker, beside bare": (0.7, 0.75),
    "PostgreSQL, latency, p50, beside procrastinate": (1, None),
    "PostgreSQL, latency, p50, beside pgqueuer": (None, 1),
    "PostgreSQL, latency, p99, beside procrastinate": (1, None),
    "PostgreSQL, latency, p99, beside pgqueuer": (None, 1),
    "SQLite, latency, p50 ms": (8, None),
    "SQLite, latency, p99 ms": (20, None),
    "SQLite, latency, mean ms, seconds apart": (15, None),
    "MariaDB, latency, p50 ms": (60, None),
    "MariaDB, latency, p99 ms": (130, None),
    "MariaDB, latency, mean ms, seconds apart": (80, None),
    "PostgreSQL, idle, statements/s": (1, None),
    "PostgreSQL, idle, CPU ms/s": (10, None),
    "MariaDB, idle, statements/s": (12, None),
    "MariaDB, idle, CPU ms/s": (10, None),
    "SQLite, idle, CPU ms/s": (10, None),
}


def measured(*values: tuple[Key, list[float]]) -> Figures:
    figures = Figures()
    for key, rounds in values:
        for value in rounds:
            figures.add(key, value)
    return figures


def test_every_goal_of_speed_has_a_name() -> None:
    found = [target for target in targets.targets() if target.text in GOALS]
    assert {target.text: (target.goal, target.stretch) for target in found} == GOALS
    assert len(found) == len(GOALS)


def test_a_run_with_all_figures_shows_every_target() -> None:
    everything = list(targets.targets())
    figures = Figures()
    for target in everything:
        above = (target.above,) if isinstance(target.above, Key) else target.above
        for key in (*above, *filter(None, [target.below])):
            if not figures.values.get(key):
                figures.add(key, 1)
    table = targets.table(figures)
    assert table is not None
    assert [row[0] for row in table.rows[1:]] == [target.text for target in everything]


@pytest.mark.parametrize(
    ("threads", "verdict"), [(80, NOT_REACHED), (90, "reached"), (105, "stretch reached")]
)
def test_a_goal_and_a_stretch_goal(threads: float, verdict: str) -> None:
    figures = measured((OURS, [threads]), (THEIRS, [100]))
    value = BESIDE.value(figures)
    assert value is not None
    assert BESIDE.verdict(value) == verdict


def test_the_better_of_two_counts_with_its_spread() -> None:
    figures = measured(
        (OURS, [50, 60, 70]), (COROUTINES, [90, 100, 110]), (THEIRS, [100, 100, 100])
    )
    assert BESIDE.row(figures, BESIDE.value(figures) or 0)[3:] == ["1.00 (0.90 to 1.10)", "reached"]


def test_the_better_of_two_is_the_smaller_one_if_less_is_better() -> None:
    target = Target("ms", 10, (OURS, COROUTINES), at_most=True)
    assert target.value(measured((OURS, [12]), (COROUTINES, [9]))) == 9


def test_only_a_stretch_goal_may_be_missed() -> None:
    target = Target("stretch", None, OURS, THEIRS, at_most=True, stretch=1)
    assert target.verdict(0.9) == "stretch reached"
    assert target.verdict(1.1) == "stretch not reached"


def test_a_target_without_figures_has_no_value() -> None:
    assert BESIDE.value(measured((OURS, [1]))) is None
    assert BESIDE.value(measured((THEIRS, [1]))) is None
