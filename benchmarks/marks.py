"""
Marks: the 16 bytes that each task appends to a file in memory.

All times of tasks come from these marks, so the benchmark does not query a system while it works.
"""

import os
import struct
import time
from dataclasses import dataclass
from pathlib import Path

FORM = struct.Struct("=IId")  # number of the task, process id, monotonic clock


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """The record of a task that was executed."""

    at: float
    number: int
    pid: int


class Marker:
    """Appends marks; opens its file in each process when it is first called there."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._opened = (-1, -1)  # process id and file, as one value: two threads may set it

    def __call__(self, number: int) -> None:
        """Record that this task is executed now."""
        now = time.monotonic()
        pid, file = self._opened
        if pid != os.getpid():
            pid = os.getpid()
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            self._opened = (pid, file)
        os.write(file, FORM.pack(number, pid, now))


def empty(path: str) -> None:
    """Delete the marks."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(b"")


def count(path: str) -> int:
    """Return the number of marks."""
    return os.stat(path).st_size // FORM.size


def read(path: str) -> list[Mark]:
    """Return the marks, sorted by time."""
    content = Path(path).read_bytes()
    return sorted(Mark(at, number, pid) for number, pid, at in FORM.iter_unpack(content))
