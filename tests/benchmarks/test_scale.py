"""The simulation of a queue reproduces what is known in closed form, and the page what it says."""

import math
from pathlib import Path

import pytest

from benchmarks import scale, scale_page
from benchmarks.figures import Figures, Key
from benchmarks.scale import Costs, Question, duration, question
from benchmarks.simulation import Engine, Load, begins, delays, simulate

pytestmark = pytest.mark.any_database

WITHIN = 0.05  # of the known value: what the page promises
FAST = 1e9  # runs a second of what is not to count


def engine(slots: int, **options: float) -> Engine:
    return Engine(workers=1, slots=slots, **{"worker_rate": FAST, "ceiling": FAST, **options})


def erlang_c(servers: int, offered: float) -> float:
    """The probability that an arrival waits in M/M/c."""
    waiting = offered**servers / math.factorial(servers) * servers / (servers - offered)
    return waiting / (sum(offered**n / math.factorial(n) for n in range(servers)) + waiting)


@pytest.mark.parametrize(("servers", "busy"), [(1, 0.5), (1, 0.8), (4, 0.7), (16, 0.8)])
def test_random_durations_wait_as_in_m_m_c(servers: int, busy: float) -> None:
    offered = servers * busy
    outcome = simulate(Load(rate=offered, seconds=1.0), engine(servers))
    waits = erlang_c(servers, offered)
    relief = servers - offered  # of those that wait, a second
    assert outcome.mean == pytest.approx(waits / relief, rel=WITHIN)
    known = math.log(waits / 0.01) / relief
    assert outcome.quantile(0.99) == pytest.approx(known, rel=2 * WITHIN)


@pytest.mark.parametrize("busy", [0.3, 0.5, 0.8, 0.9])
def test_equal_durations_wait_as_in_m_d_1(busy: float) -> None:
    outcome = simulate(Load(rate=busy, seconds=1.0, spread=0.0), engine(1))
    assert outcome.mean == pytest.approx(busy / (2 * (1 - busy)), rel=WITHIN)


@pytest.mark.parametrize("spread", [0.5, 2.0])
def test_other_durations_wait_as_pollaczek_and_khinchin_say(spread: float) -> None:
    outcome = simulate(Load(rate=0.5, seconds=1.0, spread=spread), engine(1))
    known = (1 + spread**2) / 2  # times the wait of M/M/1, which is 1
    assert outcome.mean == pytest.approx(known, rel=2 * WITHIN)


def test_a_database_of_which_all_wait_is_a_station_like_another() -> None:
    outcome = simulate(Load(rate=0.8, seconds=0.0), engine(100, ceiling=1.0))
    assert outcome.mean == pytest.approx(0.8 / (2 * 0.2) + 1, rel=WITHIN)  # and its own second


def test_whoever_arrives_first_begins_first() -> None:
    assert begins([0.0, 0.0, 1.0, 1.0], [3.0, 1.0, 1.0, 1.0], 2) == [0.0, 0.0, 1.0, 2.0]
    assert delays([5.0, 5.0], [1.0, 1.0], 1) == [0.0, 1.0]


COSTS = Costs(
    enqueue=100e-6, drain=70e-6, worker=90e-6, log=1500, kept=800, one_worker=9000, latency=0.003
)


def test_the_narrowest_station_is_the_capacity() -> None:
    one = COSTS.engine(workers=2, slots=4, cores=1)
    assert one.capacity(0.1) == (80, "slots")
    assert one.capacity(0.0) == (pytest.approx(1 / 170e-6), "database")
    assert COSTS.engine(1, 4, cores=4).capacity(0.0) == (9000, "workers")


@pytest.mark.parametrize(
    ("workers", "processors", "rate"),
    [(1, 2, 9000), (2, 2, 2 / 160e-6), (4, 2, 2 / 160e-6), (2, 8, 18_000), (4, 8, 36_000)],
)
def test_workers_add_up_until_the_processors_of_the_machine_are_busy(
    workers: int, processors: int, rate: float
) -> None:
    assert COSTS.beside_server(workers, processors) == pytest.approx(rate)


def test_what_is_more_than_the_capacity_waits_without_end() -> None:
    load = Load(rate=100, seconds=0.1)
    answer = [*Question(load, COSTS.engine(2, 4, cores=1), COSTS, backlog=10).answer()]
    assert "delay      without end: 72,000 more runs wait after each hour" in answer
    assert not any("backlog" in line for line in answer)


