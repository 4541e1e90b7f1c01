"""Where child processes find the worker that is in their main process."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection

from taskworks import real_time as time
from taskworks.celery_worker.forking import keep_apart
from taskworks.celery_worker.held_folder import HeldFolder
from taskworks.database.outage import GrowingPause
from taskworks.logs import steady_logger

SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 10.0  # seconds, after nobody could be let in

logger = steady_logger(__name__)


class MeetingPlace:
    """A socket in a folder that only this user can enter."""

    def __init__(self, serve: Callable[[Connection], None]) -> None:
        """
        ``serve`` is called with each connection, in a thread of its own. Raise OSError if the
        socket cannot be made.
        """
        self._serve = serve
        self._held = HeldFolder()
        self.folder = self._held.path
        self._socket = socket.socket(socket.AF_UNIX)
        self._is_listening = self._is_closed = False
        try:
            self._socket.bind(self._path)
            self._socket.listen(socket.SOMAXCONN)
        except BaseException:
            self.close()
            raise
        keep_apart(self._socket)

    @property
    def address(self) -> str:
        """Where it is. From now on, somebody listens there. Called in one thread only."""
        if not self._is_listening:
            threading.Thread(target=self._listen, name="taskworks-children", daemon=True).start()
            self._is_listening = True
        return self._path

    @property
    def _path(self) -> str:
        return str(self.folder / "worker")

    def close(self) -> None:
        """Let nobody in any more; those that are in stay."""
        self._is_closed = True
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._held.delete()

    def _listen(self) -> None:
        pause = GrowingPause(SHORTEST_PAUSE, LONGEST_PAUSE)
        while not self._is_closed:
            try:
                self._let_in()
            except Exception as error:  # noqa: BLE001 - too many open files, or threads
                if self._is_closed:
                    return
                logger.warning("A child process of Celery's could not be let in: %r", error)
                time.sleep(pause.take())
            else:
                pause.reset()

    def _let_in(self) -> None:
        accepted, _ = self._socket.accept()
        connection = Connection(accepted.detach())
        try:
            threading.Thread(
                target=self._serve, args=[connection], name="taskworks-child", daemon=True
            ).start()
        except BaseException:
            connection.close()
            raise
