"""The parent that starts a worker again when code changes."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from django.utils import autoreload

from taskworks.management import reload


class Child:
    """Ends because code has changed; meanwhile somebody stops its parent."""

    started = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        type(self).started += 1

    def send_signal(self, number: int) -> None:
        """It is gone already."""

    def wait(self) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        return reload.CODE_HAS_CHANGED


@pytest.fixture
def _sigterm() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


@pytest.mark.usefixtures("_sigterm")
def test_a_parent_that_is_stopped_between_two_children_starts_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(subprocess, "Popen", Child)
    with pytest.raises(SystemExit) as ended:
        reload.restart_on_changes((signal.SIGTERM,))
    assert (Child.started, ended.value.code) == (1, 0)


class Worked(Child):
    """Its code changes, and does not start then, until a file has changed again."""

    codes: ClassVar[list[int]] = []

    def wait(self) -> int:
        return self.codes.pop(0)


@pytest.mark.usefixtures("_sigterm")
def test_code_that_does_not_start_is_waited_for_to_change(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looks = iter([{"tasks.py": 1.0}, {"tasks.py": 1.0}, *({"tasks.py": 2.0} for _ in range(9))])
    changed = reload.CODE_HAS_CHANGED
    monkeypatch.setattr(Worked, "codes", [changed, 1, changed, 0])
    monkeypatch.setattr(subprocess, "Popen", Worked)
    monkeypatch.setattr(reload, "_files", lambda: next(looks))
    monkeypatch.setattr(reload, "POLL_INTERVAL", 0)
    with pytest.raises(SystemExit) as ended:
        reload.restart_on_changes((signal.SIGTERM,))
    assert (Worked.codes, ended.value.code) == ([], 0)
    assert "It restarts when the code changes." in capsys.readouterr().err


@pytest.mark.usefixtures("_sigterm")
@pytest.mark.parametrize("codes", [[1], [reload.CODE_HAS_CHANGED, -9]])
def test_what_did_not_start_at_first_or_was_killed_ends(
    monkeypatch: pytest.MonkeyPatch, codes: list[int]
) -> None:
    monkeypatch.setattr(Worked, "codes", [*codes])
    monkeypatch.setattr(subprocess, "Popen", Worked)
    with pytest.raises(SystemExit) as ended:
        reload.restart_on_changes((signal.SIGTERM,))
    assert (Worked.codes, ended.value.code) == ([], codes[-1])


def test_modules_of_apps_that_nobody_has_imported_are_watched_too() -> None:
    """Such as tasks, which the parent has no need of."""
    broken = Path(__file__).parent.parent / "schedules" / "broken.py"
    assert reload._files()[broken] == broken.stat().st_mtime


class Works:
    """A worker that works until it is stopped."""

    def __init__(self) -> None:
        self.shutdown = SimpleNamespace(over=Event())

    def run(self) -> None:
        assert self.shutdown.over.wait(timeout=600)

    def stop(self) -> None:
        self.shutdown.over.set()


class Saving(autoreload.StatReloader):
    """Somebody saves a translation, and then code."""

    worker: Works
    worked_on: bool

    def tick(self) -> Iterator[None]:
        self.notify_file_changed(Path("django.mo"))
        self.worked_on = not self.worker.shutdown.over.is_set()
        self.notify_file_changed(Path("tasks.py"))
        yield


def test_a_change_that_needs_no_restart_does_not_end_the_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Django tells of templates and translations as of code, and does not restart for them."""

    def handled(file_path: Path, **kwargs: Any) -> bool:
        return file_path.suffix == ".mo"

    worker, reloader = Works(), Saving()
    reloader.worker = worker
    monkeypatch.setattr(autoreload, "get_reloader", lambda: reloader)
    autoreload.file_changed.connect(handled)
    try:
        with pytest.raises(SystemExit) as ended:
            reload.work_and_watch(worker)  # type: ignore[arg-type]
    finally:
        autoreload.file_changed.disconnect(handled)
    assert reloader.worked_on
    assert ended.value.code == reload.CODE_HAS_CHANGED
    assert worker.shutdown.over.is_set()
