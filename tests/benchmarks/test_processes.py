"""Processes that are measured: they can be made to stand still, with all of their children."""

import os
import sys
from pathlib import Path

import pytest

from benchmarks.processes import Process, running, standing_still
from tests.waiting import wait_for

pytestmark = pytest.mark.any_database


def states_of(process: Process) -> set[str]:
    stats = (Path(f"/proc/{pid}/stat").read_text() for pid in process.pids)
    return {stat.rpartition(")")[2].split()[0] for stat in stats}


def test_they_stand_still_with_their_children_for_a_while(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import os, time; os.fork(); time.sleep(600)"]
    with running(1, command, os.environ, tmp_path / "log") as [process]:
        wait_for(lambda: len(process.pids) == 2, "it has a child")
        with standing_still([process]):
            wait_for(lambda: states_of(process) == {"T"}, "both stand still")
        wait_for(lambda: "T" not in states_of(process), "both go on")
