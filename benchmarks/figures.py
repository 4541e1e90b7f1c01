"""The figures that were measured, and the gaps."""

import json
from collections import defaultdict
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

PART_FACTS = ("began", "commit", "load")  # the facts that differ between parts


class Key(NamedTuple):
    """What a figure measures."""

    part: str
    measure: str
    system: str
    store: str


@dataclass(frozen=True)
class Gap:
    """Something that was not measured, and why."""

    part: str
    system: str
    store: str
    reason: str


@dataclass
class Figures:
    """The values of each round by key; facts about the machine and systems; and the gaps."""

    values: dict[Key, list[float]] = field(default_factory=lambda: defaultdict(list))
    facts: dict[str, Any] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)

    def forget(self, parts: Collection[str]) -> None:
        """Delete the figures of these parts."""
        for key in [key for key in self.values if key.part in parts]:
            del self.values[key]
        self.gaps = [gap for gap in self.gaps if gap.part not in parts]

    def note_part(self, part: str, facts: dict[str, Any]) -> None:
        """Store when and for which commit a part is measured, and the facts about the machine."""
        occasion = {name: facts.pop(name) for name in PART_FACTS}
        self.facts |= facts
        self.facts.setdefault("parts", {})[part] = occasion

    def add(self, key: Key, value: float) -> None:
        """Add the value of one round."""
        self.values[key].append(value)

    def median(self, key: Key) -> float | None:
        """Return the median of the rounds, or None."""
        return median(self.values[key]) if self.values.get(key) else None

    def save(self, path: Path) -> None:
        """Write the figures to a file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "values": [[*key, values] for key, values in self.values.items()],
            "facts": self.facts,
            "gaps": [asdict(gap) for gap in self.gaps],
        }
        path.write_text(json.dumps(content, indent=1))

    @classmethod
    def load(cls, path: Path) -> "Figures":
        """Return the figures that ``save`` wrote."""
        content = json.loads(path.read_text())
        figures = cls(facts=content["facts"], gaps=[Gap(**gap) for gap in content["gaps"]])
        for *key, values in content["values"]:
            figures.values[Key(*key)] = values
        return figures
