"""A child process, and the pipe to it, beside forks of others."""

import multiprocessing
import os
import subprocess
import sys
from typing import Any

import pytest

from taskworks.database import importing
from taskworks.worker import piped_process
from taskworks.worker.piped_process import PipedProcess
from tests.connections import begin_elsewhere
from tests.waiting import wait_for

pytestmark = pytest.mark.any_database


def test_a_fork_does_not_hide_its_death(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that another thread forks meanwhile would hold the other end of the pipe open."""
    reader, writer = multiprocessing.Pipe(duplex=False)
    forks = []

    def fork_and_stay() -> int:
        pid = os.fork()
        if not pid:
            writer.close()  # or it would hold that open itself
            reader.poll(None)  # until the test has ended
            os._exit(0)
        return pid

    def popen(*arguments: Any, **options: Any) -> Any:
        fork = begin_elsewhere(fork_and_stay)
        wait_for(lambda: fork.done() or importing._lock.locked(), "it has forked, or must wait")
        forks.append(fork)
        return real_popen(*arguments, **options)

    real_popen = subprocess.Popen
    monkeypatch.setattr(piped_process.subprocess, "Popen", popen)
    process = PipedProcess([sys.executable, "-c", ""], "UNUSED")
    with reader, writer:
        assert process.wait(60) == 0
        pid = forks[0].result(timeout=60)
        try:
            with pytest.raises(EOFError):
                process.receive(within=5)
        finally:
            writer.close()
            os.waitpid(pid, 0)
            process.close()
