"""The table of docs/explanation/guarantees.md, made of what was seen."""

import json
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.faults.catalogue import CATALOGUE, EVERYWHERE, Fault

PAGE = Path(__file__).resolve().parents[2] / "docs" / "explanation" / "guarantees.md"
BEGINS = "<!-- written by make faults -->\n"
ENDS = "<!-- up to here -->\n"
TITLES = {"postgresql": "PostgreSQL", "mariadb": "MariaDB", "sqlite": "SQLite"}

Line = dict[str, Any]


def write(report: Path, circumstances: str, page: Path = PAGE) -> None:
    """
    Put what the report has between the markers of the page; the latest line of a test counts. If
    only some faults were done, the rows of the others stay as they are.
    """
    latest = {(line["test"], line["database"]): line for line in _read(report)}
    before, _, rest = page.read_text().partition(BEGINS)
    old, _, after = rest.partition(ENDS)
    table = _table([*latest.values()], circumstances, old)
    page.write_text(f"{before}{BEGINS}\n{table}\n{ENDS}{after}")


def _read(report: Path) -> list[Line]:
    return [json.loads(line) for line in report.read_text().splitlines()]


def _table(lines: Sequence[Line], circumstances: str, old: str) -> str:
    done = {line["fault"] for line in lines}
    kept = {number: row for number, row in _rows_of(old).items() if number not in done}
    rows = {
        number: kept.get(number) or _joined(_row(number, fault, lines))
        for number, fault in CATALOGUE.items()
        if fault.databases
    }
    missing = [
        f"- {number}, {fault.what}: {fault.elsewhere}."
        for number, fault in CATALOGUE.items()
        if fault.elsewhere
    ]
    title = "Faults that are not tested, or not on every database:"
    said = [_when(circumstances, sorted(done) if kept else [], old), "", *_head(lines, old)]
    return "\n".join([*said, *rows.values(), "", title, "", *missing, ""])


def _when(circumstances: str, some: Sequence[int], old: str) -> str:
    """When the faults were done; if only some were done now, when the others were."""
    today = datetime.now(UTC).date().isoformat()
    found = re.search(r"Seen on (\S+?)((?:, and [\d, ]+ on \S+?)*)[:,]", old)
    if not some or found is None:
        return f"Seen on {today}: {circumstances}"
    numbers_of = {
        date: {*map(int, numbers.split(", "))} - {*some}
        for numbers, date in re.findall(r", and ([\d, ]+) on ([\d-]+)", found[2])
    }
    numbers_of[today] = numbers_of.get(today, set()) | {*some}
    others = [
        f", and {', '.join(map(str, sorted(numbers)))} on {date}"
        for date, numbers in numbers_of.items()
        if numbers
    ]
    return f"Seen on {found[1]}{''.join(others)}: {circumstances}"


def _head(lines: Sequence[Line], old: str) -> list[str]:
    versions = {line["database"]: line["version"] for line in lines}
    columns = [f"{TITLES[name]} {versions.get(name, '')}".strip() for name in EVERYWHERE]
    if len(versions) < len(EVERYWHERE) and (found := re.search(r"^\|  \|.*$", old, re.MULTILINE)):
        columns = found[0].strip("| ").split(" | ")[-len(EVERYWHERE) :]
    head = ["", "fault", "what we promise", "what was seen", *columns]
    return [_joined(head), _joined(["---"] * len(head))]


def _rows_of(old: str) -> dict[int, str]:
    """The rows of a table, by the number of the fault."""
    rows = re.findall(r"^(\| (\d+) \|.*)$", old, re.MULTILINE)
    return {int(number): row for row, number in rows}


def _joined(columns: Sequence[str]) -> str:
    return "| " + " | ".join(columns) + " |"


def _row(number: int, fault: Fault, lines: Sequence[Line]) -> list[str]:
    mine = [line for line in lines if line["fault"] == number]
    seconds = [
        _verdict(fault, name, [line for line in mine if line["database"] == name])
        for name in EVERYWHERE
    ]
    return [str(number), fault.what, fault.promise, _seen(mine), *seconds]


def _verdict(fault: Fault, database: str, lines: Sequence[Line]) -> str:
    """The slowest recovery; a word where there is none."""
    if database not in fault.databases:
        return "-"
    if not lines:
        return "not run"
    if not all(line["kept"] for line in lines):
        return "**broken**"
    recoveries = [line["recovery"] for line in lines if line["recovery"] is not None]
    return f"{max(recoveries):.1f} s" if recoveries else "kept"


def _seen(lines: Sequence[Line]) -> str:
    """Once what was the same everywhere; else by database."""
    by_database: dict[str, str] = {}
    for name in EVERYWHERE:
        texts = [text for line in lines if line["database"] == name for text in line["seen"]]
        if texts:
            by_database[name] = "; ".join(_unique(texts))
    if len(set(by_database.values())) == 1:
        return next(iter(by_database.values()))
    return "<br>".join(f"{TITLES[name]}: {text}" for name, text in by_database.items())


def _unique(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))
