"""
Write the figures of the page on scale: ``python -m benchmarks.scale_page``. They are measured by

    python -m benchmarks --parts drain,latency,costs,arrivals,growing --systems taskworks \
        --databases postgresql --save benchmarks/scale.json

on a machine, and beside a server, that have nothing else to do; with ``mariadb`` for its figures,
too.
"""

import re
import shlex
from collections.abc import Callable, Iterator

from benchmarks.figures import Figures, Key
from benchmarks.measures.costs import (
    DRAINED,
    IN_BULK_PREFIX,
    KEPT,
    LOG,
    ONE_BY_ONE_PREFIX,
    OWN,
    SERVER,
)
from benchmarks.measures.growing import FOUR, ONE, ONE_SHARD, PROCESSES, TWO, TWO_SHARDS
from benchmarks.page import occasions
from benchmarks.processes import ROOT
from benchmarks.scale import DAY, FIGURES, GB, Costs, question
from benchmarks.systems.taskworks import TaskworksShards
from benchmarks.tables import OURS, number, spread

PAGE = ROOT / "docs" / "explanation" / "scale.md"
BLOCK = re.compile(r"(?<=<!-- figures: )(\w+) -->\n.*?(?=<!-- end of figures -->)", re.DOTALL)
STORES = {"postgresql": "PostgreSQL", "mariadb": "MariaDB"}
RATES = (1, 10, 100, 1_000)  # runs a second
RETENTION = 14  # days, the default for successful runs
STEPS = {
    ONE_BY_ONE_PREFIX: "enqueued, one by one",
    IN_BULK_PREFIX: "enqueued, in bulk",
    DRAINED: "claimed, executed and finished",
}
# How many execute, in words, and what measured it: the first of these that has figures is shown.
WORKERS = {
    1: ("one worker", (("growing", ONE),)),
    2: ("two workers", (("growing", TWO), ("drain", TWO))),
    PROCESSES: ("four worker processes", (("growing", FOUR),)),
}
SHARES = ("mean", "p50", "p90", "p99")
EXAMPLE = re.compile(
    r"(?P<command>^    python -m benchmarks\.scale (?P<arguments>.*)$)\n\n```text\n(?:.*\n)*?```$",
    re.MULTILINE,
)


def main() -> None:
    """Write the page."""
    PAGE.write_text(written(PAGE.read_text(), Figures.load(FIGURES)))
    print(f"wrote {PAGE.relative_to(ROOT)}")


def written(page: str, figures: Figures) -> str:
    """Return the page with the figures that were measured."""

    def block(match: re.Match[str]) -> str:
        name = match[1]
        return f"{name} -->\n\n{BLOCKS[name](figures)}\n\n"

    return _with_answers(BLOCK.sub(block, page))


def _costs(figures: Figures) -> str:
    rows = ["| | server CPU, µs | process CPU, µs | log, bytes |", "| --- | ---: | ---: | ---: |"]
    for store in _stores(figures):
        for prefix, name in STEPS.items():
            keys = (Key("costs", f"{prefix}{what}", OURS, store) for what in (SERVER, OWN, LOG))
            cells = " | ".join(spread(figures, key) for key in keys)
            rows.append(f"| {STORES[store]}: {name} | {cells} |")
    return "\n".join(rows)


def _stores(figures: Figures) -> list[str]:
    return [store for store in STORES if Key("costs", KEPT, OURS, store) in figures.values]


def _days(figures: Figures) -> str:
    costs = Costs.of(figures, "postgresql")
    head = (
        "| runs a second | runs a day | processors of the server | log a day | rows after 14 days "
        "| disk |"
    )
    rows = [head, "| ---: | ---: | ---: | ---: | ---: | ---: |"]
    for rate in (*RATES, 1 / costs.server):
        runs = rate * DAY
        kept = runs * RETENTION
        rows.append(
            f"| {rate:,.0f} | {runs / 1e6:,.1f} million | {rate * costs.server:.3f} | "
            f"{runs * costs.log / GB:,.1f} GB | {kept / 1e6:,.0f} million | "
            f"{kept * costs.kept / GB:,.0f} GB |"
        )
    return "\n".join(rows)


def _check(figures: Figures) -> str:
    rows = ["| | simulated | measured |", "| --- | ---: | ---: |"]
    for store in _stores(figures):
        costs = Costs.of(figures, store)
        for checked in (_workers, _shards, _delays):
            rows += [f"| {STORES[store]}: {row} |" for row in checked(figures, store, costs)]
    return "\n".join(rows)


def _workers(figures: Figures, store: str, costs: Costs) -> Iterator[str]:
    processors = _processors(figures)
    for workers, (name, measures) in WORKERS.items():
        keys = (Key(part, measure, OURS, store) for part, measure in measures)
        if key := next((key for key in keys if key in figures.values), None):
            yield (
                f"no-op runs a second of {name}, beside the server on {processors} processors | "
                f"{number(costs.beside_server(workers, processors))} | {spread(figures, key)}"
            )


def _shards(figures: Figures, store: str, costs: Costs) -> Iterator[str]:
    one, two = (
        Key("growing", measure, TaskworksShards.name, store) for measure in (ONE_SHARD, TWO_SHARDS)
    )
    if two not in figures.values:
        return
    processors = _processors(figures)
    used = " and ".join(
        spread(figures, key._replace(measure=f"{key.measure}, {SERVER}")) for key in (one, two)
    )
    yield (
        f"no-op runs a second of two shards with a worker each, beside their servers on "
        f"{processors} processors; {SERVER} of a run, with one shard and with two | "
        f"{number(costs.beside_server(2, processors))}; {number(costs.drain * 1e6)} | "
        f"{spread(figures, two)}; {used}"
    )


def _delays(figures: Figures, store: str, costs: Costs) -> Iterator[str]:
    for share in SHARES:
        key = Key("arrivals", f"{share} ms", OURS, store)
        if key in figures.values:
            simulated = figures.median(key._replace(measure=f"simulated {share} ms")) or 0
            yield (
                f"delay of random arrivals, {share}, ms | "
                f"{number(simulated + costs.latency * 1000)} | {spread(figures, key)}"
            )


def _processors(figures: Figures) -> int:
    """Return how many the machine had."""
    return int(str(figures.facts["machine"]).split()[0])


def _machine(figures: Figures) -> str:
    facts = figures.facts
    servers = [f"- {store}: {about}" for store, about in facts.get("servers", {}).items() if about]
    lines = [f"- {facts['machine']}; Python {facts['python']}", *occasions(facts["parts"])]
    return "\n".join([*lines, *servers])


BLOCKS: dict[str, Callable[[Figures], str]] = {
    "costs": _costs,
    "days": _days,
    "check": _check,
    "machine": _machine,
}


def _with_answers(page: str) -> str:
    """Return the page with what its examples print, in the block after each."""

    def answered(match: re.Match[str]) -> str:
        lines = question(shlex.split(match["arguments"])).answer()
        printed = "\n".join(lines)
        return f"{match['command']}\n\n```text\n{printed}\n```"

    return EXAMPLE.sub(answered, page)


if __name__ == "__main__":
    main()
