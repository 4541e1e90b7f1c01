"""Which queues a worker claims from."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Queues:
    """The named queues, or every one that exists (``names`` None), except for the excluded."""

    names: tuple[str, ...] | None = None
    excluded: frozenset[str] = frozenset()
    may_change = False  # which they are, while a worker lives

    def takes(self, name: str) -> bool:
        """Return whether this queue is one of them."""
        return name not in self.excluded and (self.names is None or name in self.names)

    def __str__(self) -> str:
        names = "every queue" if self.names is None else ", ".join(self.names)
        return f"{names} except {', '.join(sorted(self.excluded))}" if self.excluded else names
