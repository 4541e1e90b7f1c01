"""What tells others on this machine that a worker lives: its file, and its port."""

from typing import TYPE_CHECKING

from taskworks.worker.heartbeat_file import HeartbeatFile
from taskworks.worker.pulse import Pulse

if TYPE_CHECKING:
    from taskworks.worker.health_server import HealthServer


class Probes:
    """
    A worker calls ``turn`` in its loop, and ``beat`` after each heartbeat. Without a file and an
    address, that is all. Raise OSError if the address cannot be had, or the file not be written.
    """

    def __init__(self, path: str = "", address: tuple[str, int] | None = None) -> None:
        self._pulse = Pulse()
        self._file = HeartbeatFile(path, self._pulse) if path else None
        self.server = _started_server(address, self._pulse) if address else None
        self.turn = self._pulse.turn

    def begin(self, worker: str) -> None:
        """Note that the worker of this name is registered."""
        self._worker = worker
        self.turn()
        self.beat()

    def beat(self) -> None:
        """Note that the database has taken a heartbeat."""
        self._pulse.beat()
        if self._file:
            self._file.write(self._worker)

    def note_end(self) -> None:
        """Note that the worker takes nothing more."""
        self._pulse.is_ending = True

    def end(self, *, goes_on: bool) -> None:
        """Note that it has ended; ``goes_on`` if another one is about to take its place."""
        if self._file and not goes_on:
            self._file.remove()
        if self.server:
            self.server.stop()


def _started_server(address: tuple[str, int], pulse: Pulse) -> "HealthServer":
    from taskworks.worker.health_server import HealthServer  # most workers have none

    server = HealthServer(*address, pulse)
    server.start()
    return server
