"""The processes of a system that is measured: each in a session, and always cleaned up."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import which

STOP_TIMEOUT = 10.0  # seconds until a worker that should stop is killed
ROOT = Path(__file__).resolve().parents[1]
# With setpriv, a worker is killed when the benchmark is.
DIE_WITH_PARENT = ["setpriv", "--pdeathsig", "KILL"] if which("setpriv") else []


class Process:
    """A worker and its children, in their own session; their output goes to a file."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], log: Path) -> None:
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*DIE_WITH_PARENT, *command],
                cwd=ROOT,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def is_alive(self) -> bool:
        """True if the first process is running."""
        return self._process.poll() is None

    @property
    def output(self) -> str:
        """The last lines of the output."""
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return "\n".join(lines[-12:])

    @property
    def pids(self) -> list[int]:
        """The ids of the first process and all its descendants."""
        return [pid for pid in _all_pids() if _session(pid) == self._process.pid]

    def stop(self) -> None:
        """Terminate the first process, then kill whatever is left."""
        if self.is_alive:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_TIMEOUT)
        self.kill()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the first process and all its descendants."""
        for pid in self.pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self) -> None:
        """Kill the first process and its descendants, in whatever process group they are."""
        while self.pids:
            self.send(signal.SIGKILL)
            self._process.poll()
            time.sleep(0.01)


@contextmanager
def running(
    count: int, command: Sequence[str], environ: Mapping[str, str], log: Path
) -> Iterator[list[Process]]:
    """Start ``count`` processes; stop them after the block, or kill them after an exception."""
    processes: list[Process] = []
    try:
        # Processes that were started must be in the list if starting the next one fails.
        processes.extend(Process(command, environ, log) for _ in range(count))
        yield processes
        for process in processes:
            process.stop()
    finally:
        for process in processes:
            process.kill()


@contextmanager
def standing_still(processes: Sequence[Process]) -> Iterator[None]:
    """While this lasts, none of them does anything."""
    for process in processes:
        process.send(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            process.send(signal.SIGCONT)


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
