"""Processor time of server processes and workers, which other load does not bend."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from benchmarks import databases
from benchmarks.place import Place

SESSIONS = {
    "postgresql": (
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid()"
    ),
    "mariadb": (
        "SELECT tid FROM information_schema.processlist WHERE db = database() "
        "AND id <> connection_id()"
    ),
}
# Beside those there may be processes of the server's own.
OF_CLIENTS = {
    "postgresql": f"{SESSIONS['postgresql']} AND backend_type = 'client backend'",
    "mariadb": SESSIONS["mariadb"],
}


class Server:
    """The sessions of a database. Its own connection is open before anything is measured."""

    def __init__(self, place: Place) -> None:
        self._store = place.store
        self._connection = databases.connect(place) if place.store in SESSIONS else None

    def close(self) -> None:
        """Close the connection."""
        if self._connection:
            self._connection.close()

    def seconds(self) -> dict[int, float]:
        """Return those of each session; of none on SQLite, which has none."""
        if not self._connection:
            return {}
        return _of_threads(Path(f"/proc/{thread}") for thread in self._asked(SESSIONS))

    def clients(self) -> int:
        """Return how many connections there are beside its own."""
        return len(self._asked(OF_CLIENTS))

    def _asked(self, statements: Mapping[str, str]) -> list[int]:
        cursor = self._connection.cursor()
        cursor.execute(statements[self._store])
        return [session for (session,) in cursor.fetchall()]


def of_processes(pids: Sequence[int]) -> dict[int, float]:
    """Return the seconds of each thread of these processes."""
    return _of_threads(folder for pid in pids for folder in Path(f"/proc/{pid}/task").glob("*"))


def between(before: dict[int, float], after: dict[int, float]) -> float:
    """Return the seconds that have been used; what has ended meanwhile is left out."""
    return sum(seconds - before.get(thread, 0.0) for thread, seconds in after.items())


def _of_threads(folders: Iterable[Path]) -> dict[int, float]:
    seconds = {}
    for folder in folders:
        with suppress(FileNotFoundError, ProcessLookupError):
            seconds[int(folder.name)] = int((folder / "schedstat").read_text().split()[0]) / 1e9
    return seconds
