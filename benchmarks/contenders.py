"""Who is measured: a system with its store, prepared, and its producer."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks import databases
from benchmarks.client import Client, NotMeasuredError
from benchmarks.place import Place
from benchmarks.systems import ALL
from benchmarks.systems.system import System

# Those in one group are measured in turns, so that they can be compared.
GROUPS = {
    "postgresql": ("postgresql", "redis", "rabbitmq"),
    "mariadb": ("mariadb",),
    "sqlite": ("sqlite",),
}
STORES = [store for group in GROUPS.values() for store in group]


class Contender:
    """A system at a place, and the process that enqueues for it."""

    def __init__(self, system: type[System], place: Place, client: Client) -> None:
        self.place, self.client = place, client
        self.system = system(place)

    @property
    def name(self) -> str:
        """Of the system."""
        return self.system.name

    @property
    def log(self) -> Path:
        """What its workers say."""
        return Path(self.place.files) / f"{self.place.title}-worker.log"


@contextmanager
def contenders(
    wanted: Sequence[tuple[type[System], str]],
    files: Path,
    gap: Callable[[str, str, str], None],
    variant: str = "",
    options: Mapping[str, str] | None = None,
) -> Iterator[list[Contender]]:
    """Those of the wanted systems and stores that can be measured; ``gap`` hears of the others."""
    with ExitStack() as stack:
        ready = []
        for system, store in wanted:
            place = Place(
                system=system.name,
                store=store,
                files=str(files),
                variant=variant,
                options=(options or {}).get(system.name, ""),
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
    """The systems of these names at these stores that take part."""
    return [
        (system, store)
        for system in ALL
        if system.name in systems and part in system.parts
        for store in system.stores
        if store in stores
    ]
