"""Where child processes find the worker that is in their main process."""

import shutil
import socket
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from taskworks.celery_worker.forking import keep_apart


class MeetingPlace:
    """A socket in a folder that only this user can enter. There is none before it is needed."""

    def __init__(self, serve: Callable[[Connection], None]) -> None:
        """``serve`` is called with each connection, in a thread of its own."""
        self._serve = serve
        self._folder = ""
        self._socket = socket.socket(socket.AF_UNIX)
        self._opening = threading.Lock()

    @property
    def address(self) -> str:
        """Where it is. Raise OSError if it cannot be made."""
        with self._opening:
            if not self._folder:
                self._open()
            return self._path

    @property
    def folder(self) -> Path:
        """The folder, once there is one."""
        return Path(self._folder)

    @property
    def _path(self) -> str:
        return str(self.folder / "worker")

    def _open(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="taskworks-")
        self._socket.bind(self._path)
        self._socket.listen(socket.SOMAXCONN)
        keep_apart(self._socket)
        threading.Thread(target=self._listen, name="taskworks-children", daemon=True).start()

    def close(self) -> None:
        """Let nobody in any more; those that are in stay."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _listen(self) -> None:
        with suppress(OSError):  # it is closed
            while True:
                accepted, _ = self._socket.accept()
                connection = Connection(accepted.detach())
                threading.Thread(
                    target=self._serve, args=[connection], name="taskworks-child", daemon=True
                ).start()
