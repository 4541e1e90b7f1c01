"""What the figures say: medians, their spread, and ratios to ours."""

from benchmarks.contenders import GROUPS
from benchmarks.figures import Figures, Key

OURS = "taskworks"


def show(figures: Figures) -> None:
    """Print a table for each part, measure and kind of database."""
    for part, measure in dict.fromkeys((key.part, key.measure) for key in figures.values):
        for group in GROUPS:
            rows = _rows(figures, part, measure, group)
            if rows:
                print(f"\n{part}, {measure}, {group}:")
                for row in rows:
                    print(row)
    for gap in figures.gaps:
        print(f"NOT MEASURED: {gap.part}: {gap.system} on {gap.store}: {gap.reason}")


def _rows(figures: Figures, part: str, measure: str, group: str) -> list[str]:
    keys = [
        key
        for key in figures.values
        if (key.part, key.measure) == (part, measure) and key.store in GROUPS[group]
    ]
    ours = figures.median(Key(part, measure, OURS, group))
    return [
        f"  {_named(key):<28} {_spread(figures, key)}  {_ratio(figures, key, ours)}" for key in keys
    ]


def _named(key: Key) -> str:
    return key.system if key.store in GROUPS else f"{key.system} ({key.store})"


def _spread(figures: Figures, key: Key) -> str:
    values = figures.values[key]
    return (
        f"{figures.median(key):>10,.0f} ({min(values):,.0f} to {max(values):,.0f}; n={len(values)})"
    )


def _ratio(figures: Figures, key: Key, ours: float | None) -> str:
    theirs = figures.median(key)
    return f"ours is {ours / theirs:.2f} times" if ours and theirs else ""
