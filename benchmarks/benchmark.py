"""One execution of the benchmark: the systems, the rounds, and the figures."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import machine
from benchmarks.client import NotMeasuredError
from benchmarks.contenders import GROUPS, Contender, contenders, matching
from benchmarks.figures import Figures, Gap, Key


@dataclass
class Benchmark:
    """What the command line selected, and the figures measured so far."""

    systems: Sequence[str]
    stores: Sequence[str]
    rounds: int
    scale: float  # factor for the numbers of runs
    files: Path
    figures: Figures
    options: Mapping[str, str] = field(default_factory=dict)  # further ones, for a system's worker

    @contextmanager
    def group(
        self, part: str, group: str, only: Sequence[str] = (), variant: str = ""
    ) -> Iterator[list[Contender]]:
        """Prepare the systems that are compared on one kind of database."""
        stores = [store for store in GROUPS[group] if store in self.stores]
        systems = [name for name in self.systems if name in (only or self.systems)]

        def gap(system: str, store: str, reason: str) -> None:
            self.gap(part, system, store, reason)

        wanted = matching(part, systems, stores)
        with contenders(wanted, self.files, gap, variant, self.options) as ready:
            for contender in ready:
                self._describe(contender)
            yield ready

    @property
    def groups(self) -> list[str]:
        """The kinds of databases to measure."""
        return [name for name, stores in GROUPS.items() if {*stores} & {*self.stores}]

    def size(self, whole: int, least: int = 100) -> int:
        """Return a number of runs, scaled and rounded to hundreds, but at least ``least``."""
        return max(least, round(whole * self.scale / 100) * 100)

    def in_turns(
        self,
        part: str,
        everyone: Sequence[Contender],
        measure: Callable[[Contender], dict[str, float]],
        rounds: int = 0,
    ) -> bool:
        """
        Measure the systems in turns, A B C A B C, so that a slower machine affects all of them.

        Return whether all could be measured.
        """
        out = set()
        for number in range(rounds or self.rounds):
            for contender in everyone:
                if contender in out:
                    continue
                try:
                    self.note(part, contender, number, measure(contender))
                except NotMeasuredError as error:
                    self.gap(part, contender.name, contender.place.store, str(error))
                    out.add(contender)
        return not out

    def note(self, part: str, contender: Contender, number: int, values: dict[str, float]) -> None:
        """Store and print the figures of a round."""
        name, store = contender.name, contender.place.store
        for measure, value in values.items():
            self.figures.add(Key(part, measure, name, store), value)
        shown = ", ".join(f"{measure} {value:,.1f}" for measure, value in values.items())
        print(f"  {part} {number + 1}: {name} on {store}: {shown}", flush=True)

    def _describe(self, contender: Contender) -> None:
        store, system = contender.place.store, contender.system
        self.figures.facts.setdefault("servers", {}).setdefault(store, machine.server(store))
        self.figures.facts.setdefault("systems", {})[f"{contender.name} {store}"] = {
            "versions": system.versions(),
            "setting": f"{system.setting} {system.place.options}".strip(),
            "differs": system.differs,
            "lacks": dict(system.lacks),
        }

    def gap(self, part: str, system: str, store: str, reason: str) -> None:
        """Store and print that there is no figure, and why."""
        print(f"NOT MEASURED: {part}: {system} on {store}: {reason}", flush=True)
        self.figures.gaps.append(Gap(part, system, store, reason))
