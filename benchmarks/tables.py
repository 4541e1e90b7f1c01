"""Figures as tables, with one row per system or one row per measure."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.contenders import GROUPS
from benchmarks.figures import Figures, Key

OURS = "taskworks"
GROUP_NAMES = {
    "postgresql": "PostgreSQL, and brokers",
    "mariadb": "MariaDB",
    "sqlite": "SQLite",
}
SYSTEM_NAMES = {
    "bare-today": "bare, today's statements",
    "taskworks-woken": "taskworks, woken by Redis",
}
STORE_NAMES = {"redis": "Redis", "rabbitmq": "RabbitMQ"}


@dataclass(frozen=True)
class Table:
    """A title, and rows of cells; the first row is the header."""

    title: str
    rows: list[list[str]]

    @property
    def plain(self) -> str:
        """The table as plain text."""
        widths = [max(map(len, column)) for column in zip(*self.rows, strict=True)]
        lines = [
            "  ".join(
                cell.rjust(width) if place else cell.ljust(width)
                for place, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in self.rows
        ]
        return "\n".join([self.title, *lines])

    @property
    def markdown(self) -> str:
        """The table in Markdown."""
        head, *rows = self.rows
        lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
        return "\n".join([f"**{self.title}**", "", *(f"| {' | '.join(line)} |" for line in lines)])


def tables(figures: Figures, part: str) -> list[Table]:
    """Return the tables of a part, one per kind of database."""
    if part in ("growth", "held", "variants", "costs", "arrivals", "growing"):
        return _by_measure(figures, part)
    return [table for group in GROUPS if (table := _by_system(figures, part, group))]


def _by_system(figures: Figures, part: str, group: str) -> Table | None:
    keys = [key for key in figures.values if key.part == part and key.store in GROUPS[group]]
    if not keys:
        return None
    measures = list(dict.fromkeys(key.measure for key in keys))
    has_ratios = part in ("drain", "enqueue")
    head = [
        "",
        *(cell for name in measures for cell in ([name, "Taskworks is"] if has_ratios else [name])),
    ]
    rows = [head]
    for system, store in dict.fromkeys((key.system, key.store) for key in keys):
        row = [named(system, store)]
        for measure in measures:
            key, ours = Key(part, measure, system, store), Key(part, measure, OURS, group)
            row.append(spread(figures, key))
            if has_ratios:
                row.append(times(figures, ours, key))
        rows.append(row)
    return Table(f"{part}: {GROUP_NAMES[group]}", rows)


def _by_measure(figures: Figures, part: str) -> list[Table]:
    keys = [key for key in figures.values if key.part == part]
    if not keys:
        return []
    columns = list(dict.fromkeys((key.system, key.store) for key in keys))
    titles = (f"{named(*column)}, {GROUP_NAMES[column[1]].split(',')[0]}" for column in columns)
    rows = [["", *titles]]
    for measure in dict.fromkeys(key.measure for key in keys):
        cells = (spread(figures, Key(part, measure, *column)) for column in columns)
        rows.append([measure, *cells])
    return [Table(part, rows)]


def named(system: str, store: str) -> str:
    """Return the name of a system, with its store if that is a broker."""
    name = SYSTEM_NAMES.get(system, system)
    return f"{name} ({STORE_NAMES[store]})" if store in STORE_NAMES else name


def spread(figures: Figures, key: Key) -> str:
    """Return the median, with the minimum and maximum of the rounds."""
    values = figures.values.get(key)
    if not values:
        return "-"
    middle = number(figures.median(key) or 0)
    if len(values) == 1:
        return middle
    return f"{middle} ({number(min(values))} to {number(max(values))})"


def times(figures: Figures, ours: Key, theirs: Key) -> str:
    """Return how many times as fast as theirs ours is."""
    mine, other = figures.median(ours), figures.median(theirs)
    return f"{ratio(mine / other)} x" if mine and other and ours != theirs else ""


def number(value: float) -> str:
    """Return a figure with its significant digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.1f}"


def ratio(value: float) -> str:
    """Return a ratio with its significant digits."""
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}" if value >= 2 else f"{value:.2f}"


def parts(figures: Figures) -> Sequence[str]:
    """Return the parts that have figures."""
    return list(dict.fromkeys(key.part for key in figures.values))
