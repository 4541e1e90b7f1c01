"""The contenders: systems with a store and a producer, ready to be measured."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks import databases
from benchmarks.client import Client, NotMeasuredError
from benchmarks.place import Place
from benchmarks.systems import ALL
from benchmarks.systems.system import System

# The stores of a group are measured in turns, so that they can be compared.
GROUPS = {
    "postgresql": ("postgresql", "redis", "rabbitmq"),
    "mariadb": ("mariadb",),
    "sqlite": ("sqlite",),
}
STORES = [store for group in GROUPS.values() for store in group]


class Contender:
    """A system at a place, and its producer, the process that enqueues."""

    def __init__(self, system: type[System], place: Place, client: Client) -> None:
        self.place, self.client = place, client
        self.system = system(place)

    @property
    def name(self) -> str:
        """The name of the system."""
        return self.system.name

    @property
    def log(self) -> Path:
        """The file with the output of its workers."""
        return Path(self.place.files) / f"{self.place.title}-worker.log"


@contextmanager
def contenders(
    wanted: Sequence[tuple[type[System], str]],
    files: Path,
    gap: Callable[[str, str, str], None],
    variant: str = "",
    options: Mapping[str, str] | None = None,
    *,
    source: str = "",
) -> Iterator[list[Contender]]:
    """Yield the contenders that can be measured; call ``gap`` for each of the others."""
    with ExitStack() as stack:
        ready = []
        for system, store in wanted:
            place = Place(
                system=system.name,
                store=store,
                files=str(files),
                variant=variant,
                options=(options or {}).get(system.name, ""),
                source=source,
            )
            try:
                ready.append(stack.enter_context(_prepared(system, place)))
            except NotMeasuredError as error:
                gap(system.name, store, str(error))
        yield ready


@contextmanager
def _prepared(system: type[System], place: Place) -> Iterator[Contender]:
    if missing := system.missing():
        raise NotMeasuredError(f"not installed in {Path(sys.prefix).name}: {missing}")
    databases.create(place)
    try:
        with Client(place) as client:
            client.call("prepare")
            yield Contender(system, place, client)
    finally:
        databases.drop(place)


def matching(
    part: str, systems: Sequence[str], stores: Sequence[str]
) -> list[tuple[type[System], str]]:
    """Return the selected systems that take part, each with its stores."""
    return [
        (system, store)
        for system in ALL
        if system.name in systems and part in system.parts
        for store in system.stores
        if store in stores
    ]
