"""A process that enqueues for Celery workers, and sends their tickets to a broker."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.celery_worker.processes import SETTINGS
from tests.processes.conftest import ROOT, test_database


class Enqueuer:
    """Enqueues runs that write their numbers into a file."""

    def __init__(self, file: Path, environment: Mapping[str, str], seconds: float) -> None:
        self.enqueued = 0
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.celery_worker.enqueuing", str(file), str(seconds)],
            cwd=ROOT,
            env={
                **os.environ,
                **test_database(),
                "DJANGO_SETTINGS_MODULE": SETTINGS,
                **environment,
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def begin(self, many: int) -> None:
        """Have it enqueue so many more."""
        assert self.process.stdin
        self.process.stdin.write(f"{many}\n")
        self.process.stdin.flush()

    def wait(self) -> None:
        """Until it has."""
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, "it has failed"
        self.enqueued += int(line)

    def enqueue(self, many: int) -> None:
        self.begin(many)
        self.wait()


@contextmanager
def enqueuing(
    file: Path, environment: Mapping[str, str], seconds: float = 0.0
) -> Iterator[Enqueuer]:
    """While this lasts, there is one, whose runs take so many seconds."""
    enqueuer = Enqueuer(file, environment, seconds)
    try:
        yield enqueuer
    finally:
        enqueuer.process.kill()
        enqueuer.process.communicate()
