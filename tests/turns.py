"""
Whose turn it is. At most so many processes run tests at once, also those of several runs that begin
together, as in `make check`: TASKWORKS_TEST_TURNS names the folder that these share. Then no core
is idle when one run has only a single process left.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import IO

LOOK_AGAIN = 0.1  # seconds


class Turns:
    """So many turns, in a folder. One who is killed leaves his turn to others."""

    def __init__(self, folder: Path, at_once: int) -> None:
        self._line = folder / "line"
        self._places = [folder / f"turn-{number}" for number in range(at_once)]

    @contextmanager
    def first_in_line(self) -> Iterator[None]:
        """
        Wait until the runs before this one have begun the last of what they have, and keep those
        behind it waiting: nobody else takes a turn.
        """
        with self._line.open("w") as line:
            fcntl.flock(line, fcntl.LOCK_EX)
            yield

    def take(self) -> IO[str]:
        """Wait for a turn, for one who is first in line. To close the file is to end the turn."""
        while True:
            for place in self._places:
                if turn := _taken(place):
                    return turn
            time.sleep(LOOK_AGAIN)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until nobody has a turn, and let nobody have one."""
        with self.first_in_line(), ExitStack() as turns:
            for _ in self._places:
                turns.enter_context(closing(self.take()))
            yield


def turns_of_this_run(otherwise: Path, at_once: int) -> Turns:
    """Those of the folder that was named, or of another one, which no other run has."""
    folder = Path(os.environ.get("TASKWORKS_TEST_TURNS", otherwise))
    folder.mkdir(parents=True, exist_ok=True)
    return Turns(folder, at_once)


def _taken(place: Path) -> IO[str] | None:
    turn = place.open("w")
    try:
        fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        turn.close()
        return None
    return turn
