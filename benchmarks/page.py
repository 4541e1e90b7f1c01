"""Write the page of the documentation with the figures, and its chart."""

from collections.abc import Iterator

from benchmarks import chart, targets
from benchmarks.figures import Figures
from benchmarks.processes import ROOT
from benchmarks.tables import STORE_NAMES, SYSTEM_NAMES, tables

PAGE = ROOT / "docs" / "explanation" / "benchmarks.md"
CHART = ROOT / "docs" / "pictures" / "benchmarks.svg"

HEAD = """\
# Benchmarks

`make bench` writes this page with all its figures. Taskworks and other task queues were measured on
one machine, one after the other, and again in further rounds, so that anything that slows the
machine slows all of them. Rounds: {rounds}. Each figure is the median, with the minimum and the
maximum. Compare the ratios; a rate alone says nothing about another machine.

![Tasks per second that one worker executes](../pictures/benchmarks.svg)
"""

PARTS = {
    "drain": """\
## Drain

How many no-op tasks per second one worker and two workers execute and record as successful. The
task gets a number and a word, writes 16 bytes to a file in memory, and returns the number. The
tasks are enqueued before the workers start. Time is measured from the moment when a tenth of them
has been executed and every process has begun, until the store shows all of them as successful.
"2 workers" means that a system's own start command was executed twice. `bare` is the database
alone: the statements to claim 100 runs and to finish 100 runs, from a Python loop that executes no
tasks. They are those that Taskworks sent at commit 094db0b, so that ratios to them can be compared
over time. "bare, today's statements" is the same loop with the statements that Taskworks sends
now.""",
    "enqueue": """\
## Enqueue

How many tasks per second one process enqueues: one by one, each committed before the next one; each
in a transaction of the caller's, whose BEGIN and COMMIT count; each awaited in an event loop before
the next one; and in bulk, in calls of 5,000. Why a system has no figure is said
[below](#what-was-measured-and-how). `bare` is the INSERT of commit 094db0b, of one row and of many;
"bare, today's statements" is that of today, which PostgreSQL keeps prepared and to which MariaDB
returns the time.""",
    "latency": """\
## Latency

How long a task waits for an idle worker: milliseconds from the commit of its enqueue to its first
line. 100 tasks are enqueued 40 to 60 ms apart. "With the call" counts from before the call of
enqueue. For workers that poll less often the longer nothing happens, three more tasks are enqueued
1.5 to 2.5 seconds apart. A negative figure means that the task began before the answer to the
commit had arrived.""",
    "idle": """\
## Start and idle

The seconds from the command that starts a worker to the first line of a task that is waiting for
it; and the resources that the worker uses when it has executed this task and has nothing to do, for
all its processes together. Statements are counted on the wire, so the driver does not matter.
Memory is the resident memory (RSS), and the same with shared memory divided among the processes
(PSS). For comparison, the table has the memory of `manage.py shell` in the same project.""",
    "schedules": """\
## Schedules

10,000 schedules that are due over one hour, measured for three minutes in real time: the processor
time that a worker without other work spends on firing them, in addition to what it spends when
idle; and how long after its planned time each was fired, by the database's clock.""",
    "growth": """\
## Growth

The same tasks in an empty table ("alone"), and in one that also has ten million finished and a
million scheduled runs ("grown"), in turns: how fast a worker drains them, how much of its speed in
the empty table is lost in the large one, and what a claim of 100 reads, by the database's own count
(PostgreSQL: buffers, by EXPLAIN; MariaDB: rows, by its handlers).""",
    "held": """\
## An open transaction

A drain while another session holds a transaction open, as a report or a backup does, so that the
database cannot clean up the old row versions that claims leave behind.""",
    "variants": """\
## Variants

The bare drain with one thing changed or left out at a time, to see whether the table and its query
plans could be cheaper.""",
}

NOT_MEASURED = """\
## What is not measured

- **The cost of a crash.** The systems that are compared here promise different things; the table
  above says which. A system that acknowledges a task before it executes it, or that keeps its queue
  in memory, has less to do.
- Tasks that do something. With real work the differences shrink, and finally disappear.
- A network between worker and database, or a disk that takes a millisecond to write: there, all
  rates with one commit per task are lower, and batches gain.
- More than two workers, several machines, priorities, several queues, retries.
- MySQL."""


TARGETS = """\
## Targets

Ratios of Taskworks' figure to the other's, unless a unit is given: of the medians, with the
smallest and the largest ratio of a round. In a round the systems are measured one after the other.
A stretch goal is what would be better still."""

QUICK = """
> This is a quick run with few tasks and one round. It only shows that the benchmark works.
"""


def write(figures: Figures) -> None:
    """Write both files."""
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
    if found := targets.table(figures):
        yield TARGETS
        yield found.markdown
    yield systems(figures)
    yield NOT_MEASURED
    yield from _gaps(figures)
    yield _machine(figures)


def systems(figures: Figures) -> str:
    """Return the section with the systems, their settings, and what they lack."""
    lines = [
        "## What was measured, and how",
        "",
        "Each system uses the best documented settings that we found, persistent connections, and "
        "no log output.",
        "",
        "| system | versions | setting | what it does not promise |",
        "| --- | --- | --- | --- |",
    ]
    for name, about in figures.facts.get("systems", {}).items():
        system, store = name.split(" ", 1)
        cells = [about[what] for what in ("versions", "setting", "differs")]
        lines.append(f"| {' | '.join([_titled(system, store), *cells])} |")
    return "\n".join([*lines, "", *_lacks(figures)])


def _lacks(figures: Figures) -> Iterator[str]:
    """Yield why systems have no figure for a measure of enqueueing."""
    yield "Figures that a system does not have in the tables of enqueueing:"
    yield ""
    for name, about in figures.facts.get("systems", {}).items():
        for measure, reason in about.get("lacks", {}).items():
            yield f"- {_titled(*name.split(' ', 1))}, {measure}: {reason}"


def _titled(system: str, store: str) -> str:
    return f"{SYSTEM_NAMES.get(system, system)} ({STORE_NAMES.get(store, store)})"


def _gaps(figures: Figures) -> Iterator[str]:
    if figures.gaps:
        yield "Not measured in this run, although it should have been:"
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
            *occasions(facts["parts"]),
            *servers,
        ]
    )


def occasions(parts: dict[str, dict[str, str]]) -> Iterator[str]:
    """Yield when and for which commit the parts were measured."""
    for commit in dict.fromkeys(part["commit"] for part in parts.values()):
        some = {name: part for name, part in parts.items() if part["commit"] == commit}
        first = next(iter(some.values()))
        yield (
            f"- at commit {commit}, started {first['began']} with a load average of "
            f"{first['load']}: {', '.join(some)}"
        )
