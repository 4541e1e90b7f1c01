"""
What tasks have done, written by themselves, past the database that is under fire.

A line an event, appended by one write, so that lines of many processes are whole.
"""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

VARIABLE = "TASKWORKS_FAULTS_LEDGER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One event of an attempt; ``at`` is the machine's monotonic clock, the same for all."""

    at: float
    event: str
    run: str
    attempt: int
    pid: int

    def __str__(self) -> str:
        return f"{self.event} of run {self.run}, attempt {self.attempt}, in process {self.pid}"


class Ledger:
    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, event: str, run: str, attempt: int) -> None:
        entry = Entry(at=time.monotonic(), event=event, run=run, attempt=attempt, pid=os.getpid())
        line = json.dumps(asdict(entry)) + "\n"
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)

    def entries(self, event: str | None = None, run: str | None = None) -> list[Entry]:
        """In the order in which they happened; of one kind, or of one run."""
        return [
            entry
            for entry in self._read()
            if event in (None, entry.event) and run in (None, entry.run)
        ]

    def _read(self) -> Iterator[Entry]:
        if self.path.exists():
            for line in self.path.read_text().splitlines():
                yield Entry(**json.loads(line))


def write(event: str, run: str, attempt: int) -> None:
    """Write into the ledger of the test that has started this process, if one has."""
    if VARIABLE in os.environ:
        Ledger(Path(os.environ[VARIABLE])).write(event, run, attempt)