def test_a_day_has_its_costs_and_a_backlog_its_end() -> None:
    load = Load(rate=50, seconds=0.1)
    answer = [*Question(load, COSTS.engine(2, 4, cores=1), COSTS, 30_000).answer()]
    assert answer[0] == "capacity   80 runs a second; what limits it: slots"
    assert "backlog    30,000 runs, gone after 16.7 min" in answer
    assert "a day      4.3 million runs, 6.5 GB of log" in answer
    assert "server     0.01 processors" in answer
    assert "kept       60 million runs after 14 days, 48 GB" in answer


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.0123, "12.3 ms"), (1.5, "1.5 s"), (600, "10.0 min"), (1e4, "2.8 h")]
)
def test_times_have_units(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    "words",
    [
        ["--seconds", "1"],
        ["--rate", "0", "--seconds", "1"],
        ["--rate", "nan", "--seconds", "1"],
        ["--rate", "1", "--seconds", "-1"],
        ["--rate", "1", "--seconds", "1", "--workers", "0"],
        ["--rate", "1", "--seconds", "1", "--cores", "inf"],
    ],
)
def test_what_makes_no_sense_is_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit):
        question(words)


def test_figures_without_costs_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="The figures have no costs, one by one, server CPU"):
        Costs.of(Figures(), "postgresql")


def test_the_page_has_the_figures_that_were_measured() -> None:
    """`python -m benchmarks.scale_page` writes them."""
    page = scale_page.PAGE.read_text()
    assert scale_page.written(page, Figures.load(scale.FIGURES)) == page
    assert len(scale_page.BLOCK.findall(page)) == len(scale_page.BLOCKS)


MACHINE = "4 processors (of a kind), 8 GiB of memory"
OF_ONE_WORKER = {
    ("costs", "one by one, server CPU µs", "taskworks"): [100.0],
    ("costs", "one by one, log bytes", "taskworks"): [500.0],
    ("costs", "drained, server CPU µs", "taskworks"): [70.0],
    ("costs", "drained, own CPU µs", "taskworks"): [90.0],
    ("costs", "drained, log bytes", "taskworks"): [1000.0],
    ("costs", "kept bytes", "taskworks"): [800.0],
    ("drain", "1 worker", "taskworks"): [9000.0],
    ("latency", "p50 ms", "taskworks"): [3.0],
}
RATES = {
    ("drain", "2 workers", "taskworks"): [500.0],
    ("growing", "1 worker", "taskworks"): [9000.0, 8000.0, 8500.0],
    ("growing", "2 workers", "taskworks"): [16_000.0],
    ("growing", "4 processes", "taskworks"): [20_000.0],
    ("growing", "1 shard", "taskworks-shards"): [8400.0],
    ("growing", "1 shard, server CPU µs", "taskworks-shards"): [71.0],
    ("growing", "2 shards", "taskworks-shards"): [15_000.0],
    ("growing", "2 shards, server CPU µs", "taskworks-shards"): [72.0],
}


def checked(rates: dict[tuple[str, str, str], list[float]]) -> list[str]:
    """Return the lines of the table that compares these rates with those from COSTS."""
    figures = Figures(facts={"machine": MACHINE})
    for (part, measure, system), values in {**OF_ONE_WORKER, **rates}.items():
        figures.values[Key(part, measure, system, "postgresql")] = values
    return scale_page.BLOCKS["check"](figures).splitlines()[2:]


def test_each_point_is_simulated_from_one_worker_beside_what_was_measured() -> None:
    beside = "beside the server on 4 processors"
    assert checked(RATES) == [
        f"| PostgreSQL: no-op runs a second of one worker, {beside} | 9,000 | "
        "8,500 (8,000 to 9,000) |",
        f"| PostgreSQL: no-op runs a second of two workers, {beside} | 18,000 | 16,000 |",
        f"| PostgreSQL: no-op runs a second of four worker processes, {beside} | 25,000 | 20,000 |",
        "| PostgreSQL: no-op runs a second of two shards with a worker each, beside their servers "
        "on 4 processors; server CPU µs of a run, with one shard and with two | 18,000; 70.0 | "
        "15,000; 71.0 and 72.0 |",
    ]


@pytest.mark.parametrize("measure", ["1 worker", "4 processes", "2 shards"])
def test_a_point_that_was_not_measured_has_no_line(measure: str) -> None:
    rest = {key: values for key, values in RATES.items() if key[1] != measure}
    assert len(checked(rest)) == len(checked(RATES)) - 1
    assert {*checked(rest)} < {*checked(RATES)}


def test_two_workers_of_a_drain_stand_in_for_those_that_were_not_measured_apart() -> None:
    [line] = checked({("drain", "2 workers", "taskworks"): [500.0]})
    assert line.endswith("two workers, beside the server on 4 processors | 18,000 | 500 |")
    assert checked({}) == []
