"""
Drain while another session holds a transaction open, as a report or a backup does, so that the
database cannot clean up the old row versions that claims leave behind.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from benchmarks import bare, databases
from benchmarks.benchmark import Benchmark
from benchmarks.contenders import Contender
from benchmarks.measures import drain
from benchmarks.place import Place

STATEMENTS = {
    "postgresql": ("BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT txid_current()"),
    "mariadb": ("START TRANSACTION WITH CONSISTENT SNAPSHOT",),
}
SYSTEMS = ("taskworks", "bare-today", "pgqueuer")


def measure(benchmark: Benchmark) -> None:
    """Measure with and without the transaction, in turns."""
    for group in benchmark.groups:
        if group not in STATEMENTS:
            continue
        with benchmark.group("held", group, only=SYSTEMS) as everyone:
            benchmark.in_turns("held", everyone, lambda one: _both(benchmark, one))


def _both(benchmark: Benchmark, contender: Contender) -> dict[str, float]:
    size = benchmark.size(contender.system.drains)
    rates = {"drain": _rate(contender, size)}
    with held_open(contender.place):
        rates["drain, with a transaction open"] = _rate(contender, size)
    return rates


def _rate(contender: Contender, size: int) -> float:
    if contender.system.is_served:
        return drain.rate(contender, size, 1)
    return contender.client.run(bare.drain, size)


@contextmanager
def held_open(place: Place) -> Iterator[None]:
    """Hold a transaction with a snapshot open in another session."""
    with closing(databases.connect(place)) as connection:
        cursor = connection.cursor()
        for statement in STATEMENTS[place.store]:
            cursor.execute(statement)
        yield
        cursor.execute("ROLLBACK")
