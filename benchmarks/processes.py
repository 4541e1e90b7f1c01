"""The processes of a system under measurement: started apart, and never left behind."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import which

PATIENCE = 10.0  # seconds for a worker that was asked to stop
ROOT = Path(__file__).resolve().parents[1]
# Where there is setpriv, a worker ends with a benchmark that was killed.
LEASH = ["setpriv", "--pdeathsig", "KILL"] if which("setpriv") else []


class Process:
    """A worker with its children: a session of its own, whose output goes to a file."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], log: Path) -> None:
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*LEASH, *command],
                cwd=ROOT,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def is_alive(self) -> bool:
        """Whether its first process runs."""
        return self._process.poll() is None

    @property
    def output(self) -> str:
        """The end of what it has said."""
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return "\n".join(lines[-12:])

    @property
    def pids(self) -> list[int]:
        """Its first process and all that came of it."""
        return [pid for pid in _all_pids() if _session(pid) == self._process.pid]

    def stop(self) -> None:
        """Ask it to end, and end whatever is left."""
        if self.is_alive:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(PATIENCE)
        self.kill()

    def kill(self) -> None:
        """End it and its children, whichever groups they have made."""
        while pids := self.pids:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._process.poll()
            time.sleep(0.01)


@contextmanager
def running(
    count: int, command: Sequence[str], environ: Mapping[str, str], log: Path
) -> Iterator[list[Process]]:
    """So many of them, which are stopped at the end, and killed if it comes early."""
    processes: list[Process] = []
    try:
        # Not in one expression: those that were started must be known if the next one is not.
        processes.extend(Process(command, environ, log) for _ in range(count))
        yield processes
        for process in processes:
            process.stop()
    finally:
        for process in processes:
            process.kill()


def _all_pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _session(pid: int) -> int | None:
    try:
        return None if _is_dead(pid) else os.getsid(pid)
    except (ProcessLookupError, FileNotFoundError):
        return None


def _is_dead(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] in "ZX"
