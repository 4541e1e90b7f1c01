"""Whether a process lives, and in which states its threads are."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

GONE = (FileNotFoundError, ProcessLookupError)  # the latter if it goes while it is looked at


def is_alive(pid: int) -> bool:
    """Whether there is such a process, one that has not ended."""
    return any(state != "Z" for state in _states([Path(f"/proc/{pid}/stat")]))


def states_of_threads(pid: int) -> set[str]:
    """Of those that it has; T is stopped."""
    return {*_states(Path(f"/proc/{pid}/task").glob("*/stat"))}


def _states(stats: Iterable[Path]) -> Iterator[str]:
    for stat in stats:
        with suppress(*GONE):
            yield stat.read_text().rpartition(")")[2].split()[0]
