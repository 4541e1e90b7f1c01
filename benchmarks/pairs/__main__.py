"""``python -m benchmarks.pairs BAR``: print every pair, and whether the bar is kept."""

import argparse
import signal
import sys
import time
from collections.abc import Callable, Sequence

from benchmarks import machine
from benchmarks.client import NotMeasuredError
from benchmarks.pairs import counting, fan_in, flow, on_celery, shards
from benchmarks.pairs.options import Options

BARS: dict[str, Callable[[Options], bool]] = {
    "plain": flow.plain,
    "limited-1": flow.limited_by_1,
    "limited-50": flow.limited_by_50,
    "limited-10000": flow.limited_by_10000,
    "full-keys": flow.full_keys,
    "slot": flow.slot,
    "fairness": flow.fairness,
    "unique": flow.unique,
    "statistics": counting.statistics,
    "fan-in": fan_in.fan_in,
    "celery": on_celery.without_results,
    "celery-results": on_celery.with_results,
    "celery-server": on_celery.server,
    "celery-latency": on_celery.latency,
    "celery-connections": on_celery.connections,
    "two-shards": shards.two_shards,
    "shard-stopped": shards.shard_stopped,
}
DATABASES = ("postgresql", "mariadb", "sqlite")
PAIRS = 15


def main() -> int:
    """Measure one bar; return 1 if it is missed."""
    name, options = _parse(sys.argv[1:])
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    facts = machine.facts()
    began = time.monotonic()
    print(
        f"=== {name}{_of_celery(name, options)} on {options.database}: {facts['commit']}, "
        f"{facts['began']}, {facts['machine']}"
    )
    print(f"    load before {machine.load()}", flush=True)
    try:
        kept = BARS[name](options)
    except NotMeasuredError as error:
        sys.exit(f"NOT MEASURED: {name} on {options.database}: {error}")
    print(f"    load after {machine.load()}, {time.monotonic() - began:.0f} s", flush=True)
    return 0 if kept else 1


def _of_celery(name: str, options: Options) -> str:
    return f", {options.pool}, {options.broker}," if name.startswith("celery") else ""


def _parse(arguments: Sequence[str]) -> tuple[str, Options]:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pairs",
        description="\n".join(f"{name:18} {bar.__doc__}" for name, bar in BARS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("bar", choices=BARS)
    add("--database", choices=DATABASES, default="postgresql")
    add("--pairs", type=int, default=PAIRS, help=f"how many (default: {PAIRS})")
    add("--size", type=int, default=0, help="runs of a side in a pair")
    add("--waiting", type=int, default=0, help="runs with a limit that are there")
    add("--worker", default="", metavar="OPTIONS", help="options of the workers: '--threads 8'")
    add("--pool", choices=on_celery.SIZES, default="prefork", help="of Celery's workers")
    add("--broker", choices=("rabbitmq", "redis"), default="rabbitmq", help="of Celery's workers")
    add("--before", default="", metavar="FOLDER", help="the src of another version, for 'plain'")
    given = vars(parser.parse_args(arguments))
    name = given.pop("bar")
    if name == "plain" and not given["before"]:
        parser.error("'plain' compares with another version: name its src with --before")
    return name, Options(**given)


if __name__ == "__main__":
    sys.exit(main())
