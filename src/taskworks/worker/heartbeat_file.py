"""The file that ``taskworks-health`` reads: written as long as a worker lives."""

import json
import os
from contextlib import suppress
from typing import Any

from taskworks import real_time as time
from taskworks.conf import conf
from taskworks.logs import steady_logger
from taskworks.worker.pulse import Pulse

logger = steady_logger(__name__)


class HeartbeatFile:
    """
    A file whose content is new after each heartbeat that the database has taken, if the loop turns
    as well. It is replaced, not written, so nobody reads half of it; and removed when the worker
    ends in order. Raise OSError if it cannot be written.
    """

    def __init__(self, path: str, pulse: Pulse) -> None:
        self._path, self._pulse = os.path.abspath(path), pulse  # a task may change the directory
        self._has_failed = False
        self._replace("")  # of another worker, it would say that this one lives
        self.remove()

    def write(self, worker: str) -> None:
        """Write it, if the worker lives. What goes wrong is logged once."""
        if not (self._pulse.turns and self._pulse.beats):
            return
        try:
            self._replace(json.dumps(self._content(worker)))
        except OSError as error:
            if not self._has_failed:
                self._has_failed = True
                logger.warning("The heartbeat file cannot be written: %s", error)
        else:
            self._has_failed = False

    def remove(self) -> None:
        """Delete it: the worker has ended."""
        with suppress(OSError):
            os.remove(self._path)

    def _content(self, worker: str) -> dict[str, Any]:
        from taskworks_health import boot

        return {
            "worker": worker,
            "pid": os.getpid(),
            "at": round(time.time(), 3),
            "monotonic": time.monotonic(),
            "boot": boot(),
            "is_ending": self._pulse.is_ending,
            "max_age": conf().worker_timeout,
        }

    def _replace(self, text: str) -> None:
        beside = f"{self._path}.{os.getpid()}.new"
        try:
            with open(beside, "w", encoding="utf-8", opener=_not_through_a_link) as file:
                file.write(text)
            os.replace(beside, self._path)
        except OSError:
            with suppress(OSError):
                os.remove(beside)
            raise


def _not_through_a_link(path: str, flags: int) -> int:
    # In a directory that others may write to, somebody may have put a link there.
    return os.open(path, flags | os.O_NOFOLLOW, 0o644)
