"""Print the figures on a terminal."""

from benchmarks import targets
from benchmarks.figures import Figures
from benchmarks.tables import parts, tables


def show(figures: Figures) -> None:
    """Print the tables, the targets, and what was not measured."""
    for part in parts(figures):
        for table in tables(figures, part):
            print(f"\n{table.plain}")
    if found := targets.table(figures):
        print(f"\n{found.plain}")
    print()
    for gap in figures.gaps:
        print(f"NOT MEASURED: {gap.part}: {gap.system} on {gap.store}: {gap.reason}")
