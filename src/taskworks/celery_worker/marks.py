"""What a child process leaves behind when it dies: which order it was executing."""

import os
from collections.abc import Callable
from pathlib import Path

SIZE = 8  # bytes


def new_mark(folder: Path) -> Callable[[int], None]:
    """Return what notes the number of the order that this process executes, 0 if it does none."""
    descriptor = os.open(_file(folder, os.getpid()), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def mark(number: int) -> None:
        os.pwrite(descriptor, number.to_bytes(SIZE, "little"), 0)

    mark(0)  # another process may have had this one's id, and have left something else
    return mark


def read_mark(folder: Path, pid: int) -> int:
    """Return what the process has noted last; 0 if that cannot be read any more."""
    try:
        return int.from_bytes(_file(folder, pid).read_bytes(), "little")
    except OSError:
        return 0


def forget_mark(folder: Path, pid: int) -> None:
    """Delete what the process has left."""
    _file(folder, pid).unlink(missing_ok=True)


def _file(folder: Path, pid: int) -> Path:
    return folder / str(pid)
