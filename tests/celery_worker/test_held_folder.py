"""Folders that processes leave behind when they are killed, and those of processes that live."""

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taskworks.celery_worker.held_folder import PREFIX, HeldFolder
from tests.forks import exit_code_of

pytestmark = pytest.mark.any_database

Fork = Callable[..., "Holder"]


class Holder:
    """A fork of this process that has a folder with something in it, and waits."""

    def __init__(self, then: Callable[[], object]) -> None:
        reader, writer = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            try:
                folder = HeldFolder()
                (folder.path / "something").touch()
                then()
                os.write(writer, str(folder.path).encode())
                signal.pause()
            finally:
                os._exit(1)
        os.close(writer)
        self.folder = Path(os.read(reader, 4096).decode())
        os.close(reader)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self.pid = 0


@pytest.fixture
def fork(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fork]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    holders: list[Holder] = []

    def fork(then: Callable[[], object] = lambda: None) -> Holder:
        holders.append(Holder(then))
        return holders[-1]

    yield fork
    for holder in holders:
        if holder.pid:
            holder.kill()


def test_what_the_dead_have_left_is_deleted_by_the_next(fork: Fork) -> None:
    dead, living = fork(), fork()
    dead.kill()
    assert dead.folder.exists()
    folder = HeldFolder()
    assert not dead.folder.exists()
    assert (living.folder / "something").exists()
    folder.delete()
    assert not folder.path.exists()


def test_what_is_not_ours_is_left_alone(fork: Fork, tmp_path: Path) -> None:
    others = tmp_path / "taskworks-something"
    others.mkdir()
    (others / "file").touch()
    new = tmp_path / f"{PREFIX}new"  # its process has not locked it yet
    new.mkdir()
    old = tmp_path / f"{PREFIX}old"  # its process was killed before it had
    old.mkdir()
    os.utime(old, (0, 0))
    link = tmp_path / f"{PREFIX}link"
    link.symlink_to(others)
    file = tmp_path / f"{PREFIX}file"
    file.touch()
    HeldFolder().delete()
    assert {*tmp_path.iterdir()} == {others, new, link, file}
    assert (others / "file").exists()


def test_a_child_that_outlives_its_parent_does_not_hold_its_folder(fork: Fork) -> None:
    children, say = os.pipe()

    def leave_a_child() -> None:
        if not os.fork():
            os.write(say, str(os.getpid()).encode())  # by now it has let go
            signal.pause()

    parent = fork(leave_a_child)
    child = int(os.read(children, 100))
    try:
        parent.kill()
        HeldFolder().delete()
        assert not parent.folder.exists()
    finally:
        os.kill(child, signal.SIGKILL)
        os.close(children), os.close(say)


def test_one_that_is_deleted_closes_no_file_of_a_child(fork: Fork, tmp_path: Path) -> None:
    """Whose descriptor may have the number that its own had."""
    folder = HeldFolder()
    descriptor = folder._descriptor
    folder.delete()
    other = os.open(tmp_path / "other", os.O_WRONLY | os.O_CREAT)
    os.dup2(other, descriptor)
    assert exit_code_of(lambda: os.write(descriptor, b"written")) == len(b"written")
    for number in {other, descriptor}:
        os.close(number)
