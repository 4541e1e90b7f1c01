"""The output of the demo: a progress bar in a terminal, plain lines elsewhere."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.core.management import CommandError

from sourcestats.draining import Report
from sourcestats.summing import LongFunction

try:
    from rich import box
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.table import Table
    from rich.text import Text
except ImportError as missing:
    raise CommandError("The demo needs rich: pip install 'django-taskworks[example]'.") from missing

LOG_FILE_WIDTH = 120


class Terminal:
    def __init__(self) -> None:
        self.console = Console(highlight=False)
        if not self.console.is_terminal:
            self.console.width = LOG_FILE_WIDTH

    def print_line(self, sentence: str) -> None:
        self.console.print(sentence, markup=False, soft_wrap=True)

    @contextmanager
    def progress(self, total: int) -> Iterator[Report]:
        if self.console.is_terminal:
            with self.progress_bar() as bar:
                modules = bar.add_task("modules", total=total)
                yield lambda finished: bar.update(modules, completed=finished)
        else:
            yield ProgressLines(self, total)

    def progress_bar(self) -> Progress:
        return Progress(
            TextColumn("Measuring"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self.console,
        )

    def show_facts(self, facts: Sequence[tuple[str, str]]) -> None:
        table = Table(box=box.SIMPLE, show_header=False)
        table.add_column(style="bold")
        table.add_column(justify="right")
        for fact in facts:
            table.add_row(*map(Text, fact))
        self.console.print(table)

    def show_longest(self, functions: Sequence[LongFunction]) -> None:
        table = Table(title="The longest functions", title_justify="left", box=box.SIMPLE)
        table.add_column("lines", justify="right")
        table.add_column("function", overflow="fold")
        table.add_column("module", overflow="fold")
        for function in functions:
            cells = (str(function["lines"]), function["name"], function["path"])
            table.add_row(*map(Text, cells))
        self.console.print(table)


class ProgressLines:
    """Prints one line per quarter, for a log file."""

    def __init__(self, terminal: Terminal, total: int):
        self.terminal = terminal
        self.total = total
        self.quarters = 0

    def __call__(self, finished: int) -> None:
        quarters = finished * 4 // self.total if self.total else 0
        if quarters > self.quarters:
            self.quarters = quarters
            self.terminal.print_line(f"{finished} of {self.total} modules measured")
