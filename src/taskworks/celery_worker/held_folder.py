"""A folder for temporary files that outlasts a process that is killed, but not the next one."""

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from taskworks import real_time as time
from taskworks.celery_worker.forking import keep_apart

PREFIX = "taskworks-celery-"
NEW_FOR = 60.0  # seconds in which a process locks the folder that it has made


class HeldFolder:
    """
    A folder that only this user can enter. It is locked as long as this process lives, and so told
    from those that the dead have left, which are deleted first.
    """

    def __init__(self) -> None:
        """Raise OSError if it cannot be made."""
        _delete_those_of_the_dead()
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._descriptor = -1
        try:
            self._descriptor = os.open(self.path, os.O_RDONLY)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        except BaseException:
            self.delete()
            raise
        keep_apart(self)  # whoever inherits the descriptor has the lock as well

    def delete(self) -> None:
        """Delete it, with what is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.close()

    def close(self) -> None:
        """Let go of it, so that another process may delete it."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _delete_those_of_the_dead() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):  # it is held, or another user's, or has been deleted meanwhile
            _delete_if_nobody_holds(folder)


def _delete_if_nobody_holds(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        found = os.fstat(descriptor)
        # If it is empty, its process may be about to lock it.
        is_new = not os.listdir(descriptor) and time.time() - found.st_mtime < NEW_FOR
        if not is_new and found.st_uid == os.geteuid():
            shutil.rmtree(folder)
    finally:
        os.close(descriptor)
