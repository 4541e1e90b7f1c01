"""Which queues a worker takes."""

from dataclasses import dataclass

from taskworks.store import Store


@dataclass(frozen=True, slots=True)
class Queues:
    """The queues named, or every one there is (``names`` None) but those excluded."""

    names: tuple[str, ...] | None = None
    excluded: frozenset[str] = frozenset()

    def to_claim(self, store: Store, backend: str) -> list[str]:
        """The names to claim from now."""
        names = store.ready_queues(backend) if self.names is None else self.names
        return [name for name in names if name not in self.excluded]

    def takes(self, name: str) -> bool:
        """Whether this queue is one of them."""
        return name not in self.excluded and (self.names is None or name in self.names)

    def __str__(self) -> str:
        names = "every queue" if self.names is None else ", ".join(self.names)
        return f"{names} but {', '.join(sorted(self.excluded))}" if self.excluded else names
