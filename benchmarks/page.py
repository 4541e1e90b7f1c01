"""Writes the page of the documentation that has the figures, and its chart."""

from collections.abc import Iterator

from benchmarks import bars, chart
from benchmarks.figures import Figures
from benchmarks.processes import ROOT
from benchmarks.tables import STORE_NAMES, tables

PAGE = ROOT / "docs" / "explanation" / "benchmarks.md"
CHART = ROOT / "docs" / "pictures" / "benchmarks.svg"

HEAD = """\
# Benchmarks

This page is written by `make bench`, as is every figure on it: Taskworks and its peers, on one
machine, one after the other and again from the beginning, so that whatever slows the machine slows
all of them. Rounds: {rounds}. A figure is the median, with the least and the greatest. Read the
ratios; a rate of its own says nothing of another machine.

![Tasks a second that one worker executes](../pictures/benchmarks.svg)
"""

PARTS = {
    "drain": """\
## Drain

How many no-op tasks a second one worker and two execute, and record as successful. The task gets a
number and a word, leaves a mark of 16 bytes in a file in memory, and returns the number. A backlog
is there when the workers start. The time goes from when a tenth is executed, and every process has
begun, until the store shows all of them as successful. "Two workers" are two of a system's own
start command. `bare` is the database alone: the very statements that our store sends, claim 100
and finish 100, from a loop in Python that executes nothing.""",
    "enqueue": """\
## Enqueue

How many tasks a second one process enqueues: one by one, each committed before the next; and in
bulk, in calls of 5,000. A system without a figure has no such call. `bare` is our own INSERT, of
one row and of many.""",
    "latency": """\
## Latency

How long a task waits for an idle worker: milliseconds from the commit of its enqueue to its first
line. 100 tasks come 40 to 60 ms apart. "With the call" counts from before the call of enqueue. A
worker that looks the more rarely the longer nothing came is then given three that come 1.5 to 2.5
seconds apart. A figure below nought is a task that began before the commit's answer had come.""",
    "idle": """\
## Idle

What a worker costs that has executed one task and has nothing to do: all its processes together.
Statements are counted on the wire, whatever the driver. Memory is what is resident (RSS), and with
what processes share divided among them (PSS); beside it, `manage.py shell` of the same project.""",
    "schedules": """\
## Schedules

10,000 schedules that are due over one hour, three minutes of it at their own pace: what a worker
that does nothing else spends on firing them, beyond what it spends idle; and how long after its
planned time each was fired, by the database's clock.""",
    "growth": """\
## Growth

The same backlog in an empty table, and in one with a million finished and a million scheduled runs,
in turns: how fast a worker drains it, and what a claim of 100 reads, by the database's own count
(PostgreSQL: buffers, by EXPLAIN; MariaDB: rows, by its handlers).""",
    "held": """\
## An open transaction

A drain while another session holds a transaction open, as a report or a backup does, so that the
database can clean up nothing that claims leave behind.""",
    "variants": """\
## Variants

Whether the table and its plans are as cheap as they can be: the bare drain, with what was left out
or done otherwise.""",
}

NOT_MEASURED = """\
## What is not measured

- **What a crash costs.** Systems are compared here that promise different things; the table above
  says in what. A system that acknowledges before it executes, or that keeps its queue in memory,
  has less to do.
- Tasks that do something. With real work the differences shrink, and in the end vanish.
- A network between worker and database, and a disk that takes a millisecond to write: there all
  rates with a commit a task fall, and batches gain.
- More than two workers, several machines, priorities, several queues, retries.
- MySQL."""


QUICK = """
> This is a quick run: few tasks, one round. It shows that the benchmark works, and no more.
"""


def write(figures: Figures) -> None:
    """Both files."""
    CHART.write_text(chart.draw(figures))
    PAGE.write_text("\n\n".join(_sections(figures)) + "\n")
    print(f"wrote {PAGE.relative_to(ROOT)} and {CHART.relative_to(ROOT)}")


def _sections(figures: Figures) -> Iterator[str]:
    yield HEAD.format(rounds=figures.facts["rounds"]).strip()
    if figures.facts["scale"] < 1:
        yield QUICK.strip()
    for part, text in PARTS.items():
        if found := tables(figures, part):
            yield text
            yield from (table.markdown for table in found)
    if found := bars.table(figures):
        yield "## What we want to reach\n\nRatios of ours to theirs, unless a unit is named."
        yield found.markdown
    yield _systems(figures)
    yield NOT_MEASURED
    yield from _gaps(figures)
    yield _machine(figures)


def _systems(figures: Figures) -> str:
    lines = [
        "## Who was measured, and how",
        "",
        "Each in the best of its documented settings that we found, all with persistent "
        "connections and without log lines.",
        "",
        "| system | versions | setting | what it does not promise |",
        "| --- | --- | --- | --- |",
    ]
    for name, about in figures.facts.get("systems", {}).items():
        system, _, store = name.partition(" ")
        cells = [f"{system} ({STORE_NAMES.get(store, store)})", *about.values()]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _gaps(figures: Figures) -> Iterator[str]:
    if figures.gaps:
        yield "Not measured in this run, though it should have been:"
        yield "\n".join(
            f"- {gap.part}: {gap.system} on {gap.store}: {gap.reason.splitlines()[0]}"
            for gap in figures.gaps
        )


def _machine(figures: Figures) -> str:
    facts = figures.facts
    servers = [f"- {store}: {about}" for store, about in facts.get("servers", {}).items() if about]
    return "\n".join(
        [
            "## The machine",
            "",
            f"- {facts['machine']}; Python {facts['python']}",
            *_occasions(facts["parts"]),
            *servers,
        ]
    )


def _occasions(parts: dict[str, dict[str, str]]) -> Iterator[str]:
    """When the parts were measured, and of what."""
    for commit in dict.fromkeys(part["commit"] for part in parts.values()):
        some = {name: part for name, part in parts.items() if part["commit"] == commit}
        first = next(iter(some.values()))
        yield (
            f"- at commit {commit}, begun {first['began']} with a load average of {first['load']}: "
            f"{', '.join(some)}"
        )
