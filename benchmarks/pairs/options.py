"""What the command line says of a bar."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is measured, and how often."""

    database: str
    pairs: int
    size: int  # of a side in a pair; 0 for the bar's own, as the next
    waiting: int  # runs that are there
    worker: str  # options of the workers
    before: str  # a folder with the package of another version
    pool: str = "prefork"  # of Celery's workers
    broker: str = "rabbitmq"  # of theirs

    @contextmanager
    def files(self) -> Iterator[Path]:
        """Yield a folder for this while."""
        with tempfile.TemporaryDirectory(prefix="taskworks-pairs-") as files:
            yield Path(files)
